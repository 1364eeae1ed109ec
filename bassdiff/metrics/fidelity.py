"""How much is left after a codec: spectrum, harmony, and what the codec's frames add."""

from __future__ import annotations

import numpy as np
import scipy.signal

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.spectrogram import power_blocks
from bassdiff.data.latents import active_frames
from bassdiff.metrics.harmony_rhythm import mix_features

# Samples of a latent frame and of what its decoder works in.
FRAME_PERIODS = (512, 1024, 2048)
_MEL_WINDOW, _MEL_HOP, _NUM_BANDS = 2048, 512, 64
_WINDOWS = (256, 512, 1024, 2048, 4096)
# What is this far below the loudest of the original counts as equally absent.
_FLOOR_DB = -60.0


def log_mel_distance(original: np.ndarray, copy: np.ndarray) -> float:
    """Mean absolute difference of log-mel spectra, 64 bands from 30 Hz to 8 kHz.

    Args:
      original: `[N]` float at 44.1 kHz.
      copy: the same length.

    Returns:
      dB over the bands and frames in which either is less than 60 dB below the original's
      highest, which the other is clipped to; NaN if the original is silent.
    """
    bands = librosa.filters.mel(
        sr=SAMPLE_RATE_HZ, n_fft=_MEL_WINDOW, n_mels=_NUM_BANDS, fmin=30.0, fmax=8000.0
    )
    return _difference_db(original, copy, _MEL_WINDOW, _MEL_HOP, bands)


def spectral_distance(original: np.ndarray, copy: np.ndarray) -> float:
    """As `log_mel_distance`, of the plain spectra of windows from 256 to 4096 samples; their mean.

    Hops are a quarter of each window.
    """
    return float(
        np.mean([_difference_db(original, copy, size, size // 4, None) for size in _WINDOWS])
    )


def chroma_correlation(original: np.ndarray, copy: np.ndarray) -> float:
    """Correlation of the chromas of a mix and of its copy, over all frames and pitch classes.

    Args:
      original: `[N]` float at 44.1 kHz.
      copy: the same length.

    Returns:
      -1 to 1; NaN where either has no chroma that varies.
    """
    ours, theirs = (mix_features(samples).chroma.ravel() for samples in (original, copy))
    if not (ours.std() > 0.0 and theirs.std() > 0.0):
        return float("nan")
    return float(np.corrcoef(ours, theirs)[0, 1])


def frame_power(original: np.ndarray, copy: np.ndarray) -> float:
    """How much more of its power a copy has in step with a codec's frames.

    The squared signal above 1 kHz, where no bass's own period is near, is folded at a frame's
    period: what goes with the frames adds up, all else averages out.

    Args:
      original: `[N]` float at 44.1 kHz.
      copy: the same length.

    Returns:
      log2 of the ratio of what varies along a period to what it varies around, copy to original,
      at the worst of `FRAME_PERIODS`: 0 is as in the original, 1 twice that; NaN for silence.
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
    # Sixteen places a period: finer ones are the partials' own doing.
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
