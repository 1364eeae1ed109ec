"""Windows and filter banks of the transforms, as numpy arrays."""

from __future__ import annotations

import numpy as np


def hann(frame_length: int) -> np.ndarray:
    """The periodic Hann window, `[frame_length]` float32."""
    phase = 2 * np.pi * np.arange(frame_length) / frame_length
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def band_filters(
    frame_length: int,
    sample_rate_hz: int,
    num_bands: int,
    fmin_hz: float,
    fmax_hz: float,
) -> np.ndarray:
    """Triangular filters evenly spaced in log-frequency, each at least two bins wide.

    Returns:
      `[frame_length // 2 + 1, num_bands]` float32, columns summing to 1.
    """
    edges = np.geomspace(fmin_hz, fmax_hz, num_bands + 2)
    bins_hz = np.arange(frame_length // 2 + 1) * sample_rate_hz / frame_length
    bin_hz = sample_rate_hz / frame_length
    # Below the FFT's resolution neighbouring triangles would be empty: widen them to a bin.
    lower = np.maximum(edges[1:-1] - edges[:-2], bin_hz)
    upper = np.maximum(edges[2:] - edges[1:-1], bin_hz)
    distance = bins_hz[:, None] - edges[None, 1:-1]
    weights = np.maximum(0.0, 1.0 - np.where(distance < 0, -distance / lower, distance / upper))
    return (weights / weights.sum(axis=0, keepdims=True)).astype(np.float32)
