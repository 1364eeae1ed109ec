"""Downmixes channels to one signal, and measures their loudness together."""

from __future__ import annotations

import os

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, probe, read
from bassdiff.audio.loudness import loudness_lufs
from bassdiff.audio.resampling import resample

# The least share of the channels' power that a mean must keep; below it, channels of opposite
# polarity cancel. Two channels without anything in common keep half.
_LEAST_KEPT = 0.25
_BLOCK_SAMPLES = 1 << 18


def to_mono(samples: np.ndarray) -> np.ndarray:
    """`[N]` or `[N, channels]` to `[N]` float32: the mean, if that keeps most of the power.

    Channels of opposite polarity cancel in a mean, and empty ones dilute it. Where most of the
    power would be lost, the result is the channels' first principal component, which ignores
    their signs, at their mean power.
    """
    samples = np.asarray(samples, np.float32)
    if samples.ndim == 1 or samples.shape[1] == 1:
        return samples.reshape(-1)
    products = _products(samples)
    power = np.diag(products)
    used = power > 1e-6 * power.max(initial=0.0)
    if not used.any():
        return samples.mean(axis=1)
    weights = used / np.float32(used.sum())
    # What a mean of equal channels would have.
    full = power[used].mean()
    if weights @ products @ weights < _LEAST_KEPT * full:
        values, vectors = np.linalg.eigh(products[np.ix_(used, used)])
        weights = np.zeros(len(used))
        # The sign of the strongest channel, so that the same song gives the same signal.
        weights[used] = vectors[:, -1] * np.sign(vectors[np.argmax(power[used]), -1])
        weights *= np.sqrt(full / max(float(values[-1]), 1e-20))
    return samples @ weights.astype(np.float32)


def _products(samples: np.ndarray) -> np.ndarray:
    """What channels have in common, `[channels, channels]` sums of products, in little memory."""
    total = np.zeros((samples.shape[1], samples.shape[1]))
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = samples[start : start + _BLOCK_SAMPLES].astype(np.float64)
        total += block.T @ block
    return total


def read_heard(path: str | os.PathLike[str]) -> np.ndarray:
    """Decodes an audio file to one signal at 44.1 kHz, `[N]` float32, by `to_mono`.

    Raises:
      InputError: As `io.read`.
    """
    return resample(to_mono(read(path)), probe(path).sample_rate_hz, SAMPLE_RATE_HZ)


def channels_lufs(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Loudness of `[N]` or `[N, channels]`, in LUFS, where equal channels count once.

    A mono file is as loud as the same signal on two channels, of either polarity and beside empty
    channels.
    """
    samples = np.asarray(samples)
    if samples.ndim == 1 or samples.shape[1] == 1:
        return loudness_lufs(samples.reshape(len(samples)), sample_rate_hz)
    levels = [loudness_lufs(channel, sample_rate_hz) for channel in samples.T]
    power = sum(10.0 ** (level / 10.0) for level in levels) / 2.0
    return 10.0 * float(np.log10(power)) if power > 0.0 else float("-inf")
