"""Renders scores on demand and caches them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

from bassdiff.data.pedal import over_drums
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis import render, stems
from bassdiff.synthesis.annotation import FILE_NAME
from bassdiff.synthesis.score import Song
from bassdiff.synthesis.stems import Stems

# Keeps a bass in its range, in semitones.
LARGEST_TRANSPOSITION = 5
# Increased whenever songs or their rendering change, so that old caches are not used.
RENDERING_VERSION = 4


@dataclasses.dataclass(frozen=True)
class Settings:
    """How scores are rendered.

    Attributes:
      soundfonts: One or more .sf2 files; each rendering draws one.
      variants: Renderings per score.
      seed: Decides the renderings together with a score's name.
      cache_dir: Folder of the cache; None for no cache.
      max_seconds: Longest rendering; None for whole songs.
      feel: Whether players drift.
      drums_alone: Whether only the drums play, with a bass that holds one note.
    """

    soundfonts: tuple[Path, ...]
    variants: int
    seed: int
    cache_dir: Path | None
    max_seconds: float | None
    feel: bool
    drums_alone: bool


@dataclasses.dataclass(frozen=True)
class Score:
    """A song that can be read or composed.

    Attributes:
      name: Unique within its source.
      song: Reads or composes the song, given a seed.
      path: File or folder it is read from; None for a composed song.
    """

    name: str
    song: Callable[[int], Song]
    path: Path | None = None

    def content(self) -> int:
        """A checksum of the files that the song is read from."""
        if self.path is None:
            return 0
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        return functools.reduce(lambda sum_, file: zlib.crc32(file.read_bytes(), sum_), files, 0)


class Rendered:
    """A source of scores that are rendered on demand."""

    def __init__(self, kind: str, scores: Sequence[Score], settings: Settings):
        """Takes scores of one kind, such as "midi"."""
        self._kind = kind
        self._scores = scores
        self._settings = settings

    @property
    def names(self) -> list[str]:
        """Song names; variants after the first end in "~" and their number."""
        return [
            _label(score, variant)
            for variant in range(self._settings.variants)
            for score in self._scores
        ]

    def __len__(self) -> int:
        return len(self._scores) * self._settings.variants

    def __getitem__(self, index: int) -> Stems:
        return self.transposed(index, 0)

    def transposed(self, index: int, semitones: int) -> Stems:
        """Rendering `index` in another key, with the same instruments and sounds."""
        score, variant = self._score(index)
        label = _label(score, variant)
        settings = self._settings
        how = self._drawn(score, variant)
        transpose = how.transpose + semitones
        song_seed = settings.seed + variant

        def fresh() -> Stems:
            song = score.song(song_seed)
            stems = render.render(
                over_drums(song) if settings.drums_alone else song,
                how.font,
                seed=how.seed,
                transpose=transpose,
                max_seconds=settings.max_seconds,
                feel=settings.feel,
            )
            return dataclasses.replace(stems, name=label)

        if settings.cache_dir is None:
            return fresh()
        recipe = (
            RENDERING_VERSION,
            (self._kind, score.name, score.content(), song_seed),
            (how.font.name, how.font.stat().st_size),
            (how.seed, transpose, settings.max_seconds),
            *(["feel"] if settings.feel else []),
            *(["drums alone"] if settings.drums_alone else []),
        )
        digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]
        return _cached(settings.cache_dir / f"{self._kind}-{label}-{digest}", label, fresh)

    def revoiced(self, index: int, other: int) -> np.ndarray:
        """The bass line of rendering `index` in the sound of `other`'s bass.

        Returns:
          `[N]` float32 at 44.1 kHz, up to the last note of either song and at most `max_seconds`.
        """
        (score, variant), (lender, lenders_variant) = self._score(index), self._score(other)
        how = self._drawn(lender, lenders_variant)
        song = score.song(self._settings.seed + variant)
        whose = lender.song(self._settings.seed + lenders_variant)
        line = sorted(note for part in song.stem("bass") for note in part.notes)
        parts, is_first = [], True
        # Sounds are drawn part by part, so all parts stay to keep the draws the same.
        for part in whose.parts:
            if part.stem == "bass":
                notes = tuple(line) if is_first else ()
                part, is_first = dataclasses.replace(part, notes=notes, bends=()), False
            parts.append(part)
        stems = render.render(
            dataclasses.replace(whose, parts=tuple(parts)),
            how.font,
            seed=how.seed,
            transpose=self._drawn(score, variant).transpose,
            max_seconds=self._settings.max_seconds,
        )
        return stems.bass

    def _score(self, index: int) -> tuple[Score, int]:
        variant, which = divmod(range(len(self))[index], len(self._scores))
        return self._scores[which], variant

    def _drawn(self, score: Score, variant: int) -> _Rendering:
        settings = self._settings
        rng = np.random.default_rng(
            [settings.seed, variant, zlib.crc32(f"{self._kind}:{score.name}".encode())]
        )
        font = settings.soundfonts[rng.integers(len(settings.soundfonts))]
        span = LARGEST_TRANSPOSITION if variant else 0
        return _Rendering(font, int(rng.integers(-span, span + 1)), int(rng.integers(2**31)))


@dataclasses.dataclass(frozen=True)
class _Rendering:
    font: Path
    transpose: int
    seed: int


def _label(score: Score, variant: int) -> str:
    return score.name if variant == 0 else f"{score.name}~{variant}"


def _cached(folder: Path, label: str, fresh: Callable[[], Stems]) -> Stems:
    """Reads `folder`, after filling it if needed; it appears under its name when complete."""
    if not folder.is_dir():
        _store(folder, fresh())
    return dataclasses.replace(stems.read_stems(folder), name=label)


def _store(folder: Path, song: Stems) -> None:
    aside = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        for name, samples in {"bass": song.bass, **song.others}.items():
            soundfile.write(aside / f"{name}.flac", samples, song.sample_rate_hz, "PCM_16")
        (aside / FILE_NAME).write_text(song.annotation.to_json())
        os.replace(aside, folder)
    except (OSError, soundfile.SoundFileError) as error:
        # Another process may have stored the same song meanwhile.
        if not folder.is_dir():
            raise InputError(
                f"{folder.parent}: cannot store songs there ({error}); free space or choose "
                "another cache folder."
            ) from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
