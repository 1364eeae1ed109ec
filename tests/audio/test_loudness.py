import numpy as np
import pyloudnorm
import pytest

from bassdiff.audio.loudness import LoudnessMeter, loudness_lufs, match_loudness


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
    assert loudness_lufs(wave, rate_hz) == pytest.approx(expected, abs=2e-3)


def test_it_may_come_in_blocks_of_any_length():
    wave = song(44100, 7.77)
    meter = LoudnessMeter(44100)
    for block in np.split(wave, [1, 1, 40_000, 40_001, 300_000]):
        meter.add(block)
    assert meter.lufs() == pytest.approx(loudness_lufs(wave, 44100), abs=1e-9)


def test_what_is_below_the_gate_is_silence():
    assert loudness_lufs(np.zeros(44100, np.float32), 44100) == -np.inf
    assert loudness_lufs(np.full(44100, 0.5, np.float32) * 1e-4, 44100) == -np.inf


def test_loudness_grows_with_the_level():
    wave = song(44100, 5.0)
    softer = loudness_lufs(wave * np.float32(0.1), 44100)
    assert softer == pytest.approx(loudness_lufs(wave, 44100) - 20.0, abs=1e-3)


def tone(num_samples=44100, rate_hz=44100, f_hz=997.0):
    return np.sin(2 * np.pi * f_hz * np.arange(num_samples) / rate_hz).astype(np.float32)


@pytest.mark.parametrize(("rate_hz", "f_hz"), [(2000, 100), (4000, 100), (8000, 3000)])
def test_loudness_at_a_low_rate_is_that_at_ours(rate_hz, f_hz):
    ours = loudness_lufs(0.1 * tone(3 * 44100, 44100, f_hz), 44100)
    low = loudness_lufs(0.1 * tone(3 * rate_hz, rate_hz, f_hz), rate_hz)
    assert low == pytest.approx(ours, abs=0.3)


@pytest.mark.parametrize(
    ("f_hz", "lufs"), [(10, -47.5), (30, -32.0), (8000, -19.7), (20000, -19.7)]
)
def test_very_low_and_very_high_material_has_a_loudness(f_hz, lufs):
    """A sine at -20 dBFS, by BS.1770's filters; those who read it are not told of silence."""
    wave = 0.1 * tone(3 * 44100, 44100, f_hz)
    assert loudness_lufs(wave, 44100) == pytest.approx(lufs, abs=0.2)
    matched = match_loudness(wave, 44100, -16.0)
    assert loudness_lufs(matched, 44100) == pytest.approx(-16.0, abs=0.01)


@pytest.mark.parametrize("rate_hz", [22050, 44100, 48000])
def test_loudness_of_a_full_scaletone(rate_hz):
    # BS.1770: a 997 Hz sine at 0 dBFS in one channel reads -3.01 LUFS.
    assert loudness_lufs(tone(3 * rate_hz, rate_hz), rate_hz) == pytest.approx(-3.01, abs=0.1)


def test_loudness_of_a_short_clip_is_near_that_of_a_long_one():
    assert loudness_lufs(tone(8820), 44100) == pytest.approx(-3.01, abs=0.1)


@pytest.mark.parametrize("num_samples", [0, 1, 1000, 44100])
def test_silence_has_no_loudness_and_stays(num_samples):
    silence = np.zeros(num_samples, np.float32)
    assert loudness_lufs(silence, 44100) == -np.inf
    np.testing.assert_array_equal(match_loudness(silence, 44100, -16.0), silence)


@pytest.mark.parametrize("num_samples", [5000, 100_000])
def test_matched_loudness_is_the_target(num_samples):
    matched = match_loudness(song(22050, num_samples / 22050), 44100, -16.3)
    assert matched.dtype == np.float32
    assert loudness_lufs(matched, 44100) == pytest.approx(-16.3, abs=0.01)
