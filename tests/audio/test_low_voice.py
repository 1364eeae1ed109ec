"""A bass in a mix is noticed, and a kick drum or high chords are none."""

import numpy as np
import pytest

from bassdiff.audio.low_voice import NOTICED, low_line

RATE_HZ = 44100
TIME = np.arange(12 * RATE_HZ) / RATE_HZ


def chords():
    notes = [57, 60, 64]
    return 0.1 * sum(
        np.sin(2 * np.pi * k * 440 * 2 ** ((note - 69) / 12) * TIME) / k
        for note in notes
        for k in range(1, 5)
    )


def kicks():
    since = TIME % 0.5
    return (
        0.8 * np.sin(2 * np.pi * (50 * since + 4 * (1 - np.exp(-30 * since)))) * np.exp(-12 * since)
    )


def bass():
    hz = 440 * 2 ** ((np.array([33, 36, 40, 31])[(TIME / 0.5).astype(int) % 4] - 69) / 12)
    phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    return 0.15 * (np.sin(phase) + 0.5 * np.sin(2 * phase)) * np.exp(-2 * (TIME % 0.5))


def test_a_bass_is_noticed():
    for mix in (chords() + bass(), chords() + 0.3 * kicks() + 2.0 * bass()):
        assert low_line(mix.astype(np.float32)) > NOTICED


def hum():
    return 0.2 * np.sin(2 * np.pi * 50 * TIME)


@pytest.mark.parametrize(
    "without", [chords(), chords() + kicks(), kicks(), chords() + hum(), 0.0 * TIME]
)
def test_mixes_without_one_have_none(without):
    assert low_line(without.astype(np.float32)) < 0.5 * NOTICED


def test_nothing_is_no_bass():
    assert low_line(np.zeros(0, np.float32)) == 0.0
