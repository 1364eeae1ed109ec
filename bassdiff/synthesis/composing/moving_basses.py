"""Bass idioms that move through chords and scales."""

from __future__ import annotations

import numpy as np

from bassdiff.synthesis.composing.fretboard import (
    Fretboard,
    Player,
    fifth_interval,
    gaps,
    rhythm,
    with_changes,
)
from bassdiff.synthesis.composing.meter import Meter
from bassdiff.synthesis.score import QUALITIES


def walking(rng: np.random.Generator, meter: Meter) -> Player:
    """A note a beat through chord and scale towards the next chord, reached by a neighbour."""
    skips = rng.random() < 0.5

    def player(board: Fretboard) -> None:
        for step in range(0, board.steps, meter.division):
            harmony, after = board.bar.harmony(step), board.bar.after(step)
            last_beat = board.bar.next_change(step) - step <= meter.division
            if board.is_change(step) or step == 0:
                pitch = board.near(harmony.bass)
            elif last_beat and after is not None and after != harmony:
                pitch = board.near(after.bass) + int(board.rng.choice([-1, 1, -2, 2, 7]))
            else:
                tones = [t for t in harmony.tones if board.near(t) != board.last]
                if board.rng.random() < 0.25:
                    tones = [t for t in board.bar.scale if board.near(t) != board.last]
                pitch = board.near(int(board.rng.choice(tones)))
            board.play(step, meter.division * 0.92, pitch, 0.1)
            if skips and meter.division == 3 and board.rng.random() < 0.12:
                board.play(step + 2, 0.7, board.last, -0.5)

    return player


def boogie(rng: np.random.Generator, meter: Meter) -> Player:
    """Root, third, fifth, sixth and back, as in blues."""
    doubled = rng.random() < 0.5

    def player(board: Fretboard) -> None:
        up = board.bar.place % 2 == 0
        for beat in range(meter.beats):
            step = beat * meter.division
            harmony = board.bar.harmony(step)
            third = QUALITIES[harmony.quality][1]
            figure = (0, third, 7, 9) if up else (10, 9, 7, third)
            interval = 0 if board.is_change(step) else figure[beat % 4]
            board.play(step, meter.division * 0.6, board.low(harmony.root) + interval, 0.2)
            if doubled:
                late = meter.division - 1 if meter.division == 3 else meter.division // 2
                board.play(step + late, 0.9, board.last, -0.3)

    return player


def arpeggio(rng: np.random.Generator, meter: Meter) -> Player:
    """The chord's tones up and down from its bass note."""
    unit = int(rng.choice([max(meter.division // 2, 1), meter.division]))
    order = ((0, 1, 2, 3), (0, 2, 3, 2), (0, 2, 1, 2), (0, 2, 4, 2))[int(rng.integers(4))]

    def player(board: Fretboard) -> None:
        count = 0
        for step in range(0, board.steps, unit):
            count = 0 if board.is_change(step) else count
            bottom = board.bass(step)
            above = sorted((tone - bottom) % 12 for tone in board.bar.harmony(step).tones)
            ladder = [bottom + i for i in above] + [bottom + 12 + i for i in above]
            board.play(step, unit * 0.95, ladder[order[count % len(order)] % len(ladder)])
            count += 1

    return player


def ostinato(rng: np.random.Generator, meter: Meter) -> Player:
    """A riff of chord tones and a neighbour that moves with the chord."""
    onsets = rhythm(rng, meter, float(rng.uniform(0.35, 0.6)))
    shape = [int(rng.choice([0, 0, 0, 7, 7, 10, 12, 3])) for _ in range(meter.steps)]
    shape[int(rng.integers(meter.steps))] = 5

    def player(board: Fretboard) -> None:
        for step, length in gaps(board, [s for s in onsets if s < board.steps]):
            harmony = board.bar.harmony(step)
            interval = 0 if step == 0 else shape[step % len(shape)]
            if interval == 3:
                interval = QUALITIES[harmony.quality][1]
            if interval == 7:
                interval = fifth_interval(harmony)
            if interval == 10 and 10 not in QUALITIES[harmony.quality]:
                interval = 12
            pitch = board.low(harmony.root) + interval if interval else board.low(harmony.bass)
            board.play(step, min(length, 3) * 0.85, pitch, 0.2 if step in board.kicks else 0.0)

    return player


def passing(rng: np.random.Generator, meter: Meter) -> Player:
    """Bass notes joined by steps of the scale before the chord changes."""
    unit = max(meter.division // 2, 1)
    count = int(rng.choice([1, 2, 3]))
    density = rhythm(rng, meter, 0.2)

    def player(board: Fretboard) -> None:
        onsets = with_changes(board, density)
        after = board.bar.following
        run_start = board.steps
        goal = board.near(after.bass) if after is not None else board.last
        if after is not None and after.bass != board.bar.harmony(board.steps - 1).bass:
            run_start = board.steps - count * unit
        main = [step for step in onsets if step < run_start]
        for step, length in gaps(board, main):
            board.play(step, min(length, run_start - step) * 0.9, board.bass(step), 0.1)
        if run_start == board.steps:
            return
        direction = 1 if goal >= board.last else -1
        ladder = [p for p in range(goal - 9, goal + 10) if p % 12 in board.bar.scale]
        line = [p for p in ladder if (goal - p) * direction > 0]
        line = line[-count:] if direction > 0 else line[:count][::-1]
        for place, pitch in enumerate(line):
            board.play(run_start + place * unit, unit * 0.9, pitch, -0.1)

    return player
