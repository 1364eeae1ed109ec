"""Chord progressions in any key, and voicings of their chords."""

from __future__ import annotations

import re

import numpy as np

from bassdiff.synthesis.composing.meter import Harmony
from bassdiff.synthesis.score import QUALITIES

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "blues": (0, 3, 5, 6, 7, 10),
}
MODE_WEIGHTS = {"major": 6, "minor": 6, "dorian": 2, "mixolydian": 2, "phrygian": 1, "blues": 2}

# One word a bar, a comma between chords that share it; capitals are major; "/3" puts the
# chord's third in the bass.
PROGRESSIONS: dict[str, tuple[str, ...]] = {
    "major": (
        "I V vi IV",
        "vi IV I V",
        "I vi IV V",
        "I vi ii V",
        "I IV V IV",
        "I IV I V",
        "IV V iii vi",
        "IV I V vi",
        "I iii IV V",
        "I V/3 vi IV",
        "I I/3 IV V",
        "vi V IV V",
        "I V ii IV",
        "I IV iv I",
        "I III7 vi IV",
        "I bVI bVII I",
        "I I7/3 IV iv",
        "I,V/3 vi,I/5 IV,I/3 ii,V",
        "I V/3 vi I/5 IV I/3 ii V",
        "ii7 V7 Imaj7 Imaj7",
        "Imaj7 vi7 ii7 V7",
        "Imaj7,vi7 ii7,V7 iii7,vi7 ii7,V7",
        "IVmaj7 iii7 ii7 Imaj7",
        "Imaj7 IVmaj7",
        "I I IV IV",
        "I Isus4 V Vsus4",
        "vi,V/7 I ii,V/3 I",
    ),
    "minor": (
        "i bVI bIII bVII",
        "i bVII bVI bVII",
        "i bVII bVI V7",
        "i iv bVII bIII",
        "i bVI iv V7",
        "i v bVI iv",
        "i i iv V",
        "i,bVII bVI,V7",
        "i7 iv7 i7 iv7",
        "iihdim7 V7 i i",
        "i bIII bVII iv",
        "i i/7 bVImaj7 V7",
        "i i bVI bVII",
        "bVI bVII i i",
        "i iv i V7",
        "i V7/3 i/3 iv",
        "iv7 bVII7 bIIImaj7 bVImaj7 iihdim7 V7 i i",
        "i5 i5 bVI5 bVII5",
        "i5 bIII5 bVII5 iv5",
    ),
    "dorian": (
        "i7 IV7",
        "i IV i IV",
        "i bVII IV i",
        "i7 i7 IV7 IV7",
        "i ii bIII IV",
        "i7 i7 i7 i7",
    ),
    "mixolydian": ("I bVII IV I", "I bVII I bVII", "I v IV I", "I7 I7 bVII IV", "I I bVII bVII"),
    "phrygian": ("i bII i bII", "i i bII bvii", "i5 i5 bII5 i5", "i bVII bVI bII"),
    "blues": (
        "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7",
        "I7 IV7 I7 I7 IV7 IV7 I7 VI7 ii7 V7 I7,VI7 ii7,V7",
        "i7 i7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 i7",
        "I7 I7 IV7 I7",
        "I7 I7 I7 I7",
    ),
}
_NUMERALS = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_TOKEN = re.compile(r"(b|#)?([ivIV]+)([a-z0-9]*)(?:/([357]))?$")
_SEVENTHS = {"maj": "maj7", "min": "min7"}


def chord(token: str, tonic: int) -> Harmony:
    """Reads a Roman numeral: `chord("V7/3", tonic=0)` is G7 over B.

    Args:
      token: accidental, numeral (degrees of the major scale), quality, bass.
      tonic: pitch class of I.

    Returns:
      The harmony; without a quality, capitals are major and small letters minor.
    """
    match = _TOKEN.match(token)
    if match is None:
        raise ValueError(f"not a chord: {token!r}")
    accidental, numeral, suffix, slash = match.groups()
    root = tonic + _NUMERALS[numeral.lower()] + {"b": -1, "#": 1}.get(accidental, 0)
    triad = "maj" if numeral.isupper() else "min"
    quality = {"": triad, "7": "7" if triad == "maj" else "min7"}.get(suffix, suffix)
    if slash == "7" and len(QUALITIES[quality]) < 4:
        bass = root - 2
    else:
        intervals = QUALITIES[quality]
        bass = root + (intervals[(int(slash) - 1) // 2] if slash else 0)
    return Harmony(root % 12, quality, bass % 12)


def progression(mode: str, tonic: int, rng: np.random.Generator) -> list[list[Harmony]]:
    """Draws a progression: the harmonies of each bar, which share it evenly."""
    if mode != "blues" and rng.random() < 0.2:
        words = _wandering(mode, rng)
    else:
        words = str(rng.choice(PROGRESSIONS[mode])).split()
    bars = [[chord(token, tonic) for token in word.split(",")] for word in words]
    if len(bars) <= 4 and rng.random() < 0.15:
        # Half as fast.
        bars = [bar for bar in bars for _ in range(2)]
    elif len(bars) % 2 == 0 and len(bars) > 2 and rng.random() < 0.12:
        # Twice as fast.
        bars = [(a + b)[:4] for a, b in zip(bars[0::2], bars[1::2], strict=True)]
    rich = rng.random() < 0.3
    inverting = float(rng.choice([0.0, 0.08, 0.25]))
    return [[_decorated(h, rich, inverting, rng) for h in bar] for bar in bars]


def _wandering(mode: str, rng: np.random.Generator) -> list[str]:
    """Four or eight chords of the key, starting on the first degree, by common root moves."""
    scale = SCALES[mode]
    degrees = [0]
    while len(degrees) < rng.choice([4, 4, 8]):
        # Up a fourth, down a third, up a second, up a fifth, down a second.
        move = rng.choice([3, 5, 1, 4, 6], p=[0.35, 0.2, 0.2, 0.15, 0.1])
        degrees.append(int(degrees[-1] + move) % 7)
    names = ["I", "bII", "II", "bIII", "III", "IV", "bV", "V", "bVI", "VI", "bVII", "VII"]
    words = []
    for degree in degrees:
        third = (scale[(degree + 2) % 7] - scale[degree]) % 12
        fifth = (scale[(degree + 4) % 7] - scale[degree]) % 12
        name = names[scale[degree]]
        if fifth == 6:
            words.append(name.replace("I", "i").replace("V", "v") + "dim")
        else:
            words.append(name if third == 4 else name.replace("I", "i").replace("V", "v"))
    return words


def _decorated(harmony: Harmony, rich: bool, inverting: float, rng: np.random.Generator) -> Harmony:
    root, quality, bass = harmony
    if rich and quality in _SEVENTHS and rng.random() < 0.7:
        quality = _SEVENTHS[quality]
    if bass == root and rng.random() < inverting:
        bass = harmony.tones[1 + int(rng.random() < 0.3) % (len(harmony.tones) - 1)]
    return Harmony(root, quality, bass)


def voicing(tones: tuple[int, ...], previous: tuple[int, ...], low: int) -> tuple[int, ...]:
    """Pitches for a chord, close together, moving as little as possible.

    Args:
      tones: pitch classes.
      previous: pitches of the chord before; empty at the start.
      low: lowest pitch allowed.

    Returns:
      One pitch for each tone, ascending, within two octaves above `low`.
    """
    ascending = sorted((tone - low) % 12 + low for tone in tones)
    inversions = []
    for _ in range(len(ascending) + 1):
        inversions.append(tuple(ascending))
        ascending = sorted([*ascending[1:], ascending[0] + 12])
    target = np.mean(previous) if previous else low + 8
    return min(inversions, key=lambda pitches: abs(np.mean(pitches) - target))


def nearest(tone: int, pitch: float, low: int, high: int) -> int:
    """The pitch of a class that lies closest to `pitch` within `low`..`high`."""
    candidates = range(low + (tone - low) % 12, high + 1, 12)
    return min(candidates, key=lambda candidate: abs(candidate - pitch))
