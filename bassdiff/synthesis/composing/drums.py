"""The drummer."""

from __future__ import annotations

import numpy as np

from bassdiff.synthesis.composing.meter import Bar, Event
from bassdiff.synthesis.composing.styles import (
    CRASH,
    HAT,
    KICK,
    OPEN_HAT,
    RIDE,
    SNARE,
    TAMBOURINE,
    TOMS,
    Style,
)


class Drummer:
    """Plays one section's groove with fills, and returns where the kicks fall."""

    def __init__(self, style: Style, rng: np.random.Generator):
        """Draws one pattern for each drum."""
        self._style = style
        self._rng = rng
        self._kick = str(rng.choice(style.kicks))
        self._snare = str(rng.choice(style.snares))
        self._hat = str(rng.choice(style.hats))
        self._hat_key = RIDE if style.hat_key == HAT and rng.random() < 0.2 else style.hat_key
        self._extra = rng.random() < 0.2
        self._fill_every = int(rng.choice([4, 8, 8]))

    def kicks(self, bar: Bar) -> tuple[int, ...]:
        """Steps of the bar on which the bass drum falls."""
        return tuple(i for i in range(bar.meter.steps) if _at(self._kick, i) != ".")

    def play(self, bar: Bar) -> list[Event]:
        """The bar's drums; quiet bars leave the snare out."""
        events = []
        steps = bar.meter.steps
        fills = bar.is_last or (bar.place + 1) % self._fill_every == 0
        fill_start = steps
        if fills and self._rng.random() < 0.75:
            fill_start = steps - bar.meter.division * int(self._rng.choice([1, 1, 2]))
        for step in range(steps):
            if step < fill_start:
                events += self._strokes(bar, step)
            elif self._rng.random() < 0.75:
                share = (step - fill_start) / (steps - fill_start)
                drum = SNARE if self._rng.random() < 0.4 else TOMS[int(share * len(TOMS))]
                events.append(self._event(bar, step, drum, 80 + 30 * share))
        if bar.place == 0 and bar.energy > 0.5:
            events.append(self._event(bar, 0, CRASH, 104))
        return events

    def _strokes(self, bar: Bar, step: int) -> list[Event]:
        strokes = [(self._kick, KICK, 104), (self._hat, self._hat_key, 78)]
        if bar.energy > 0.45:
            strokes.append((self._snare, self._style.snare_key, 104))
        if self._extra and bar.energy > 0.8:
            strokes.append(("x.", TAMBOURINE, 66))
        events = []
        for pattern, key, velocity in strokes:
            stroke = _at(pattern, step)
            if stroke == ".":
                continue
            on_beat = step % bar.meter.division == 0
            loud = velocity * (0.55 if stroke == "o" else 1.0) * (1.0 if on_beat else 0.88)
            key = OPEN_HAT if stroke == "O" and key == HAT else key
            events.append(self._event(bar, step, key, loud * (0.8 + 0.2 * bar.energy)))
        return events

    def _event(self, bar: Bar, step: int, key: int, velocity: float) -> Event:
        return Event(bar.start + step, 0.9, key, int(velocity))


def _at(pattern: str, step: int) -> str:
    return pattern[step % len(pattern)]
