"""Chords of a mix, from its partials."""

import numpy as np
import pytest

from bassdiff.audio.chord_estimation import NO_CHORD, estimate_chords

RATE = 44100


def song(chords, seconds_each=2.0, cents=0.0):
    """Triads of six partials each, in octaves from MIDI 48 on."""
    time = np.arange(round(seconds_each * RATE)) / RATE
    parts = []
    for root, third in chords:
        wave = np.zeros(len(time))
        for step in (0, third, 7, 12):
            hz = 440.0 * 2.0 ** ((48 + root + step - 69) / 12 + cents / 1200)
            wave += sum(0.1 / n * np.sin(2 * np.pi * n * hz * time) for n in range(1, 7))
        parts.append(wave)
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("cents", [0.0, 40.0])
def test_triads_are_named_where_they_are(cents):
    found = estimate_chords(song([(0, 4), (7, 4), (9, 3), (5, 4)], cents=cents), cents)
    assert [label for _, _, label in found] == [0, 7, 12 + 9, 5]
    np.testing.assert_allclose([start for start, _, _ in found], [0.0, 2.0, 4.0, 6.0], atol=0.25)
    assert [end for _, end, _ in found[:-1]] == [start for start, _, _ in found[1:]]
    assert found[-1][1] == pytest.approx(8.0, abs=0.1)


def test_noise_and_silence_have_no_chord():
    noise = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
    for wave in (noise, np.zeros(4 * RATE, np.float32)):
        assert {label for _, _, label in estimate_chords(wave)} == {NO_CHORD}


def test_a_passing_moment_is_not_a_chord():
    """A tenth of a second of another triad changes nothing."""
    wave = song([(0, 4)], 4.0)
    wave[RATE * 2 : RATE * 21 // 10] = song([(6, 3)], 0.1)
    assert [label for _, _, label in estimate_chords(wave)] == [0]
