"""Bass idioms that mark the chord: long, even, octaves, pedals."""

from __future__ import annotations

import numpy as np

from bassdiff.synthesis.composing.fretboard import Fretboard, Player, gaps, with_changes
from bassdiff.synthesis.composing.meter import Meter


def sustained(rng: np.random.Generator, meter: Meter) -> Player:
    """One long note a chord."""
    gate = float(rng.uniform(0.85, 1.0))

    def player(board: Fretboard) -> None:
        for step, length in gaps(board, with_changes(board, [0])):
            board.play(step, length * gate, board.bass(step))

    return player


def roots(rng: np.random.Generator, meter: Meter) -> Player:
    """Even notes on the chord's bass note."""
    unit = int(rng.choice([1, 3] if meter.division == 3 else [2, 2, 4]))
    gate = float(rng.uniform(0.45, 0.98))

    def player(board: Fretboard) -> None:
        for step in range(0, board.steps, unit):
            accent = 0.3 if step % meter.division == 0 else -0.2
            board.play(step, unit * gate, board.bass(step), accent)

    return player


def root_fifth(rng: np.random.Generator, meter: Meter) -> Player:
    """The bass note on strong beats, the fifth in between."""
    unit = meter.division if rng.random() < 0.3 or meter.beats != 4 else 2 * meter.division
    gate = float(rng.uniform(0.5, 0.95))
    pickup = rng.random() < 0.4

    def player(board: Fretboard) -> None:
        for count, (step, length) in enumerate(
            gaps(board, with_changes(board, list(range(0, board.steps, unit))))
        ):
            strong = count % 2 == 0 or board.is_change(step)
            pitch = board.bass(step) if strong else board.fifth(step)
            board.play(step, length * gate, pitch, 0.2 if strong else -0.1)
        last = board.steps - max(meter.division // 2, 1)
        after = board.bar.after(last)
        if pickup and after is not None and board.rng.random() < 0.5:
            board.play(last, 0.9, board.near(after.bass) - board.rng.choice([1, 2]), -0.2)

    return player


def octaves(rng: np.random.Generator, meter: Meter) -> Player:
    """Bass note on the beat, its octave off the beat."""
    half = max(meter.division // 2, 1)
    gate = float(rng.uniform(0.5, 0.9))

    def player(board: Fretboard) -> None:
        for step in range(0, board.steps, half):
            high = step % meter.division != 0
            board.play(step, half * gate, board.bass(step) + 12 * high, -0.2 if high else 0.2)

    return player


def disco(rng: np.random.Generator, meter: Meter) -> Player:
    """Octaves in eighths with sixteenth pick-ups and a run into the next chord."""
    pickups = {int(s) for s in rng.choice([3, 7, 11, 15], 2)}

    def player(board: Fretboard) -> None:
        for step in range(0, board.steps, 2):
            high = step % meter.division != 0
            board.play(step, 1.2, board.bass(step) + 12 * high, -0.1 if high else 0.2)
            if step + 1 in pickups:
                board.play(step + 1, 0.8, board.bass(step) + 12, -0.4)
        if board.bar.is_last and board.bar.following is not None:
            goal = board.near(board.bar.following.bass)
            for count in range(2):
                board.play(board.steps - 2 + count, 0.9, goal - 2 + count, 0.0)

    return player


def pedal(rng: np.random.Generator, meter: Meter) -> Player:
    """A pedal on the tonic, with the chord's bass note in the last bars of a section."""
    unit = int(rng.choice([max(meter.division // 2, 1), meter.division]))

    def player(board: Fretboard) -> None:
        holds = board.bar.place < board.bar.section_bars - 2
        for step in range(0, board.steps, unit):
            harmony = board.bar.harmony(step)
            # A pedal under a chord a semitone away would only sound wrong.
            clash = any((tone - board.bar.scale[0]) % 12 in (1, 11) for tone in harmony.tones)
            tone = board.bar.scale[0] if holds and not clash else harmony.bass
            board.play(step, unit * 0.85, board.low(tone), 0.2 if step == 0 else 0.0)

    return player


def sparse(rng: np.random.Generator, meter: Meter) -> Player:
    """A short note on each chord, then rests, at times a pick-up."""
    length = float(rng.uniform(1.0, 3.0))
    answer = int(rng.integers(meter.steps // 2, meter.steps))

    def player(board: Fretboard) -> None:
        for step in (at for at, _ in board.bar.changes):
            board.play(step, length, board.bass(step), 0.2)
        if board.bar.place % 2 == 1 and answer < board.steps:
            board.play(answer, 1.0, board.fifth(answer), -0.1)

    return player


def gallop(rng: np.random.Generator, meter: Meter) -> Player:
    """An eighth and two sixteenths, or their mirror, on the bass note."""
    shape = ((0, 2), (2, 1), (3, 1)) if rng.random() < 0.7 else ((0, 1), (1, 1), (2, 2))

    def player(board: Fretboard) -> None:
        for beat in range(0, board.steps, 4):
            for offset, length in shape:
                accent = 0.4 if offset == 0 else 0.0
                board.play(beat + offset, length * 0.7, board.bass(beat), accent)

    return player


def offbeat(rng: np.random.Generator, meter: Meter) -> Player:
    """Between the kicks: on every second eighth."""
    half = max(meter.division // 2, 1)

    def player(board: Fretboard) -> None:
        for step in range(half, board.steps, meter.division):
            board.play(step, half * 0.8, board.bass(step), 0.2)

    return player


def rolling(rng: np.random.Generator, meter: Meter) -> Player:
    """Sixteenths with rests on the kicks."""
    rests = rng.random() < 0.6

    def player(board: Fretboard) -> None:
        for step in range(board.steps):
            if not (rests and step % meter.division == 0):
                accent = 0.2 if step % meter.division == 2 else -0.1
                board.play(step, 0.7, board.bass(step), accent)

    return player
