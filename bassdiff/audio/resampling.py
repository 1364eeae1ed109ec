"""Changes of sample rate, of signals and of streams."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr


def resample(
    samples: np.ndarray, from_hz: int, to_hz: int, num_samples: int | None = None
) -> np.ndarray:
    """Changes the sample rate.

    Args:
      samples: `[N]` float.
      from_hz: rate of `samples`.
      to_hz: rate of the result.
      num_samples: length of the result, cut or padded with zeros; by default
        N · to_hz / from_hz, rounded half up.

    Returns:
      `[num_samples]` float32; of `samples` themselves where nothing is to be changed.
    """
    samples = np.asarray(samples, np.float32)
    wanted = output_length(len(samples), from_hz, to_hz) if num_samples is None else num_samples
    if from_hz != to_hz and len(samples):
        samples = soxr.resample(samples, from_hz, to_hz)
    return fitted(samples, wanted)


def fitted(samples: np.ndarray, num_samples: int) -> np.ndarray:
    """`[N]` cut to a length, which is a view, or filled up with zeros."""
    missing = num_samples - len(samples)
    return np.pad(samples, (0, missing)) if missing > 0 else samples[:num_samples]


def output_length(num_samples: int, from_hz: int, to_hz: int) -> int:
    """Samples at another rate, rounded half up."""
    return (num_samples * to_hz + from_hz // 2) // from_hz


def resampled_blocks(
    decoded: Iterator[np.ndarray], from_hz: int, to_hz: int
) -> Iterator[np.ndarray]:
    """Changes the sample rate of a mono signal that comes in blocks."""
    if from_hz == to_hz:
        yield from decoded
        return
    stream = soxr.ResampleStream(from_hz, to_hz, num_channels=1, dtype="float32")
    num_in = num_out = 0
    for block in decoded:
        num_in += len(block)
        block = stream.resample_chunk(block)
        num_out += len(block)
        yield block
    rest = stream.resample_chunk(np.empty(0, np.float32), last=True)
    wanted = max(0, output_length(num_in, from_hz, to_hz) - num_out)
    yield np.pad(rest[:wanted], (0, max(0, wanted - len(rest))))
