"""Timbre of a bass, as independent of its notes as possible.

Timbre and notes cannot be separated completely: higher notes move the partials, and louder ones are
brighter. Between lines of different composed songs, 24 s each, two thirds of
ten synthesised sounds are nearest to themselves (chance is a tenth); the median distance is
1.6 dB to the same sound playing another line and 6 dB to another sound playing the same line.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.resampling import resample
from bassdiff.audio.spectrogram import power_blocks
from bassdiff.data.latents import active_frames

NUM_BANDS = 64
_RATE_HZ = 22050
# 93 ms, nearly four periods of a bass's low E.
_WINDOW_SAMPLES = 2048
_HOP_SAMPLES = 512
_MIN_HZ, _MAX_HZ = 30.0, 8000.0
# Keeps the shape of the spectrum, not the partials. Smoothing the power before the logarithm, or
# the envelope of peaks, spreads the fundamental and discriminates less well.
_NUM_COEFFICIENTS = 12
# Relative to the loudest frame; tails depend on note lengths more than on timbre.
_SOUNDING_DB = -25.0
# Relative to the mean level; clips weaker content such as codec hiss.
_FLOOR_DB = -60.0


def timbre(bass: np.ndarray, sample_rate_hz: int = 44100) -> np.ndarray:
    """Mean and standard deviation of the smoothed spectrum of a bass.

    The log-mel spectrum of frames within 25 dB of the loudest is taken relative to their mean
    power, clipped at -60 dB, and smoothed across bands by keeping the first 12 cosine coefficients,
    as in the MFCC of Davis and Mermelstein, IEEE Trans. ASSP 1980.

    Args:
      bass: `[N]` float of any level.
      sample_rate_hz: Sample rate.

    Returns:
      `[128]` float64 in dB, 64 means and 64 standard deviations over frames, bands rising to
      8 kHz; NaN for silence.
    """
    if not len(bass) or not active_frames(np.asarray(bass)).any():
        return np.full(2 * NUM_BANDS, np.nan)
    samples = resample(bass, sample_rate_hz, _RATE_HZ)
    bands = librosa.filters.mel(
        sr=_RATE_HZ, n_fft=_WINDOW_SAMPLES, n_mels=NUM_BANDS, fmin=_MIN_HZ, fmax=_MAX_HZ
    )
    blocks = [bands @ block for block in power_blocks(samples, _WINDOW_SAMPLES, _HOP_SAMPLES)]
    power = np.concatenate(blocks, axis=1)
    level = power.sum(axis=0)
    sounding = level >= level.max() * 10 ** (_SOUNDING_DB / 10)
    relative = power[:, sounding] / level[sounding].mean()
    level_db = 10 * np.log10(np.maximum(relative.astype(float), 10 ** (_FLOOR_DB / 10)))
    coefficients = scipy.fft.dct(level_db, axis=0, norm="ortho")[:_NUM_COEFFICIENTS]
    smooth_db = scipy.fft.idct(coefficients, n=NUM_BANDS, axis=0, norm="ortho")
    return np.concatenate([smooth_db.mean(axis=1), smooth_db.std(axis=1)])


def timbre_distance(a: np.ndarray, b: np.ndarray) -> float:
    """RMS difference of two timbres, sqrt(mean((a - b)²)).

    Args:
      a: `[128]` float, from `timbre`.
      b: `[128]` float, from `timbre`.

    Returns:
      dB, 0 or more; NaN if either is silent.
    """
    return float(np.sqrt(np.mean(np.square(a - b))))


def retrieval_at_1(distance_matrix: np.ndarray, true_index: np.ndarray) -> float:
    """Share of generated basses that are nearest to their own reference.

    Args:
      distance_matrix: `[num_generated, num_references]` float.
      true_index: `[num_generated]` int, the column of each one's own reference.

    Returns:
      0…1; chance is 1 / num_references, and ties share their hits. NaN is never nearest, so a
      silent bass is a miss.

    >>> import numpy as np
    >>> retrieval_at_1(np.array([[0.5, 2.0], [1.0, 3.0]]), np.array([0, 1]))
    0.5
    """
    distances = np.where(np.isnan(distance_matrix), np.inf, distance_matrix)
    nearest = distances == distances.min(axis=1, keepdims=True)
    shares = nearest * np.isfinite(distances) / nearest.sum(axis=1, keepdims=True)
    return float(np.take_along_axis(shares, np.asarray(true_index)[:, None], axis=1).mean())
