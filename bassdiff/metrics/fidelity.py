"""Fidelity of a codec: spectral and harmonic distances, and frame-rate artefacts."""

from __future__ import annotations

import numpy as np
import scipy.signal

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.spectrogram import power_blocks
from bassdiff.data.latents import active_frames
from bassdiff.metrics.harmony_rhythm import mix_features

# Frame lengths of the codec and its decoder, in samples.
FRAME_PERIODS = (512, 1024, 2048)
_MEL_WINDOW, _MEL_HOP, _NUM_BANDS = 2048, 512, 64
_WINDOWS = (256, 512, 1024, 2048, 4096)
# Levels this far below the original's maximum are clipped.
_FLOOR_DB = -60.0


def log_mel_distance(original: np.ndarray, copy: np.ndarray) -> float:
    """Mean absolute difference of log-mel spectra, 64 bands from 30 Hz to 8 kHz.

    Args:
      original: `[N]` float at 44.1 kHz.
      copy: `[N]` float.

    Returns:
      dB over all bands and frames in which either is within 60 dB of the original's maximum, with
      both clipped there; NaN if the original is silent.
    """
    bands = librosa.filters.mel(
        sr=SAMPLE_RATE_HZ, n_fft=_MEL_WINDOW, n_mels=_NUM_BANDS, fmin=30.0, fmax=8000.0
    )
    return _difference_db(original, copy, _MEL_WINDOW, _MEL_HOP, bands)


def spectral_distance(original: np.ndarray, copy: np.ndarray) -> float:
    """Mean of the distances of linear spectra with windows of 256 to 4096 samples.

    Hops are a quarter of the window; otherwise as `log_mel_distance`.
    """
    return float(
        np.mean([_difference_db(original, copy, size, size // 4, None) for size in _WINDOWS])
    )


def chroma_correlation(original: np.ndarray, copy: np.ndarray) -> float:
    """Correlation of the chromagrams of a mix and its copy, over frames and pitch classes.

    Args:
      original: `[N]` float at 44.1 kHz.
      copy: `[N]` float.

    Returns:
      -1 to 1; NaN if either chromagram is constant.
    """
    ours, theirs = (mix_features(samples).chroma.ravel() for samples in (original, copy))
    if not (ours.std() > 0.0 and theirs.std() > 0.0):
        return float("nan")
    return float(np.corrcoef(ours, theirs)[0, 1])


def frame_power(original: np.ndarray, copy: np.ndarray) -> float:
    """Frame-rate artefacts: power that varies in step with a codec's frames.

    The squared signal above 1 kHz, far from the periods of basses, is folded at the frame period:
    variation in step with frames adds up, everything else averages out.

    Args:
      original: `[N]` float at 44.1 kHz.
      copy: `[N]` float.

    Returns:
      log2 of the relative variance along a period, copy over original, at the worst of
      `FRAME_PERIODS`: 0 for no artefacts, 1 for twice the original; NaN for silence.
    """
    high = scipy.signal.butter(4, 1000.0, "high", fs=SAMPLE_RATE_HZ, output="sos")
    powers = [np.square(scipy.signal.sosfilt(high, x)) for x in (original, copy)]
    if not all(power.sum() > 1e-9 for power in powers):
        return float("nan")
    return max(
        float(np.log2(_in_step(powers[1], period) / _in_step(powers[0], period)))
        for period in FRAME_PERIODS
    )


def _in_step(power: np.ndarray, period: int) -> float:
    folded = power[: len(power) // period * period].reshape(-1, period).mean(axis=0)
    # Sixteen places per period; finer variation comes from partials.
    places = folded.reshape(16, -1).mean(axis=1)
    return float(places.var() / np.square(places.mean())) + 1e-9


def _difference_db(
    original: np.ndarray, copy: np.ndarray, window: int, hop: int, bands: np.ndarray | None
) -> float:
    if not active_frames(np.asarray(original)).any():
        return float("nan")
    total, count, top = 0.0, 0, 0.0
    for block in power_blocks(original, window, hop):
        top = max(top, float((block if bands is None else bands @ block).max(initial=0.0)))
    floor = top * 10 ** (_FLOOR_DB / 10)
    pairs = (power_blocks(samples, window, hop) for samples in (original, copy))
    for ours, theirs in zip(*pairs, strict=True):
        levels = [
            10 * np.log10(np.maximum(x if bands is None else bands @ x, floor))
            for x in (ours, theirs)
        ]
        heard = np.maximum(*levels) > 10 * np.log10(floor)
        total += float(np.abs(levels[0] - levels[1])[heard].sum())
        count += int(heard.sum())
    return total / count
