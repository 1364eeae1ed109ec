"""Symbolic songs: beats, chords and the notes of every part.

Composed songs, MIDI files and lead sheets become a `Song`, which `render` turns into audio.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

# Pitch classes above the root, by chord quality.
QUALITIES: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "5": (0, 7),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "minmaj7": (0, 3, 7, 11),
    "dim7": (0, 3, 6, 9),
    "hdim7": (0, 3, 6, 10),
    "sus4(b7)": (0, 5, 7, 10),
}


class Note(NamedTuple):
    """One note: times in seconds from the start of the song, MIDI pitch and velocity."""

    start_seconds: float
    end_seconds: float
    pitch: int
    velocity: int


class Bend(NamedTuple):
    """From this moment on the part sounds `semitones` away from its notes."""

    start_seconds: float
    semitones: float


class Chord(NamedTuple):
    """A harmony held for a while.

    Attributes:
      start_seconds: Start.
      end_seconds: End.
      root: Pitch class 0..11, 0 = C.
      quality: A key of `QUALITIES`.
      bass: Pitch class of the lowest note; differs from `root` in inversions.
    """

    start_seconds: float
    end_seconds: float
    root: int
    quality: str
    bass: int

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The chord's pitch classes, root first."""
        return tuple((self.root + interval) % 12 for interval in QUALITIES[self.quality])

    def transposed(self, semitones: int) -> Chord:
        """The chord `semitones` higher."""
        return self._replace(root=(self.root + semitones) % 12, bass=(self.bass + semitones) % 12)


@dataclasses.dataclass(frozen=True)
class Part:
    """The notes of one instrument.

    Attributes:
      stem: Stem that it is rendered to; several parts may share one.
      program: General MIDI program 0..127 (for drums: the kit).
      is_drum: Whether pitches are General MIDI percussion keys.
      notes: Notes, sorted by start.
      bends: Pitch bends, sorted by start.
    """

    stem: str
    program: int
    is_drum: bool
    notes: tuple[Note, ...]
    bends: tuple[Bend, ...] = ()


@dataclasses.dataclass(frozen=True)
class Song:
    """A score with a beat grid in seconds.

    Attributes:
      name: Unique within its source.
      beat_seconds: `[num_beats]` float64, increasing.
      bar_seconds: `[num_bars]` float64, the downbeats, increasing.
      chords: Chords in order, without overlap; empty if unknown.
      parts: All parts; at least one has the stem "bass".
    """

    name: str
    beat_seconds: np.ndarray
    bar_seconds: np.ndarray
    chords: tuple[Chord, ...]
    parts: tuple[Part, ...]

    @property
    def tempo_bpm(self) -> float:
        """The median tempo in beats a minute."""
        return float(60.0 / np.median(np.diff(self.beat_seconds)))

    @property
    def end_seconds(self) -> float:
        """When the last note ends."""
        return max(note.end_seconds for part in self.parts for note in part.notes)

    @property
    def stem_names(self) -> tuple[str, ...]:
        """Names of the stems in order of first appearance."""
        return tuple(dict.fromkeys(part.stem for part in self.parts))

    def stem(self, name: str) -> tuple[Part, ...]:
        """The parts that are rendered into stem `name`."""
        return tuple(part for part in self.parts if part.stem == name)

    def transposed(self, semitones: int) -> Song:
        """The song `semitones` higher; drums stay as they are.

        Notes that would leave MIDI's 0..127 are folded back by octaves.
        """
        if semitones == 0:
            return self

        def move(pitch: int) -> int:
            pitch += semitones
            while pitch > 127:
                pitch -= 12
            while pitch < 0:
                pitch += 12
            return pitch

        parts = tuple(
            part
            if part.is_drum
            else dataclasses.replace(
                part, notes=tuple(n._replace(pitch=move(n.pitch)) for n in part.notes)
            )
            for part in self.parts
        )
        return dataclasses.replace(
            self, parts=parts, chords=tuple(chord.transposed(semitones) for chord in self.chords)
        )
