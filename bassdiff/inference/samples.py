"""Samples and rates that were handed in from Python."""

from __future__ import annotations

import numbers
import warnings

import numpy as np

from bassdiff.audio.io import all_finite
from bassdiff.runtime.errors import InputError

MAX_CHANNELS = 64
# 40 dB above full scale.
_FAR_TOO_LOUD = 100.0


def checked(name: str, samples: np.ndarray) -> np.ndarray:
    """Samples `[N]` or `[N, channels]` as float32 whose full scale is 1; integers are scaled.

    Raises:
      InputError: They are not finite numbers of such a shape; the message calls them `name`.
    """
    values = np.asarray(samples)
    if values.ndim not in (1, 2) or not values.size or values.dtype.kind not in "fiu":
        raise InputError(
            f"{name} has samples of type {values.dtype} and shape {values.shape}; give floats or "
            "integers, [N], or [N, channels] with time first"
        )
    if values.ndim == 2 and values.shape[1] > max(MAX_CHANNELS, values.shape[0]):
        raise InputError(
            f"{name} has samples of shape {values.shape}; give [N, channels] with time first, "
            "which is its transpose"
        )
    wave = np.asarray(values, np.float32)
    if values.dtype.kind == "i":
        wave /= np.float32(-float(np.iinfo(values.dtype).min))
    elif values.dtype.kind == "u":
        # Unsigned samples have silence in the middle of their range.
        half = (float(np.iinfo(values.dtype).max) + 1.0) / 2.0
        wave = wave / np.float32(half) - np.float32(1.0)
    if not all_finite(wave):
        raise InputError(f"{name} holds values that are not finite; export it again")
    warn_if_far_too_loud(name, wave)
    return wave


def warn_if_far_too_loud(name: str, wave: np.ndarray) -> None:
    """Warns of floats that were integers and were never scaled."""
    # Without an array of sizes, which an hour has no room for.
    peak = max(float(wave.max(initial=0.0)), -float(wave.min(initial=0.0)))
    if peak > _FAR_TOO_LOUD:
        warnings.warn(
            f"{name} reaches {peak:.0f} and full scale is 1, as if it held 16-bit integers as "
            "floats; divide it by 32768",
            stacklevel=6,
        )


def whole_rate(sample_rate_hz: float) -> int:
    """A sample rate as an integer; InputError if it is not a positive whole number."""
    is_number = isinstance(sample_rate_hz, numbers.Real)
    if not (is_number and sample_rate_hz > 0 and sample_rate_hz % 1 == 0):
        raise InputError(
            f"the sample rate is {_shown(sample_rate_hz)}; give a positive whole number of Hz, "
            "after the samples"
        )
    return int(sample_rate_hz)


def _shown(value: object) -> str:
    """A value, or its type where that says more."""
    return f"{value} Hz" if isinstance(value, numbers.Real) else f"a {type(value).__name__}"
