"""Measures of sound on signals whose answers are known."""

import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import track_pitch
from bassdiff.metrics.sound import gap_level_db, harmonic_to_noise_db, held_jitter_db, sound

SECONDS = 4.0
TIME = np.arange(int(SECONDS * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def saw(frequency_hz):
    partials = range(1, int(8000 / frequency_hz))
    return 0.2 * sum(np.sin(2 * np.pi * frequency_hz * k * TIME + k) / k for k in partials)


def notes(levels_db, attack_seconds=0.002):
    """Half a second each, 0.1 s of silence between them."""
    each = int(0.6 * SAMPLE_RATE_HZ)
    time = np.arange(each) / SAMPLE_RATE_HZ
    envelope = np.clip(time / attack_seconds, 0, 1) * np.clip((0.5 - time) / 0.01, 0, 1)
    tone = np.sin(2 * np.pi * 98.0 * time) + 0.5 * np.sin(2 * np.pi * 196.0 * time)
    return np.concatenate([0.2 * tone * envelope * 10 ** (level / 20) for level in levels_db])


@pytest.mark.parametrize("frequency_hz", [41.2, 82.4, 146.8])
@pytest.mark.parametrize("ratio_db", [10.0, 20.0])
def test_a_tone_in_noise_has_its_ratio(rng, frequency_hz, ratio_db):
    tone = saw(frequency_hz)
    noise = rng.normal(size=len(tone)) * tone.std() * 10 ** (-ratio_db / 20)
    mixed = (tone + noise).astype(np.float32)
    assert harmonic_to_noise_db(mixed, track_pitch(mixed)) == pytest.approx(ratio_db, abs=1.5)


@pytest.mark.parametrize("frequency_hz", [31.0, 55.0, 110.0])
def test_a_steady_tone_has_no_jitter_and_one_that_wavers_has(rng, frequency_hz):
    tone = saw(frequency_hz)
    assert held_jitter_db(tone) < 0.1
    steps_db = np.repeat(np.tile([0.0, 3.0], 100), 2048)[: len(tone)]
    assert held_jitter_db(tone * 10 ** (steps_db / 20)) > 1.2


def test_a_decay_is_as_steep_as_it_is():
    """60 dB in a second are 2.8 dB a frame of 46 ms."""
    decaying = saw(82.4)[: SAMPLE_RATE_HZ // 2]
    decaying = decaying * 10 ** (-3.0 * TIME[: len(decaying)])
    assert held_jitter_db(decaying) == pytest.approx(2.79, abs=0.25)


def test_notes_of_two_levels_are_half_their_distance_from_their_mean():
    assert sound(notes([0.0, -6.0] * 4)).level_spread_db == pytest.approx(3.0, abs=0.4)
    assert sound(notes([0.0] * 8)).level_spread_db < 0.3


def test_a_slow_attack_is_less_steep_than_a_fast_one():
    fast, slow = (sound(notes([0.0] * 6, seconds)).attack_db for seconds in (0.002, 0.15))
    assert fast > 40.0
    assert slow < 0.75 * fast


def test_a_bass_that_rests_with_its_mix_is_soft_in_the_gap():
    mix = np.random.default_rng(0).normal(size=12 * SAMPLE_RATE_HZ) * 0.1
    mix[4 * SAMPLE_RATE_HZ : 8 * SAMPLE_RATE_HZ] *= 0.01
    playing = np.tile(saw(55.0), 3)
    resting = playing.copy()
    resting[4 * SAMPLE_RATE_HZ : 8 * SAMPLE_RATE_HZ] *= 0.1
    assert gap_level_db(mix, playing) == pytest.approx(0.0, abs=1.0)
    assert gap_level_db(mix, resting) == pytest.approx(-20.0, abs=1.0)
    assert np.isnan(gap_level_db(mix[: 3 * SAMPLE_RATE_HZ], playing))


def test_of_silence_nothing_is_known():
    measured = sound(np.zeros(SAMPLE_RATE_HZ, np.float32))
    assert np.isnan([measured.hnr_db, measured.jitter_db, measured.level_spread_db]).all()
