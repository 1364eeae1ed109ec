"""Multitrack songs as arrays, and folders of them on disk."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from bassdiff.audio.channels import read_heard
from bassdiff.audio.folders import AUDIO_SUFFIXES, visible_files
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.text_files import read_text
from bassdiff.synthesis.annotation import FILE_NAME, Annotation, parse_annotation

# Stems without a key, which are not transposed.
UNPITCHED = frozenset({"drums", "percussion"})

# Files beside stems that hold the whole song, and what their names may say besides.
_WHOLE_SONGS = frozenset({"mix", "mixture", "mixdown", "master", "mastered", "full"})
_BESIDES = frozenset({"final", "song", "track", "stereo", "copy", "v", "version", "the", "audio"})


@dataclasses.dataclass(frozen=True)
class Stems:
    """One song, split into its bass and everything else.

    Attributes:
      name: Unique within its source.
      bass: `[N]` float32 mono.
      others: One or more other stems by name, each `[N]` float32 mono.
      sample_rate_hz: Sample rate of all stems.
      annotation: Beats and chords, as far as they are known.
      padded_samples: Samples of silence appended to each stem that was shorter than the longest.
    """

    name: str
    bass: np.ndarray
    others: dict[str, np.ndarray]
    sample_rate_hz: int
    annotation: Annotation = dataclasses.field(default_factory=Annotation)
    padded_samples: dict[str, int] = dataclasses.field(default_factory=dict)

    def mix(
        self,
        names: Iterable[str] | None = None,
        gains_db: Mapping[str, float] | None = None,
    ) -> np.ndarray:
        """Sums stems other than the bass.

        Args:
          names: Names in `others` to sum; None for all.
          gains_db: Gain in dB by stem name, 0 by default.

        Returns:
          `[N]` float32; may exceed ±1.

        Raises:
          InputError: If a name is not in `others`.
        """
        gains_db = gains_db or {}
        total = np.zeros_like(self.bass)
        for name in self.others if names is None else names:
            if name not in self.others:
                raise InputError(
                    f"{self.name}: no stem is called {name!r}; choose among {sorted(self.others)}."
                )
            total += self.others[name] * np.float32(10.0 ** (gains_db.get(name, 0.0) / 20.0))
        return total


class Source(Protocol):
    """Songs with random access by index."""

    @property
    def names(self) -> list[str]:
        """Names of the songs, in order."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Stems: ...

    def transposed(self, index: int, semitones: int) -> Stems:
        """The same performance of song `index` in another key; recordings pass a vocoder."""
        return varied(self[index], semitones)


def song_folders(root: Path) -> list[Path]:
    """Sorted sub-folders of `root` that hold a `bass.*` file and another stem.

    Raises:
      InputError: If `root` is not a folder or holds no such song.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder of songs; check the path.")
    folders = [
        folder
        for folder in sorted(root.iterdir())
        if folder.is_dir()
        and not folder.name.startswith(".")
        and len(files := stem_files(folder)) > 1
        and "bass" in files
    ]
    if not folders:
        raise InputError(
            f"{root}: no sub-folder holds a bass.* file and another stem; "
            "lay the songs out as SONG/bass.wav, SONG/drums.wav, ..."
        )
    return folders


def read_stems(folder: Path, whole_songs: bool = False) -> Stems:
    """Reads the audio files of one song folder as mono stems at `SAMPLE_RATE_HZ`.

    Files shorter than the longest one are padded with silence at their end. Beats and chords
    come from an `annotation.json`, if there is one.

    Raises:
      InputError: If a file cannot be read, or the bass or all other stems are missing.
    """
    files = stem_files(folder, whole_songs)
    if "bass" not in files or len(files) < 2:
        raise InputError(
            f"{folder}: a song needs a bass.* file and another stem; add the missing one."
        )
    audio = {name: read_heard(path) for name, path in files.items()}
    length = max(len(samples) for samples in audio.values())
    padded = {name: np.pad(samples, (0, length - len(samples))) for name, samples in audio.items()}
    bass = padded.pop("bass")
    notes = folder / FILE_NAME
    known = parse_annotation(read_text(notes), str(notes)) if notes.is_file() else Annotation()
    lacked = {name: length - len(samples) for name, samples in audio.items()}
    missing = {name: samples for name, samples in lacked.items() if samples}
    return Stems(folder.name, bass, padded, SAMPLE_RATE_HZ, known, missing)


def varied(stems: Stems, semitones: int = 0, tempo: float = 1.0) -> Stems:
    """Changes key and tempo of a recording with a phase vocoder.

    Drums keep their pitch. The vocoder smears the attacks of all stems slightly.

    Args:
      stems: A song of N samples.
      semitones: Shift in pitch; negative is lower.
      tempo: Factor above 0; 1.1 is 10 % faster.

    Returns:
      The song with the same name: every stem `[round(N / tempo)]`, chords transposed, times of
      chords and beats divided by `tempo`.
    """
    if semitones == 0 and tempo == 1.0:
        return stems
    # Takes seconds to import, which readers of songs need not wait.
    from bassdiff.audio.vocoder import stretched_and_shifted

    def vary(samples: np.ndarray, semitones: int) -> np.ndarray:
        return stretched_and_shifted(samples, stems.sample_rate_hz, tempo, semitones)

    others = {
        name: vary(samples, 0 if name in UNPITCHED else semitones)
        for name, samples in stems.others.items()
    }
    return dataclasses.replace(
        stems,
        bass=vary(stems.bass, semitones),
        others=others,
        annotation=stems.annotation.transposed(semitones).at_tempo(tempo),
    )


class StemFolder(Source):
    """Songs in sub-folders, as in MUSDB18-HQ: `ROOT/SONG/bass.wav`, `drums.wav`, ...

    Files of whole songs, such as `mixture.*`, are ignored.
    """

    def __init__(
        self, root: str | Path, folders: Iterable[Path] | None = None, whole_songs: bool = False
    ):
        """Finds the songs under `root`, or takes those `folders` of it; see `stem_files`."""
        self._whole_songs = whole_songs
        self._folders = song_folders(Path(root)) if folders is None else list(folders)

    @property
    def names(self) -> list[str]:
        """Names of the song folders, in order."""
        return [folder.name for folder in self._folders]

    def __len__(self) -> int:
        return len(self._folders)

    def __getitem__(self, index: int) -> Stems:
        return read_stems(self._folders[index], self._whole_songs)


def stem_files(folder: Path, whole_songs: bool = False) -> dict[str, Path]:
    """The audio files of a song folder by stem, by default without those of the whole song."""
    return {
        path.stem.lower(): path
        for path in visible_files(folder, AUDIO_SUFFIXES)
        if whole_songs or not _is_whole_song(path.stem)
    }


def _is_whole_song(name: str) -> bool:
    """Whether a name, such as `Mixture (1)` or `full_mix`, is that of all stems together.

    >>> _is_whole_song("Mixture (1)"), _is_whole_song("drum mix")
    (True, False)
    """
    words = set(re.findall(r"[^\W\d_]+", name.lower()))
    return bool(words & _WHOLE_SONGS) and words <= _WHOLE_SONGS | _BESIDES
