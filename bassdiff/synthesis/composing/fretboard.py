"""The fretboard, on which a bass player writes one bar: chords, kicks and notes so far."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from bassdiff.synthesis.composing.harmony import nearest
from bassdiff.synthesis.composing.meter import Bar, Event, Harmony, Meter
from bassdiff.synthesis.score import QUALITIES

LOWEST_PITCH = 24
HIGHEST_PITCH = 60


class Fretboard:
    """A bar under construction, with access to the notes of its chords.

    Attributes:
      bar: The bar.
      kicks: Steps of the bar with a bass drum.
      last: The previous pitch.
      rng: Source of variation between bars.
      events: Notes written so far.
    """

    def __init__(
        self, bar: Bar, kicks: tuple[int, ...], floor: int, last: int, rng: np.random.Generator
    ):
        """Takes the bar; roots lie within the octave above `floor`."""
        self.bar = bar
        self.kicks = kicks
        self.last = last
        self.rng = rng
        self.events: list[Event] = []
        self._floor = floor

    @property
    def steps(self) -> int:
        """Steps in the bar."""
        return self.bar.meter.steps

    def low(self, tone: int) -> int:
        """The pitch class in the lowest octave of the line."""
        return self._floor + (tone - self._floor) % 12

    def near(self, tone: int) -> int:
        """The pitch class close to the last note."""
        return nearest(tone, self.last, self._floor, self._floor + 19)

    def bass(self, step: float) -> int:
        """The pitch of the chord's lowest note."""
        return self.low(self.bar.harmony(step).bass)

    def fifth(self, step: float) -> int:
        """The chord's fifth, above its bass note or below it where that fits the range."""
        harmony = self.bar.harmony(step)
        fifth = (harmony.root + fifth_interval(harmony)) % 12
        tone = harmony.root if harmony.bass == fifth else fifth
        up = self.bass(step) + (tone - self.bass(step)) % 12
        return up - 12 if up - 12 >= self._floor else up

    def is_change(self, step: int) -> bool:
        """Whether a new harmony begins on the step."""
        return any(at == step for at, _ in self.bar.changes)

    def play(
        self, step: float, length: float, pitch: float, accent: float = 0.0, slide: float = 0.0
    ) -> None:
        """Writes a note; it ends with the bar at the latest, and is left out beyond it."""
        if not 0 <= step < self.steps:
            return
        while pitch > HIGHEST_PITCH:
            pitch -= 12
        while pitch < LOWEST_PITCH:
            pitch += 12
        velocity = int(np.clip(88 + 22 * accent + 8 * self.bar.energy, 30, 124))
        length = min(length, self.steps - step)
        self.events.append(Event(self.bar.start + step, length, int(pitch), velocity, slide))
        self.last = int(pitch)


Player: TypeAlias = Callable[[Fretboard], None]
Idiom: TypeAlias = Callable[[np.random.Generator, Meter], Player]


def fifth_interval(harmony: Harmony) -> int:
    """Semitones from the root to the chord's fifth, perfect where it has none."""
    return next((i for i in QUALITIES[harmony.quality] if i in (6, 7, 8)), 7)


def rhythm(rng: np.random.Generator, meter: Meter, density: float) -> list[int]:
    """Draws onsets of a bar: the first beat and others, preferably off the beat."""
    half = max(meter.division // 2, 1)
    chance = [
        0.6 if s % meter.division == 0 else 0.9 if s % half == 0 else 0.35
        for s in range(meter.steps)
    ]
    return [s for s in range(meter.steps) if s == 0 or rng.random() < chance[s] * density]


def with_changes(board: Fretboard, onsets: list[int]) -> list[int]:
    """The onsets that lie within the bar and those of its chords, sorted."""
    inside = (step for step in onsets if step < board.steps)
    return sorted({*inside, *(at for at, _ in board.bar.changes)})


def gaps(board: Fretboard, onsets: list[int]) -> list[tuple[int, int]]:
    """Each onset with the steps until the next one."""
    return [(step, end - step) for step, end in itertools.pairwise([*onsets, board.steps])]
