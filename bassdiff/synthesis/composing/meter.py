"""Musical time: bars of equal steps, and where each step falls in seconds.

Composers work in steps counted from the start of the song (sixteenths, or eighths of a
triplet metre); a `Grid` turns steps into seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bassdiff.synthesis.score import QUALITIES, Bend, Chord, Note, Part

SLIDE_SECONDS = 0.11
SLIDE_POINTS = 8


class Meter(NamedTuple):
    """A bar of `beats`, each cut into `division` steps."""

    beats: int
    division: int

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return self.beats * self.division


FOUR_FOUR = Meter(4, 4)
THREE_FOUR = Meter(3, 4)
TWELVE_EIGHT = Meter(4, 3)
SIX_EIGHT = Meter(2, 3)


class Harmony(NamedTuple):
    """A chord without its time: root and bass as pitch classes, a key of `QUALITIES`."""

    root: int
    quality: str
    bass: int

    @property
    def tones(self) -> tuple[int, ...]:
        """Its pitch classes, root first."""
        return tuple((self.root + interval) % 12 for interval in QUALITIES[self.quality])


@dataclasses.dataclass(frozen=True)
class Bar:
    """One bar of a song.

    Attributes:
      start: its first step, counted from the start of the song.
      meter: its length; the last bar of a lead sheet may be a shorter one.
      changes: (step within the bar, harmony) in order, the first at step 0; empty for
        silence.
      following: The harmony of the next bar; None at the end.
      place: its index within its section.
      section_bars: bars in that section.
      energy: 0..1.
      scale: pitch classes of the key, tonic first.
    """

    start: int
    meter: Meter
    changes: tuple[tuple[int, Harmony], ...]
    following: Harmony | None
    place: int
    section_bars: int
    energy: float
    scale: tuple[int, ...]

    def harmony(self, step: float) -> Harmony:
        """The harmony at a step within the bar."""
        return [harmony for at, harmony in self.changes if at <= max(step, 0)][-1]

    def next_change(self, step: float) -> int:
        """The step within the bar where the harmony of `step` ends."""
        return next((at for at, _ in self.changes if at > step), self.meter.steps)

    def after(self, step: float) -> Harmony | None:
        """The harmony after the one at `step`."""
        return next((h for at, h in self.changes if at > step), self.following)

    @property
    def is_last(self) -> bool:
        """Whether the section ends with it."""
        return self.place == self.section_bars - 1


class Event(NamedTuple):
    """A note in steps from the start of the song; `slide`: semitones it comes from."""

    step: float
    length: float
    pitch: int
    velocity: int
    slide: float = 0.0


@dataclasses.dataclass(frozen=True)
class Grid:
    """The times of steps.

    Attributes:
      beat_seconds: `[num_beats]` increasing; extrapolated beyond its ends.
      division: Steps per beat.
      swing: 0 is even; 1 delays every second eighth (`swing_sixteenths`: every second
        sixteenth) to where a triplet would put it.
      swing_sixteenths: Whether sixteenths swing instead of eighths.
    """

    beat_seconds: np.ndarray
    division: int
    swing: float = 0.0
    swing_sixteenths: bool = False

    def seconds(self, step: float) -> float:
        """The time of a step, counted from the start of the song."""
        beat = step / self.division
        pairs = 2.0 if self.swing_sixteenths else 1.0
        whole, part = divmod(beat * pairs, 1.0)
        middle = 0.5 + self.swing / 6.0
        part = part / 0.5 * middle if part < 0.5 else middle + (part - 0.5) / 0.5 * (1 - middle)
        beat = (whole + part) / pairs
        last = len(self.beat_seconds) - 1
        index = int(np.clip(np.floor(beat), 0, last - 1))
        left, right = self.beat_seconds[index], self.beat_seconds[index + 1]
        return float(left + (beat - index) * (right - left))


def to_part(
    events: Iterable[Event],
    grid: Grid,
    stem: str,
    program: int,
    rng: np.random.Generator,
    looseness_seconds: float = 0.004,
) -> Part:
    """Converts events to notes, with small random deviations of time and velocity."""
    notes, bends = [], []
    for event in sorted(events):
        late = float(rng.normal(0.0, looseness_seconds))
        start = max(grid.seconds(event.step) + late, 0.0)
        end = max(grid.seconds(event.step + event.length) + min(late, 0.0), start + 0.03)
        velocity = int(np.clip(event.velocity + rng.normal(0.0, 4.0), 1, 127))
        notes.append(Note(start, end, event.pitch, velocity))
        if event.slide:
            for point in range(SLIDE_POINTS + 1):
                share = point / SLIDE_POINTS
                bends.append(Bend(start + share * SLIDE_SECONDS, event.slide * (1.0 - share)))
    notes.sort()
    return Part(stem, program, stem == "drums", tuple(notes), tuple(sorted(bends)))


def to_chords(bars: Iterable[Bar], grid: Grid) -> tuple[Chord, ...]:
    """The chord annotation of some bars; equal neighbours become one."""
    chords: list[Chord] = []
    for bar in bars:
        for at, harmony in bar.changes:
            start = grid.seconds(bar.start + at)
            end = grid.seconds(bar.start + bar.next_change(at))
            if chords and chords[-1][2:] == harmony and abs(chords[-1].end_seconds - start) < 1e-6:
                chords[-1] = chords[-1]._replace(end_seconds=end)
            else:
                chords.append(Chord(start, end, *harmony))
    return tuple(chords)
