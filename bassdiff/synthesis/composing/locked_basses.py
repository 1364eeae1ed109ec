"""Rhythmic bass idioms, most of them locked to the kick."""

from __future__ import annotations

import numpy as np

from bassdiff.synthesis.composing.fretboard import Fretboard, Player, gaps, rhythm, with_changes
from bassdiff.synthesis.composing.meter import Meter
from bassdiff.synthesis.score import QUALITIES


def kick(rng: np.random.Generator, meter: Meter) -> Player:
    """Plays with the bass drum, on bass note, fifth and octave."""
    staccato = rng.random() < 0.4
    wander = float(rng.uniform(0.0, 0.35))

    def player(board: Fretboard) -> None:
        onsets = with_changes(board, list(board.kicks) or [0])
        for step, length in gaps(board, onsets):
            pitch = board.bass(step)
            if not board.is_change(step) and board.rng.random() < wander:
                pitch = board.fifth(step) if board.rng.random() < 0.6 else pitch + 12
            board.play(step, min(length, 1.5) if staccato else length * 0.92, pitch, 0.2)

    return player


def boom(rng: np.random.Generator, meter: Meter) -> Player:
    """Long, low notes on the kick with an octave or a slide now and then."""

    def player(board: Fretboard) -> None:
        onsets = with_changes(board, list(board.kicks) or [0])
        for step, length in gaps(board, onsets):
            slide = -5.0 if board.rng.random() < 0.15 else 0.0
            up = 12 * (not board.is_change(step) and board.rng.random() < 0.12)
            board.play(step, length, board.bass(step) + up, 0.3, slide)

    return player


def slides(rng: np.random.Generator, meter: Meter) -> Player:
    """Long notes that are slid into from below or above."""

    def player(board: Fretboard) -> None:
        onsets = with_changes(board, [0, *board.kicks[1:3]])
        for step, length in gaps(board, onsets):
            slide = 0.0
            if board.rng.random() < 0.6:
                slide = float(board.rng.choice([-2.0, -3.0, -5.0, -7.0, 2.0]))
            pitch = board.bass(step) + 12 * (not board.is_change(step) and board.rng.random() < 0.2)
            board.play(step, length * 0.97, pitch, 0.1, slide)

    return player


def syncopated(rng: np.random.Generator, meter: Meter) -> Player:
    """One rhythm off the beat, kept through the section, with the kicks in it."""
    onsets = rhythm(rng, meter, float(rng.uniform(0.25, 0.5)))
    colours = [float(rng.random()) for _ in range(meter.steps)]
    gate = float(rng.uniform(0.5, 0.95))

    def player(board: Fretboard) -> None:
        chosen = with_changes(board, [*onsets, *board.kicks[:2]])
        for step, length in gaps(board, chosen):
            colour = colours[step % len(colours)]
            if board.is_change(step) or colour < 0.6:
                pitch = board.bass(step)
            else:
                pitch = board.fifth(step) if colour < 0.85 else board.bass(step) + 12
            board.play(step, min(length, 4) * gate, pitch, 0.2 if step in board.kicks else -0.1)

    return player


def funk(rng: np.random.Generator, meter: Meter) -> Player:
    """Slap: sixteenths with ghost notes, octave and seventh pops."""
    onsets = rhythm(rng, meter, float(rng.uniform(0.4, 0.75)))
    intervals = [int(rng.choice([0, 0, 0, 12, 12, 10, 7])) for _ in range(meter.steps)]

    def player(board: Fretboard) -> None:
        chosen = with_changes(board, [*onsets, *board.kicks])
        for step, length in gaps(board, chosen):
            harmony = board.bar.harmony(step)
            interval = 0 if board.is_change(step) else intervals[step % len(intervals)]
            if interval == 10 and 10 not in QUALITIES[harmony.quality]:
                interval = 12
            pitch = board.low(harmony.root if interval else harmony.bass) + interval
            ghost = interval == 0 and step % 2 == 1 and step not in board.kicks
            board.play(step, 0.3 if ghost else min(length, 2) * 0.7, pitch, -1.2 if ghost else 0.4)

    return player


def reggae(rng: np.random.Generator, meter: Meter) -> Player:
    """Few, round notes around the chord, often with silence on the first beat."""
    shapes = (
        ((0, 3), (4, 2), (6, 2), (10, 2), (12, 3)),
        ((2, 2), (4, 3), (8, 4), (14, 2)),
        ((3, 1), (4, 3), (8, 2), (10, 2), (12, 3)),
        ((0, 2), (3, 3), (8, 2), (11, 3)),
    )
    shape = shapes[int(rng.integers(len(shapes)))]
    degrees = [int(rng.integers(0, 3)) for _ in shape]
    degrees[0] = 0

    def player(board: Fretboard) -> None:
        for (step, length), degree in zip(shape, degrees, strict=True):
            if step < board.steps:
                tones = board.bar.harmony(step).tones
                tone = board.bar.harmony(step).bass if degree == 0 else tones[degree % len(tones)]
                board.play(step, length * 0.9, board.near(tone) if degree else board.low(tone))

    return player


def tresillo(rng: np.random.Generator, meter: Meter) -> Player:
    """3 + 3 + 2 on bass note, fifth and octave, or the dotted figure of the bossa nova."""
    bossa = rng.random() < 0.4
    tied = rng.random() < 0.4

    def player(board: Fretboard) -> None:
        for half in range(0, board.steps, 8):
            shape = ((0, 3), (3, 1), (4, 3), (7, 1)) if bossa else ((0, 3), (3, 3), (6, 2))
            for count, (offset, length) in enumerate(shape):
                step = half + offset
                if step >= board.steps or (tied and step == 0 and board.bar.place > 0):
                    continue
                fifth = (count in (1, 2)) if bossa else count == 1
                pitch = board.fifth(step) if fifth else board.bass(step)
                board.play(step, length * 0.9, pitch + 12 * (not bossa and count == 2))

    return player
