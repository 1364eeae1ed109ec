"""Beats and bars of a song, in seconds."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np

from bassdiff.runtime.errors import InputError

MIN_BPM, MAX_BPM = 30.0, 400.0


@dataclasses.dataclass(frozen=True)
class Grid:
    """When the beats are, and which of them begin bars.

    Attributes:
      beat_seconds: `[n]` increasing; at least two.
      first_bar: The number of the beat that begins bar 1.
      beats_per_bar: How many beats a bar has.
    """

    beat_seconds: np.ndarray
    first_bar: int
    beats_per_bar: int

    @property
    def bpm(self) -> float:
        """The median tempo, in beats a minute."""
        return float(60.0 / np.median(np.diff(self.beat_seconds)))

    def seconds(self, beat: float) -> float:
        """The time of a beat or of a fraction between two; extrapolated beyond the ends."""
        times = self.beat_seconds
        if beat < 0:
            return float(times[0] + beat * (times[1] - times[0]))
        if beat > len(times) - 1:
            return float(times[-1] + (beat - len(times) + 1) * (times[-1] - times[-2]))
        return float(np.interp(beat, np.arange(len(times)), times))

    def beat(self, seconds: float) -> float:
        """The inverse of `seconds`: which beat it is, a fraction between two."""
        times = self.beat_seconds
        if seconds < times[0]:
            return float((seconds - times[0]) / (times[1] - times[0]))
        if seconds > times[-1]:
            return float(len(times) - 1 + (seconds - times[-1]) / (times[-1] - times[-2]))
        return float(np.interp(seconds, times, np.arange(len(times))))

    def bar_beats(self, number: int) -> tuple[int, int]:
        """The beats at which bar `number`, from 0, begins and ends."""
        first = self.first_bar + number * self.beats_per_bar
        return first, first + self.beats_per_bar

    def bar_seconds(self, number: int) -> float:
        """When bar `number`, from 0, begins."""
        return self.seconds(self.bar_beats(number)[0])

    def bars_until(self, seconds: float) -> list[float]:
        """When bars begin, up to a time."""
        count = itertools.takewhile(lambda bar: self.bar_seconds(bar) < seconds, itertools.count())
        return [self.bar_seconds(bar) for bar in count]

    def described(self) -> dict[str, float]:
        """The grid in three plain numbers, for a record."""
        return {
            "bpm": round(self.bpm, 2),
            "first_bar_seconds": round(self.bar_seconds(0), 3),
            "beats_per_bar": self.beats_per_bar,
        }

    def beats_until(self, seconds: float) -> np.ndarray:
        """The beats from the first on, `[n]` seconds, up to a time."""
        count = len(self.beat_seconds)
        while self.seconds(count) <= seconds:
            count += 1
        beats = np.array([self.seconds(beat) for beat in range(count)])
        return beats[beats <= seconds]

    def strong_beats(self, end_seconds: float) -> list[tuple[float, float]]:
        """When strong beats begin and end: the first of each bar, and the one in its middle."""
        strong = {0, self.beats_per_bar // 2} if self.beats_per_bar % 2 == 0 else {0}
        if self.beats_per_bar == 2:
            strong = {0}
        found = []
        beat = self.first_bar % self.beats_per_bar - self.beats_per_bar
        while self.seconds(beat) < end_seconds:
            if (beat - self.first_bar) % self.beats_per_bar in strong:
                found.append((self.seconds(beat), self.seconds(beat + 1)))
            beat += 1
        return found

    def scaled(self, factor: float) -> Grid:
        """The grid of the same song when it is slowed down by `factor`."""
        return dataclasses.replace(self, beat_seconds=self.beat_seconds * factor)

    def from_bar(self, number: int) -> Grid:
        """The same in a song that is cut to begin with bar `number`, from 0."""
        start = self.bar_seconds(number)
        later = self.beat_seconds[self.beat_seconds >= start - 1e-6]
        # A steady grid has two beats, which may both be over.
        first = self.bar_beats(number)[0]
        if len(later) < 2:
            later = np.array([self.seconds(first), self.seconds(first + 1)])
        return Grid(np.maximum(later - start, 0.0), 0, self.beats_per_bar)


def steady_grid(bpm: float, first_beat_seconds: float = 0.0, meter: str = "4/4") -> Grid:
    """The grid of a steady tempo.

    Args:
      bpm: Beats a minute; in a meter x/8, eighths a minute.
      first_beat_seconds: When bar 1 begins.
      meter: Beats of a bar and their value, as `4/4`.

    Raises:
      InputError: A value is out of range.
    """
    if not MIN_BPM <= bpm <= MAX_BPM:
        raise InputError(
            f"the tempo is {bpm:g} bpm; choose a value from {MIN_BPM:g} to {MAX_BPM:g}"
        )
    if not 0.0 <= first_beat_seconds < float("inf"):
        raise InputError(f"the first beat is at {first_beat_seconds:g} s; choose 0 or later")
    return Grid(first_beat_seconds + np.arange(2) * 60.0 / bpm, 0, beats_of(meter))


def beats_of(meter: str) -> int:
    """The beats in a bar of a meter such as `4/4`.

    Raises:
      InputError: It is not a meter.
    """
    found = re.fullmatch(r"([1-9]\d?)/(1|2|4|8|16)", meter)
    if not found or int(found[1]) > 16:
        raise InputError(f"{meter!r} is not a meter; write one such as 4/4, 3/4 or 6/8")
    return int(found[1])
