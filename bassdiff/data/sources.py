"""Opens the songs that a specification names."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import hashlib
import itertools
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

from bassdiff.data import lead_sheets, midi, render, songs, splits, stems
from bassdiff.data.annotation import FILE_NAME
from bassdiff.data.pedal import over_drums
from bassdiff.data.score import Song
from bassdiff.data.soundfont import default_soundfont
from bassdiff.data.stems import Source, StemFolder, Stems
from bassdiff.errors import InputError

SPLITS = ("train", "validation", "all")
# Semitones that keep a bass in its range.
LARGEST_TRANSPOSITION = 5
POP909_FIRST_VALIDATION = 860
COMPOSED_VALIDATION = 1_000_000
# Raised whenever songs or their rendering change, so that caches are not mixed up.
RENDERING_VERSION = 3


def open_source(
    spec: str,
    split: str = "train",
    soundfonts: Sequence[str | Path] = (),
    variants: int = 1,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    max_seconds: float | None = 180.0,
    feel: bool = False,
    drums_alone: bool = False,
) -> Source:
    """Opens one source or several joined by "+".

    Specifications, and what their validation split is:

    - `midi:DIR`: MIDI files; every fifth in sorted order, from the first.
    - `pop909:DIR`: lead sheets as in POP909; folders numbered 860 and up.
    - `composed:N`: N songs made up by `songs.compose`; another N.
    - `stems:DIR`: recorded stems as in MUSDB18-HQ; a tenth, by a hash of the name, and if that
      is none, one song.
    - `tfds:NAME@DATA_DIR`: a dataset prepared by `bassdiff data prepare`; its validation split.

    Args:
      spec: for instance `"midi:songs+composed:200"`.
      split: "train", "validation" or "all".
      soundfonts: .sf2 files to draw from; the one inside `pretty_midi` when empty.
      variants: renderings of every song, each with another SoundFont, transposition and
        sound; recorded stems have one.
      seed: with a song's name, decides its renderings.
      cache_dir: keeps rendered songs there as FLAC stems, 16 bits.
      max_seconds: songs are rendered no further; whole when `None`.
      feel: whether players drift in what is rendered.
      drums_alone: whether rendered songs come as their drums, with a bass that holds their root;
        see `over_drums`.

    Returns:
      The songs; those of the first variant come first.

    Raises:
      InputError: for an unknown specification or split, one without songs, or `drums_alone` of
        recorded songs.
    """
    if split not in SPLITS:
        raise InputError(f"{split!r} is no split; choose among {', '.join(SPLITS)}.")
    if variants < 1:
        raise InputError(f"variants={variants}: there must be one or more renderings of a song.")
    for font in soundfonts:
        if not Path(font).is_file():
            raise InputError(f"{font}: there is no such SoundFont; check the path.")
    settings = _Settings(
        tuple(Path(font) for font in soundfonts) or (default_soundfont(),),
        variants,
        seed,
        None if cache_dir is None else Path(cache_dir),
        max_seconds,
        feel,
        drums_alone,
    )
    sources = [_open_one(one, split, settings) for one in spec.split("+")]
    return sources[0] if len(sources) == 1 else Joined(sources)


def revoiced(source: Source, index: int, other: int) -> np.ndarray | None:
    """The bass line of song `index` in the sound of song `other`'s bass, `[N]`.

    Returns:
      None for recorded songs, whose basses cannot be played anew.
    """
    return source.revoiced(index, other) if isinstance(source, (Rendered, Joined)) else None


def roots(spec: str) -> list[str]:
    """The folders in a specification.

    >>> roots("midi:songs+tfds:moisesdb@/data")
    ['songs', '/data']
    """
    return [where for kind, where in _parts(spec) if where and kind != "composed:"]


def unplaced(spec: str) -> str:
    """What songs are called without the folder that they lie in: that is nobody's business.

    >>> unplaced("midi:/home/me/songs+composed:9+tfds:moisesdb@/home/me/data")
    'midi:songs+composed:9+tfds:moisesdb@data'
    """
    return "+".join(kind + Path(where).name for kind, where in _parts(spec))


def _parts(spec: str) -> list[tuple[str, str]]:
    """What is before each folder of a specification, and the folder."""
    found = (re.fullmatch(r"((?:[^:]*:)?(?:[^@/]*@)?)(.*)", one.strip()) for one in spec.split("+"))
    return [(match[1], match[2]) for match in found if match]


@dataclasses.dataclass(frozen=True)
class _Settings:
    soundfonts: tuple[Path, ...]
    variants: int
    seed: int
    cache_dir: Path | None
    max_seconds: float | None
    feel: bool
    drums_alone: bool


@dataclasses.dataclass(frozen=True)
class _Score:
    """A song that can be read or composed: its name, how, given a seed, and from where."""

    name: str
    song: Callable[[int], Song]
    path: Path | None = None

    def content(self) -> int:
        """A checksum of the files it is read from."""
        if self.path is None:
            return 0
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        return functools.reduce(lambda sum_, file: zlib.crc32(file.read_bytes(), sum_), files, 0)


class Rendered:
    """Scores that are rendered when asked for."""

    def __init__(self, kind: str, scores: Sequence[_Score], settings: _Settings):
        """Takes the scores of one kind of source."""
        self._kind = kind
        self._scores = scores
        self._settings = settings

    @property
    def names(self) -> list[str]:
        """Song names; renderings after the first have "~" and their number appended."""
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
        """Rendering `index` with its instruments and sounds, played in another key."""
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
        """The bass line of rendering `index` on the instrument and effects of `other`'s bass.

        Returns:
          `[N]` float32 at 44.1 kHz, until the last note of the line or of the other song's parts,
          and no longer than `max_seconds`.
        """
        (score, variant), (lender, lenders_variant) = self._score(index), self._score(other)
        how = self._drawn(lender, lenders_variant)
        song = score.song(self._settings.seed + variant)
        whose = lender.song(self._settings.seed + lenders_variant)
        line = sorted(note for part in song.stem("bass") for note in part.notes)
        parts, is_first = [], True
        # All that plays is drawn part by part: every part stays, so that the draws do.
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

    def _score(self, index: int) -> tuple[_Score, int]:
        variant, which = divmod(range(len(self))[index], len(self._scores))
        return self._scores[which], variant

    def _drawn(self, score: _Score, variant: int) -> _Rendering:
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


def _label(score: _Score, variant: int) -> str:
    return score.name if variant == 0 else f"{score.name}~{variant}"


class Joined:
    """Several sources one after the other."""

    def __init__(self, sources: Sequence[Source]):
        """Takes the sources in their order."""
        self._sources = sources
        self._ends = list(itertools.accumulate(len(source) for source in sources))

    @property
    def names(self) -> list[str]:
        """The names of all sources, in order."""
        return [name for source in self._sources for name in source.names]

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Stems:
        source, index = self._find(index)
        return source[index]

    def transposed(self, index: int, semitones: int) -> Stems:
        """Song `index` in another key."""
        source, index = self._find(index)
        return source.transposed(index, semitones)

    def revoiced(self, index: int, other: int) -> np.ndarray | None:
        """As that of `Rendered`; None where the two are of different sources, or recorded."""
        (source, index), (lender, other) = self._find(index), self._find(other)
        return revoiced(source, index, other) if source is lender else None

    def _find(self, index: int) -> tuple[Source, int]:
        index = range(len(self))[index]
        which = bisect.bisect_right(self._ends, index)
        return self._sources[which], index - (self._ends[which - 1] if which else 0)


def _open_one(spec: str, split: str, settings: _Settings) -> Source:
    kind, _, where = spec.strip().partition(":")
    if kind == "midi" and where:
        files = midi_files(_folder(where))
        chosen = [f for i, f in enumerate(files) if _in(split, i % 5 == 0)]
        return _rendered("midi", spec, chosen, _read_midi, settings)
    if kind == "pop909" and where:
        folders = [f for f in sorted(_folder(where).iterdir()) if f.is_dir() and f.name.isdigit()]
        chosen = [f for f in folders if _in(split, int(f.name) >= POP909_FIRST_VALIDATION)]
        return _rendered("pop909", spec, chosen, lead_sheets.read_lead_sheet, settings)
    if kind == "composed" and where.isdigit() and int(where) > 0:
        first = {"train": [0], "validation": [COMPOSED_VALIDATION]}.get(
            split, [0, COMPOSED_VALIDATION]
        )
        indices = [start + i for start in first for i in range(int(where))]
        scores = [_Score(f"composed-{i}", functools.partial(songs.compose, i)) for i in indices]
        return Rendered("composed", scores, settings)
    if settings.drums_alone and kind in ("stems", "tfds"):
        raise InputError(
            f"{spec}: the bass of a recorded song cannot be made to hold one note; leave out "
            "--drums-alone or name songs that are rendered."
        )
    if kind == "stems" and where:
        folders = stems.song_folders(_folder(where))
        held_out = splits.hashed([folder.name for folder in folders])
        chosen = [folder for folder in folders if _in(split, folder.name in held_out)]
        if not chosen:
            raise InputError(f"{spec}: the {split} split has no songs; add songs or use all.")
        return StemFolder(where, chosen)
    if kind == "tfds" and where:
        # Others do without the second that importing TFDS takes.
        from bassdiff.data.builders.reading import open_prepared

        return open_prepared(where, split)
    raise InputError(
        f"{spec!r} names no songs; use midi:DIR, pop909:DIR, composed:N, stems:DIR or "
        "tfds:NAME@DATA_DIR."
    )


def midi_files(folder: Path) -> list[Path]:
    """The MIDI files of a folder, in the order that decides which are held out."""
    return sorted(folder.glob("*.mid"))


def _rendered(
    kind: str,
    spec: str,
    paths: Sequence[Path],
    read: Callable[[Path, int], Song],
    settings: _Settings,
) -> Rendered:
    if not paths:
        raise InputError(f"{spec}: there are no songs in this split; check the folder.")
    scores = [_Score(path.stem, functools.partial(read, path), path) for path in paths]
    return Rendered(kind, scores, settings)


def _read_midi(path: Path, seed: int) -> Song:
    """A MIDI file leaves nothing to draw."""
    return midi.read_midi(path)


def _folder(where: str) -> Path:
    folder = Path(where)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; check the path.")
    return folder


def _in(split: str, is_validation: bool) -> bool:
    return split == "all" or (split == "validation") == is_validation


def _cached(folder: Path, label: str, fresh: Callable[[], Stems]) -> Stems:
    """Reads `folder`, or fills it first; a half-written song is never seen under its name."""
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
