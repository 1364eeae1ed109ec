import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.vocoder import stretched_and_shifted

CHANGES = [(0.9, 0), (1.1, 0), (1.0, 2), (1.05, -2), (0.92, 2)]


def tone(hz, seconds):
    time_seconds = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.3 * np.sin(2 * np.pi * hz * time_seconds)).astype(np.float32)


def pitch_hz(samples):
    """The strongest partial, to a hundredth of a hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 22))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / (1 << 22)


@pytest.mark.parametrize(("tempo", "semitones"), CHANGES)
def test_a_low_tone_has_its_new_pitch_and_its_level(tempo, semitones):
    """An attack found where there is none would cut it."""
    out = stretched_and_shifted(tone(55.0, 4.0), SAMPLE_RATE_HZ, tempo, semitones)
    assert out.dtype == np.float32
    assert len(out) == round(4 * SAMPLE_RATE_HZ / tempo)
    inner = out[SAMPLE_RATE_HZ // 2 : -SAMPLE_RATE_HZ // 2]
    cents = 1200 * np.log2(pitch_hz(inner) / (55.0 * 2 ** (semitones / 12)))
    assert abs(cents) < 5
    blocks = inner[: len(inner) // 4410 * 4410].reshape(-1, 4410)
    level_db = 10 * np.log10(2 * np.mean(blocks**2, axis=1) / 0.3**2)
    assert np.abs(level_db).max() < 1.0


@pytest.mark.parametrize(("tempo", "semitones"), CHANGES)
def test_clicks_come_where_the_tempo_puts_them(tempo, semitones):
    """Within 3 ms, so that their spacing of 0.5 s is right within 1 %."""
    at = np.arange(1, 12) * SAMPLE_RATE_HZ // 2
    clicks = np.zeros(6 * SAMPLE_RATE_HZ, np.float32)
    clicks[at] = 1.0
    out = stretched_and_shifted(clicks, SAMPLE_RATE_HZ, tempo, semitones)
    reach = SAMPLE_RATE_HZ // 10
    expected = np.round(at / tempo).astype(int)
    found = np.array([x - reach + np.abs(out[x - reach : x + reach]).argmax() for x in expected])
    assert np.abs(found - at / tempo).max() < 0.003 * SAMPLE_RATE_HZ
    spacing = np.diff(found) / SAMPLE_RATE_HZ
    np.testing.assert_allclose(spacing, 0.5 / tempo, rtol=0.01)
    # An echo before or behind would be another attack.
    for x in found:
        around = np.abs(out[x - reach : x + reach])
        around[reach - 200 : reach + 200] = 0
        assert around.max() < 0.2 * np.abs(out[x])


def test_nothing_to_change_changes_nothing():
    samples = tone(110.0, 0.5)
    np.testing.assert_array_equal(stretched_and_shifted(samples, SAMPLE_RATE_HZ), samples)


def test_a_tape_that_runs_faster_needs_no_vocoder():
    """An octave higher at twice the tempo is every other sample, but for the highest tones."""
    samples = tone(110.0, 1.0)
    out = stretched_and_shifted(samples, SAMPLE_RATE_HZ, 2.0, 12)
    np.testing.assert_allclose(out[2000:-2000], samples[::2][2000:-2000], atol=1e-3)


def test_silence_stays_silent():
    silence = np.zeros(SAMPLE_RATE_HZ, np.float32)
    assert not stretched_and_shifted(silence, SAMPLE_RATE_HZ, 1.1, -1).any()


@pytest.mark.parametrize(("tempo", "semitones"), [(0.5, 24), (1.1, 1), (2.0, -24)])
@pytest.mark.parametrize("seconds", [0.01, 1.0])
def test_extremes_keep_their_length(tempo, semitones, seconds):
    out = stretched_and_shifted(tone(110.0, seconds), SAMPLE_RATE_HZ, tempo, semitones)
    assert len(out) == round(seconds * SAMPLE_RATE_HZ / tempo)
    assert np.isfinite(out).all()
