"""Running minima, maxima, means and medians of short windows.

As those of scipy.ndimage, which takes longer to import than a song takes to be listened to.
"""

from __future__ import annotations

import numpy as np


def running_sum(values: np.ndarray, size: int) -> np.ndarray:
    """Sum of `[N, ...]` over `size` neighbours along the first axis, of those that there are."""
    return _sums(np.pad(values, _around(values, size)), size)


def running_mean(values: np.ndarray, size: int) -> np.ndarray:
    """Mean of `[N, ...]` over `size` neighbours along the first axis; ends are repeated."""
    return _sums(np.pad(values, _around(values, size), mode="edge"), size) / size


def _around(values: np.ndarray, size: int) -> list[tuple[int, int]]:
    # Of an even number, one more before than after.
    return [(size // 2, (size - 1) // 2)] + [(0, 0)] * (values.ndim - 1)


def _sums(values: np.ndarray, size: int) -> np.ndarray:
    total = np.cumsum(values, axis=0, dtype=np.float64)
    sums = total[size - 1 :]
    sums[1:] -= total[:-size]
    return sums


def running_minimum(values: np.ndarray, size: int) -> np.ndarray:
    """Least of `[N]` over `size` (odd) neighbours, of those that there are.

    Windows of any length take the same time: each is the end of one block and the beginning of the
    next (van Herk, Pattern Recognition Letters 13, 1992).
    """
    half, count = size // 2, len(values)
    after = half + -(count + 2 * half) % size
    blocks = np.pad(values, (half, after), constant_values=np.inf).reshape(-1, size)
    forwards = np.minimum.accumulate(blocks, axis=1).ravel()
    backwards = np.minimum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.minimum(backwards[:count], forwards[size - 1 : size - 1 + count])


def widened(values: np.ndarray, reach: int) -> np.ndarray:
    """Greatest of `[F, B]` over `reach` neighbours on either side along the last axis.

    Of those that there are; of bools, whether any is true.
    """
    out = values.copy()
    for step in range(1, reach + 1):
        np.maximum(out[:, step:], values[:, :-step], out=out[:, step:])
        np.maximum(out[:, :-step], values[:, step:], out=out[:, :-step])
    return out


def lasting(marks: np.ndarray, length: int) -> np.ndarray:
    """Those of `[F, B]` bool that are true `length` times in a row along the first axis."""
    if len(marks) < length:
        return np.zeros_like(marks)
    count = len(marks) - length + 1
    begins = np.logical_and.reduce([marks[step : step + count] for step in range(length)])
    out = np.zeros_like(marks)
    for step in range(length):
        out[step : step + count] |= begins
    return out


def running_median(values: np.ndarray, size: int) -> np.ndarray:
    """Median of `[..., B]` over `size` (odd) neighbours: `[..., B - size + 1]`, whole windows."""
    windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=-1)
    return np.partition(windows, size // 2, axis=-1)[..., size // 2]
