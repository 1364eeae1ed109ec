"""How far a mix is from A = 440 Hz, and the way there and back."""

import numpy as np
import pytest

from bassdiff.audio.tuning import at_speed, speed_of, tuning_cents

RATE = 44100


def song(cents, seconds=6.0):
    """Four chords of eight partials each, and noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    roots = np.asarray([48, 53, 55, 57])[(time / seconds * 4).astype(int)]
    wave = 0.02 * np.random.default_rng(0).standard_normal(len(time))
    for step in (0, 4, 7):
        hz = 440.0 * 2.0 ** ((roots + step - 69) / 12 + cents / 1200)
        phase = 2 * np.pi * np.cumsum(hz) / RATE
        wave += sum(0.1 / n * np.sin(n * phase) for n in range(1, 9))
    return wave.astype(np.float32)


@pytest.mark.parametrize("cents", [-45, -32, -8, 15, 40])
def test_the_tuning_of_a_song_is_found(cents):
    assert tuning_cents(song(cents)) == pytest.approx(cents, abs=4)


def test_a_song_in_tune_is_left_as_it_is():
    assert tuning_cents(song(0)) == 0.0
    assert tuning_cents(song(2)) == 0.0


def test_noise_drums_and_a_bare_tone_tell_nothing():
    rng = np.random.default_rng(0)
    time = np.arange(6 * RATE) / RATE
    noise = rng.standard_normal(len(time))
    drums = noise * np.exp(-30 * (time % 0.25)) + np.sin(2 * np.pi * 190 * time)
    for wave in (noise, drums, np.sin(2 * np.pi * 222 * time), np.zeros(6 * RATE)):
        assert tuning_cents(wave) == 0.0


@pytest.mark.parametrize("cents", [-50.0, -3.3, 31.8, 50.0])
@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_there_and_back_is_where_it_was(cents, rate):
    """To the sample, at the beginning, in the middle and at the end."""
    factor = speed_of(cents)
    time = np.arange(3 * rate + 17) / rate
    bursts = np.minimum.reduce([np.abs(time - at) for at in (0.2, 1.5, 2.8)])
    wave = (np.sin(2 * np.pi * 300 * time) * np.exp(-((bursts / 0.03) ** 2))).astype(np.float32)
    heard = at_speed(wave, factor)
    assert len(heard) == round(len(wave) * factor)
    # A cent sharp is played that much slower, and so in tune.
    middle = np.abs(heard[: len(heard) * 2 // 5]).argmax() / rate
    assert middle == pytest.approx(0.2 * factor, abs=0.01)
    back = at_speed(heard, 1.0 / factor, len(wave))
    assert back.shape == wave.shape
    np.testing.assert_allclose(back, wave, atol=2e-3)
