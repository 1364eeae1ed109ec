"""The band besides drums and bass: chords, pads, arpeggios and melodies.

Each function draws a player's pattern for a section and returns the player, which turns one bar
into events.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from bassdiff.synthesis.composing.harmony import nearest, voicing
from bassdiff.synthesis.composing.meter import Bar, Event, Meter

BandPlayer: TypeAlias = Callable[[Bar], list[Event]]

MELODY_LOW, MELODY_HIGH = 60, 84
KEYS_LOW, PADS_LOW, GUITAR_LOW, ARPEGGIO_LOW = 53, 52, 50, 60
POWER_LOW = 40


def comping(rng: np.random.Generator, meter: Meter, low: int = KEYS_LOW) -> BandPlayer:
    """Chords in one rhythm: held, on the beat, between the beats, or syncopated."""
    half = max(meter.division // 2, 1)
    beats = list(range(0, meter.steps, meter.division))
    onsets = [
        [0],
        beats,
        [beat + half for beat in beats],
        list(range(0, meter.steps, half)),
        _syncopation(rng, meter),
        _syncopation(rng, meter),
    ][int(rng.integers(6))]
    gate = float(rng.choice([0.3, 0.6, 0.95]))
    previous: tuple[int, ...] = ()

    def player(bar: Bar) -> list[Event]:
        nonlocal previous
        events = []
        for step, length in _filled(bar, onsets):
            previous = voicing(bar.harmony(step).tones, previous, low)
            accent = 8 if step % meter.division == 0 else 0
            events += [
                Event(bar.start + step, length * gate, pitch, 72 + accent) for pitch in previous
            ]
        return events

    return player


def pads(rng: np.random.Generator, meter: Meter) -> BandPlayer:
    """Held chords with smooth voice leading."""
    previous: tuple[int, ...] = ()
    low = PADS_LOW + int(rng.integers(0, 8))

    def player(bar: Bar) -> list[Event]:
        nonlocal previous
        events = []
        for step, _ in bar.changes:
            previous = voicing(bar.harmony(step).tones, previous, low)
            length = bar.next_change(step) - step
            events += [Event(bar.start + step, length, pitch, 70) for pitch in previous]
        return events

    return player


def arpeggios(rng: np.random.Generator, meter: Meter, low: int = ARPEGGIO_LOW) -> BandPlayer:
    """Arpeggiated chords in a fixed order."""
    unit = int(rng.choice([1, 2, 2] if meter.division == 4 else [1]))
    order = [int(i) for i in rng.permutation(4)]
    if rng.random() < 0.5:
        order = [0, 1, 2, 3, 2, 1] if rng.random() < 0.5 else [0, 1, 2, 3]
    gate = float(rng.uniform(0.5, 1.4))
    previous: tuple[int, ...] = ()

    def player(bar: Bar) -> list[Event]:
        nonlocal previous
        events = []
        for count, step in enumerate(range(0, bar.meter.steps, unit)):
            if any(at == step for at, _ in bar.changes):
                previous = voicing(bar.harmony(step).tones, previous, low)
            ladder = [*previous, *(pitch + 12 for pitch in previous)]
            pitch = ladder[order[count % len(order)]]
            velocity = 76 if step % meter.division == 0 else 66
            events.append(Event(bar.start + step, unit * gate, pitch, velocity))
        return events

    return player


def power_chords(rng: np.random.Generator, meter: Meter) -> BandPlayer:
    """Root and fifth on a distorted guitar: chugged, driven or held."""
    half = max(meter.division // 2, 1)
    onsets = [
        [0],
        list(range(0, meter.steps, half)),
        _syncopation(rng, meter),
        [s for s in range(meter.steps) if s % 4 != 1],
    ][int(rng.integers(4))]
    gate = float(rng.uniform(0.5, 1.0))

    def player(bar: Bar) -> list[Event]:
        events = []
        for step, length in _filled(bar, onsets):
            root = POWER_LOW + (bar.harmony(step).root - POWER_LOW) % 12
            events += [
                Event(bar.start + step, length * gate, root + interval, 88)
                for interval in (0, 7, 12)
            ]
        return events

    return player


def guide_tones(rng: np.random.Generator, meter: Meter) -> BandPlayer:
    """One held voice on the tones that tell chords apart."""
    last = int(rng.integers(64, 76))

    def player(bar: Bar) -> list[Event]:
        nonlocal last
        events = []
        for step, harmony in bar.changes:
            tones = harmony.tones[1:] if rng.random() < 0.8 else harmony.tones
            pitches = [nearest(tone, last, 60, 81) for tone in tones]
            last = min(pitches, key=lambda pitch: abs(pitch - last))
            events.append(Event(bar.start + step, bar.next_change(step) - step, last, 74))
        return events

    return player


def melody(rng: np.random.Generator, meter: Meter) -> BandPlayer:
    """Two phrases of two bars that take turns; chord tones on the beat, scale in between."""
    density = float(rng.uniform(0.25, 0.55))
    phrases = [_phrase(rng, meter, density) for _ in range(2)]
    form = str(rng.choice(["aaba", "abab", "aaab", "abaa"]))
    centre = int(rng.integers(67, 76))
    last = centre

    def player(bar: Bar) -> list[Event]:
        nonlocal last
        phrase = phrases["ab".index(form[bar.place // 2 % 4])]
        offset = bar.place % 2 * meter.steps
        if bar.place % 2 == 0:
            last = centre
        events = []
        for at, length, move in phrase:
            step = at - offset
            if not 0 <= step < bar.meter.steps:
                continue
            strong = step % meter.division == 0 or length >= meter.division
            tones = bar.harmony(step).tones if strong else bar.scale
            pitches = [nearest(tone, last + move, MELODY_LOW, MELODY_HIGH) for tone in tones]
            last = min(pitches, key=lambda pitch: abs(pitch - last - move))
            events.append(Event(bar.start + step, length * 0.93, last, 86 + 8 * strong))
        return events

    return player


def _phrase(rng: np.random.Generator, meter: Meter, density: float) -> list[tuple[int, int, int]]:
    """(step, length, move) over two bars; the end is left free to breathe."""
    half = max(meter.division // 2, 1)
    end = 2 * meter.steps - int(rng.integers(1, meter.steps // 2 + 1))
    first = int(rng.choice([0, 0, half, meter.division]))
    onsets = [
        step
        for step in range(first, end)
        if rng.random() < density * (1.5 if step % half == 0 else 0.25)
    ] or [first]
    lengths = np.diff([*onsets, end])
    moves = rng.choice([-4, -3, -2, -1, 0, 1, 2, 3, 5], len(onsets))
    # A tendency back to the centre keeps the phrase in its range.
    moves = moves - np.round(np.cumsum(moves) * 0.3).astype(int)
    return [
        (step, min(int(length), 3 * meter.division), int(move))
        for step, length, move in zip(onsets, lengths, moves, strict=True)
    ]


def _syncopation(rng: np.random.Generator, meter: Meter) -> list[int]:
    """A few onsets, most of them off the beat."""
    half = max(meter.division // 2, 1)
    chance = [
        0.35 if step % meter.division == 0 else 0.5 if step % half == 0 else 0.15
        for step in range(meter.steps)
    ]
    return [step for step, p in enumerate(chance) if rng.random() < p] or [half]


def _filled(bar: Bar, onsets: list[int]) -> list[tuple[int, int]]:
    """Onsets of the bar with their lengths; a new chord is always struck."""
    steps = sorted(
        {*(s for s in onsets if s < bar.meter.steps), *(at for at, _ in bar.changes if at > 0)}
    )
    return [(step, end - step) for step, end in itertools.pairwise([*steps, bar.meter.steps])]
