"""Downmixes channels to one signal, and measures their loudness together."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, probe, read
from bassdiff.audio.loudness import LEAST_HZ, LoudnessMeter, loudness_lufs
from bassdiff.audio.resampling import resample
from bassdiff.audio.source import AudioSource

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
    for block in in_blocks(samples):
        products += _products(block)
    return _weighted(samples, _weights(products))


def mono_and_level(source: AudioSource) -> tuple[np.ndarray, float]:
    """A file as one signal, without ever holding all channels of a long one.

    Args:
      source: The file. It is read twice: the weights of channels depend on all of it.

    Returns:
      `[N]` float32 at the file's own rate, as `to_mono`, and the loudness of its channels, as
      `channels_lufs`.

    Raises:
      InputError: As `io.read`.
    """
    meter = ChannelsMeter(source.info.sample_rate_hz, source.info.channels)
    products, count = np.zeros((source.info.channels, source.info.channels)), 0
    for block in source.blocks():
        products += _products(block)
        meter.add(block)
        count += len(block)
    weights = _weights(products)
    mono, start = np.empty(count, np.float32), 0
    for block in source.blocks():
        mono[start : start + len(block)] = _weighted(block, weights)
        start += len(block)
    return mono, meter.lufs()


def in_blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    """`[N, channels]` as blocks, of which double precision takes little memory."""
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        yield samples[start : start + _BLOCK_SAMPLES]


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
    samples = samples.reshape(len(samples), -1)
    meter = ChannelsMeter(sample_rate_hz, samples.shape[1])
    for block in in_blocks(samples):
        meter.add(block)
    return meter.lufs()


class ChannelsMeter:
    """Measures `channels_lufs` of channels that come in blocks."""

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        """Begins with nothing heard."""
        self._rate_hz = sample_rate_hz
        self._meters = [LoudnessMeter(max(sample_rate_hz, LEAST_HZ)) for _ in range(channels)]
        self._slow: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Takes the next samples, `[n, channels]` float."""
        if self._rate_hz < LEAST_HZ:
            # To be resampled as a whole; an hour of it is small.
            self._slow.append(block)
            return
        for meter, channel in zip(self._meters, block.T, strict=True):
            meter.add(channel)

    def lufs(self) -> float:
        """The loudness of all samples, after which no more are taken."""
        if self._slow:
            channels = np.concatenate(self._slow).T
            levels = [loudness_lufs(channel, self._rate_hz) for channel in channels]
        else:
            levels = [meter.lufs() for meter in self._meters]
        if len(levels) == 1:
            return levels[0]
        power = sum(10.0 ** (level / 10.0) for level in levels) / 2.0
        return 10.0 * float(np.log10(power)) if power > 0.0 else float("-inf")
