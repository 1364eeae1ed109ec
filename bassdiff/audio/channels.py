"""Downmixes channels to one signal, and measures their loudness together."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, probe, read, read_blocks
from bassdiff.audio.loudness import LEAST_HZ, LoudnessMeter, loudness_lufs
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
    products = np.zeros((samples.shape[1], samples.shape[1]))
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        products += _products(samples[start : start + _BLOCK_SAMPLES])
    return _weighted(samples, _weights(products))


def read_mono_and_level(path: str | os.PathLike[str], max_samples: int) -> tuple[np.ndarray, float]:
    """Decodes an audio file to one signal, without ever holding all channels.

    A file of several channels is decoded twice: their weights depend on all of it.

    Args:
      path: A file of any format libsndfile or ffmpeg decodes.
      max_samples: Decoding stops once there are more.

    Returns:
      `[N]` float32 at the file's own rate, as `to_mono`, and the loudness of its channels, as
      `channels_lufs`.

    Raises:
      InputError: As `io.read`.
    """
    info = probe(path)
    if info.channels == 1 or info.sample_rate_hz < LEAST_HZ:
        samples = read(path, max_samples)
        return to_mono(samples), channels_lufs(samples, info.sample_rate_hz)
    meters = [LoudnessMeter(info.sample_rate_hz) for _ in range(info.channels)]
    products = np.zeros((info.channels, info.channels))
    count = 0
    for block in read_blocks(path, max_samples):
        products += _products(block)
        for meter, channel in zip(meters, block.T, strict=True):
            meter.add(channel)
        count += len(block)
    weights = _weights(products)
    mono = np.empty(count, np.float32)
    start = 0
    for block in read_blocks(path, max_samples):
        mono[start : start + len(block)] = _weighted(block, weights)
        start += len(block)
    return mono, _together([meter.lufs() for meter in meters])


def _weights(products: np.ndarray) -> np.ndarray:
    """`[channels, channels]` sums of products to `[channels]` float32, for `to_mono`."""
    power = np.diag(products)
    used = power > 1e-6 * power.max(initial=0.0)
    if not used.any():
        return np.full(len(power), 1.0 / len(power), np.float32)
    weights = used / np.float32(used.sum())
    # What a mean of equal channels would have.
    full = power[used].mean()
    if weights @ products @ weights < _LEAST_KEPT * full:
        values, vectors = np.linalg.eigh(products[np.ix_(used, used)])
        weights = np.zeros(len(used))
        # The sign of the strongest channel, so that the same song gives the same signal.
        weights[used] = vectors[:, -1] * np.sign(vectors[np.argmax(power[used]), -1])
        weights *= np.sqrt(full / max(float(values[-1]), 1e-20))
    return weights.astype(np.float32)


def _weighted(samples: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[N, channels]` to `[N]`, which rounds alike in blocks of any length, as `@` would not."""
    total = samples[:, 0] * weights[0]
    for number in range(1, len(weights)):
        total += samples[:, number] * weights[number]
    return total


def _products(block: np.ndarray) -> np.ndarray:
    """What channels have in common, `[channels, channels]` sums of products."""
    block = block.astype(np.float64)
    products: np.ndarray = block.T @ block
    return products


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
    return _together([loudness_lufs(channel, sample_rate_hz) for channel in samples.T])


def _together(levels: Sequence[float]) -> float:
    """The loudness in LUFS of channels of these loudnesses."""
    power = sum(10.0 ** (level / 10.0) for level in levels) / 2.0
    return 10.0 * float(np.log10(power)) if power > 0.0 else float("-inf")
