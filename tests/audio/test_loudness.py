import numpy as np
import pyloudnorm
import pytest

from bassdiff.audio.loudness import integrated_lufs


def song(rate_hz, seconds, seed=0):
    """Noise under a slow swell with a hum, a constant and a silent stretch."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    wave = rng.normal(size=len(time)) * (0.05 + 0.05 * np.sin(time)) ** 2
    wave += 0.1 * np.sin(2 * np.pi * 45.0 * time) * (time % 3 < 1) + 0.2
    wave[len(wave) // 3 : len(wave) // 2] *= 1e-4
    return wave.astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("seconds", [0.4, 0.45, 1.3, 7.77, 31.0])
def test_it_is_that_of_the_library(rate_hz, seconds):
    wave = song(rate_hz, seconds)
    wave = np.append(wave, wave[:1])
    expected = pyloudnorm.Meter(rate_hz).integrated_loudness(wave.astype(np.float64))
    assert integrated_lufs(wave, rate_hz) == pytest.approx(expected, abs=2e-3)


def test_what_is_below_the_gate_is_silence():
    assert integrated_lufs(np.zeros(44100, np.float32), 44100) == -np.inf
    assert integrated_lufs(np.full(44100, 0.5, np.float32) * 1e-4, 44100) == -np.inf


def test_loudness_grows_with_the_level():
    wave = song(44100, 5.0)
    softer = integrated_lufs(wave * np.float32(0.1), 44100)
    assert softer == pytest.approx(integrated_lufs(wave, 44100) - 20.0, abs=1e-3)
