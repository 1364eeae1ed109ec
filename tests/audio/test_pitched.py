"""Where a mix has pitch and where it has none."""

import numpy as np
import pytest

from bassdiff.audio.pitched import partials, pitchless

RATE_HZ = 44100
FRAME = 2048


def chords(seconds):
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    roots = 220.0 * 2 ** ((np.floor(time * 2) * 5 % 12) / 12)
    phase = 2 * np.pi * np.cumsum(roots) / RATE_HZ
    partials = [k * ratio for k in (1, 2, 3) for ratio in (1.0, 1.26, 1.5)]
    return 0.05 * sum(np.sin(phase * p) / p for p in partials)


def drums(seconds, rng):
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    since = time % 0.25
    noise = rng.standard_normal(len(time)) * np.exp(-30 * since)
    kick = np.sin(2 * np.pi * (50 * since - 3 * np.exp(-30 * since))) * np.exp(-10 * since)
    return 0.2 * noise + 0.5 * kick


def told(mix):
    return pitchless(mix, -(-len(mix) // FRAME), FRAME / RATE_HZ)


@pytest.mark.parametrize("gain", [1e-3, 1.0, 30.0])
def test_chords_have_pitch_and_drums_have_none(rng, gain):
    assert not told(gain * chords(8.0)).any()
    assert told(gain * drums(8.0, rng)).all()
    both = chords(8.0) + drums(8.0, rng)
    assert not told(gain * both).any()


def test_an_intro_of_drums_is_told_from_the_song(rng):
    song = np.concatenate([drums(20.0, rng), drums(20.0, rng) + chords(20.0)])
    is_few = told(song)
    seconds = (np.arange(len(is_few)) + 0.5) * FRAME / RATE_HZ
    assert is_few[seconds < 13].all()
    assert not is_few[seconds > 21].any()


def test_a_short_break_changes_nothing(rng):
    assert not told(np.concatenate([chords(10.0), drums(4.0, rng), chords(10.0)])).any()


@pytest.mark.parametrize("seconds", [1.0, 3.3])
def test_silence_says_nothing_and_short_mixes_are_heard(rng, seconds):
    assert not told(np.zeros(round(seconds * RATE_HZ), np.float32)).any()
    assert told(drums(seconds, rng)).all()
    assert not told(chords(seconds)).any()


def test_a_pure_tone_that_stutters_has_pitch():
    time = np.arange(5 * RATE_HZ) / RATE_HZ
    assert not told(np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 3 * time) > 0)).any()


def test_partials_are_counted():
    time = np.arange(4 * RATE_HZ) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in (300.0, 500.0, 1210.0, 60.0, 4000.0))
    counts, shares, sounding = partials(tones)
    assert np.median(counts) == 3
    assert np.median(shares) > 0.95
    assert sounding[5:-5].all()
