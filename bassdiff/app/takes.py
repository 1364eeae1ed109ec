"""A user's song, and the basses to it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bassdiff.inference.grid import Grid


@dataclasses.dataclass(frozen=True)
class Song:
    """The mix of a user.

    Attributes:
      path: The file, as it was given.
      wave: The same as a wav file that browsers read.
      sample_rate_hz: Its rate.
      seconds: Its length.
      chords: (start seconds, end seconds, name), as they are heard.
      grid: Beats and bars, as they are heard; None where no pulse is.
      about: What is heard, in sentences.
      chord_text: The chords as text to edit.
    """

    path: Path
    wave: Path
    sample_rate_hz: int
    seconds: float
    chords: list[tuple[float, float, str]]
    grid: Grid | None
    about: str
    chord_text: str


@dataclasses.dataclass(frozen=True)
class Take:
    """One bass to the song.

    Attributes:
      number: Counts from 1 in each session.
      label: How it came about.
      seed: Its seed.
      bass: The file of the bass; the others lie beside it.
      notes: (start seconds, end seconds, MIDI pitch).
      region_seconds: What was played again, if it was a part.
      parents: Files that are needed to make it again, besides the song.
    """

    number: int
    label: str
    seed: int
    bass: Path
    notes: list[tuple[float, float, float]]
    region_seconds: tuple[float, float] | None = None
    parents: tuple[Path, ...] = ()

    @property
    def files(self) -> dict[str, Path]:
        """Its files by what they are; of a bass that was not played here, a few."""
        stem = self.bass.with_suffix("")
        paths = {
            "bass": self.bass,
            "mixdown": self.bass.with_name(f"{stem.name}-mixdown.wav"),
            "midi": self.bass.with_suffix(".mid"),
            "record": self.bass.with_suffix(".json"),
            "picture": self.bass.with_suffix(".png"),
            "spectrogram": self.bass.with_suffix(".spectrogram.png"),
        }
        return {what: path for what, path in paths.items() if path.is_file()}
