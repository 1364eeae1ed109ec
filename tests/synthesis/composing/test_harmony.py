import numpy as np
import pytest

from bassdiff.synthesis.composing.harmony import (
    PROGRESSIONS,
    SCALES,
    chord,
    nearest,
    progression,
    voicing,
)
from bassdiff.synthesis.composing.meter import Harmony


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("I", Harmony(0, "maj", 0)),
        ("vi", Harmony(9, "min", 9)),
        ("bVII", Harmony(10, "maj", 10)),
        ("V7/3", Harmony(7, "7", 11)),
        ("ii7", Harmony(2, "min7", 2)),
        ("IVmaj7", Harmony(5, "maj7", 5)),
        ("I/5", Harmony(0, "maj", 7)),
        ("i/7", Harmony(0, "min", 10)),
        ("iihdim7", Harmony(2, "hdim7", 2)),
        ("i5", Harmony(0, "5", 0)),
    ],
)
def test_numerals_in_c(token, expected):
    assert chord(token, tonic=0) == expected


def test_numerals_move_with_the_key():
    for tonic in range(12):
        assert chord("V7/3", tonic).root == (7 + tonic) % 12
        assert chord("V7/3", tonic).bass == (11 + tonic) % 12


def test_unknown_numeral_is_an_error():
    with pytest.raises(ValueError, match="X"):
        chord("X", 0)


@pytest.mark.parametrize("mode", sorted(PROGRESSIONS))
def test_every_progression_of_the_mode_can_be_read(mode):
    for words in PROGRESSIONS[mode]:
        for token in words.replace(",", " ").split():
            assert len(chord(token, 0).tones) >= 2
    drawn = [progression(mode, 0, np.random.default_rng(seed)) for seed in range(40)]
    assert len({str(bars) for bars in drawn}) > 4
    roots = [h.root for bars in drawn for bar in bars for h in bar]
    assert np.mean(np.isin(roots, SCALES[mode])) > 0.5


def test_voicing_holds_the_chord_and_moves_little():
    rng = np.random.default_rng(0)
    previous = voicing((0, 4, 7), (), low=53)
    for _ in range(50):
        root = int(rng.integers(12))
        tones = (root, (root + 3) % 12, (root + 7) % 12)
        pitches = voicing(tones, previous, low=53)
        assert {pitch % 12 for pitch in pitches} == set(tones)
        assert list(pitches) == sorted(pitches)
        assert 53 <= min(pitches) <= max(pitches) < 53 + 24
        assert abs(np.mean(pitches) - np.mean(previous)) <= 6.0
        previous = pitches


def test_nearest_is_the_closest_of_its_class():
    for tone in range(12):
        found = nearest(tone, 50, 28, 70)
        assert found % 12 == tone
        assert abs(found - 50) <= 6
