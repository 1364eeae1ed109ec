"""What a codec loses is measured: known changes of a bass have known distances."""

import numpy as np
import pytest

from bassdiff.audio.pitch import pitch_agreement
from bassdiff.metrics.compression import through_mel, through_opus
from bassdiff.metrics.fidelity import (
    FRAME_PERIODS,
    chroma_correlation,
    frame_power,
    log_mel_distance,
    spectral_distance,
)

RATE_HZ = 44100
SECONDS = 4


@pytest.fixture(scope="module")
def bass():
    """A plucked line with partials up to 2 kHz and a little noise."""
    time = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    since = time % 0.5
    pitch = 41.2 * 2 ** (np.floor(time / 0.5) % 5 / 12)
    partials = sum(np.sin(2 * np.pi * k * pitch * since) / k for k in range(1, 30))
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.2 * np.exp(-4 * since) * (partials + 0.02 * noise)).astype(np.float32)


@pytest.mark.parametrize("distance", [log_mel_distance, spectral_distance])
def test_distances_are_in_db(bass, distance):
    assert distance(bass, bass) == 0.0
    # What the floor clips is a little nearer than the gain.
    assert 1.5 < distance(bass, 0.7079 * bass) <= 3.001
    assert distance(bass, 0.25 * bass) > distance(bass, 0.5 * bass) > distance(bass, 0.7 * bass)
    assert np.isnan(distance(np.zeros_like(bass), bass))


def test_a_lowpass_is_a_distance_where_it_cuts(bass):
    spectrum = np.fft.rfft(bass)
    spectrum[int(1000 * SECONDS) :] = 0.0
    dull = np.fft.irfft(spectrum, len(bass)).astype(np.float32)
    assert log_mel_distance(bass, dull) > 3.0


@pytest.mark.parametrize("period", FRAME_PERIODS)
def test_what_goes_with_frames_is_found(bass, period):
    assert frame_power(bass, bass) == 0.0
    time = np.arange(len(bass))
    buzz = 1.0 + 0.3 * np.cos(2 * np.pi * time / period)
    assert frame_power(bass, (bass * buzz).astype(np.float32)) > 1.0
    # The same at a period of no codec averages out.
    other = 1.0 + 0.3 * np.cos(2 * np.pi * time / (period * 1.237))
    assert frame_power(bass, (bass * other).astype(np.float32)) < 1.0
    assert np.isnan(frame_power(bass, np.zeros_like(bass)))


def test_opus_keeps_time_level_and_pitch(bass):
    back = through_opus(bass, 24000)
    assert back.shape == bass.shape
    assert back.dtype == np.float32
    # In place to the sample, or the waveforms would not match.
    assert np.corrcoef(bass, back)[0, 1] > 0.95
    assert np.std(back) == pytest.approx(np.std(bass), rel=0.05)
    assert pitch_agreement(bass, back).within_25_cents > 0.95
    assert log_mel_distance(bass, through_opus(bass, 64000)) < log_mel_distance(bass, back)


def test_opus_takes_what_is_over_full_scale(bass):
    loud = bass * np.float32(3.0 / np.abs(bass).max())
    assert np.abs(through_opus(loud, 64000)).max() == pytest.approx(3.0, rel=0.2)


def test_more_mel_bands_are_nearer(bass):
    few, many = (through_mel(bass, values) for values in (700, 5600))
    assert few.shape == many.shape == bass.shape
    assert few.dtype == np.float32
    assert spectral_distance(bass, many) < spectral_distance(bass, few)
    assert np.std(many) == pytest.approx(np.std(bass), rel=0.3)


def test_chroma_hears_keys_and_not_loudness():
    time = np.arange(SECONDS * RATE_HZ) / RATE_HZ

    def chords(semitones):
        pitches = 220.0 * 2 ** ((np.floor(time) * 5 % 12 + semitones) / 12)
        return sum(np.sin(2 * np.pi * np.cumsum(pitches * r) / RATE_HZ) for r in (1.0, 1.26, 1.5))

    mix = 0.1 * chords(0)
    assert chroma_correlation(mix, 0.3 * mix) == pytest.approx(1.0, abs=1e-6)
    assert chroma_correlation(mix, 0.1 * chords(1)) < 0.2
    noise = np.random.default_rng(0).standard_normal(len(mix))
    assert 0.2 < chroma_correlation(mix, mix + noise) < 0.99
    assert np.isnan(chroma_correlation(mix, np.zeros_like(mix)))
