"""Noise levels: the ladder a sampler descends, and the levels a model is trained on.

A schedule is an array `[K]` of strictly decreasing, positive sigmas. The jump from the
last one to zero is not part of it: it is always `x <- denoise(x, sigma_K)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.noise_range import SIGMA_MAX, SIGMA_MIN
from bassdiff.diffusion.types import Array
from bassdiff.runtime.errors import InputError

# (num_steps, sigma_min, sigma_max) -> `[K]`.
Schedule: TypeAlias = Callable[..., np.ndarray]


def noise_rate(sigma: Array) -> Array:
    """Sigma / sqrt(1 + sigma^2): the noise's share of a variance-preserving mixture, in [0, 1).

    >>> float(noise_rate(jnp.asarray(0.75)))
    0.6...
    """
    return sigma / jnp.sqrt(1.0 + jnp.square(sigma))


def cosine(
    num_steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX
) -> np.ndarray:
    """noise_rate = sin(theta) with theta evenly spaced: sigma = tan(theta).

    Args:
      num_steps: K, the number of denoiser evaluations (by a first-order solver).
      sigma_min: Last level, positive.
      sigma_max: First level.

    Returns:
      `[K]` float32, strictly decreasing.

    Source: the cosine schedule of arXiv 2102.09672 in the sigma parameterisation.

    >>> cosine(3, sigma_min=0.5, sigma_max=2.0).round(3).tolist()
    [2.0, 1.0, 0.5]
    """
    _check(num_steps, sigma_min, sigma_max)
    theta = np.linspace(np.arctan(sigma_max), np.arctan(sigma_min), num_steps)
    return np.tan(theta).astype(np.float32)


def karras(
    num_steps: int,
    sigma_min: float = SIGMA_MIN,
    sigma_max: float = SIGMA_MAX,
    rho: float = 7.0,
) -> np.ndarray:
    """sigma^(1/rho) evenly spaced.

    Returns:
      `[K]` float32, strictly decreasing.

    Source: arXiv 2206.00364, equation 5.

    >>> karras(3, sigma_min=1.0, sigma_max=9.0, rho=2.0).tolist()
    [9.0, 4.0, 1.0]
    """
    _check(num_steps, sigma_min, sigma_max)
    ramp = np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), num_steps)
    return (ramp**rho).astype(np.float32)


def log_linear(
    num_steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX
) -> np.ndarray:
    """log(sigma) evenly spaced.

    Returns:
      `[K]` float32, strictly decreasing.

    Source: the uniform logSNR schedule of arXiv 2206.00927.

    >>> log_linear(3, sigma_min=1.0, sigma_max=4.0).round(3).tolist()
    [4.0, 2.0, 1.0]
    """
    _check(num_steps, sigma_min, sigma_max)
    return np.geomspace(sigma_max, sigma_min, num_steps).astype(np.float32)


def through(levels: Sequence[float]) -> Schedule:
    """A schedule of any length through given levels, such as those that were fitted to a model.

    log(sigma) is interpolated over the index, and extrapolated beyond the first and the last
    level. The `sigma_min` and `sigma_max` of a call cut the ladder short, or stretch it.

    Args:
      levels: Strictly decreasing, positive, two or more.

    Source: arXiv 2404.14507, section 4, which publishes its optimised schedules in this form.

    >>> through([16.0, 4.0, 1.0])(5, sigma_min=1.0, sigma_max=16.0).round(3).tolist()
    [16.0, 8.0, 4.0, 2.0, 1.0]
    """
    logs = np.log(np.asarray(levels, np.float64))
    if logs.ndim != 1 or len(logs) < 2 or not np.all(np.diff(logs) < 0):
        raise InputError("levels of a schedule must be two or more, positive and descending")

    def schedule(
        num_steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX
    ) -> np.ndarray:
        _check(num_steps, sigma_min, sigma_max)
        index = np.arange(len(logs), dtype=np.float64)
        first, last = logs[0] - logs[1], logs[-2] - logs[-1]

        def place(sigma: float) -> float:
            log = np.log(sigma)
            above, below = max(log - logs[0], 0.0), max(logs[-1] - log, 0.0)
            return np.interp(log, logs[::-1], index[::-1]) - above / first + below / last

        at = np.linspace(place(sigma_max), place(sigma_min), num_steps)
        inside = np.interp(at, index, logs)
        before = -np.minimum(at, 0.0) * first
        after = -np.maximum(at - index[-1], 0.0) * last
        return np.exp(inside + before + after).astype(np.float32)

    return schedule


def cosine_levels(key: Array, batch: int) -> Array:
    """Training levels `[B]` with theta uniform in (0, pi / 2), stratified over the batch."""
    strata = (jnp.arange(batch) + jax.random.uniform(key, (batch,))) / batch
    return jnp.clip(jnp.tan(strata * (jnp.pi / 2)), SIGMA_MIN / 2, SIGMA_MAX)


def log_normal_levels(key: Array, batch: int, mean: float = -0.4, std: float = 1.2) -> Array:
    """Training levels `[B]` with log(sigma) normal (arXiv 2206.00364, table 1)."""
    return jnp.clip(jnp.exp(mean + std * jax.random.normal(key, (batch,))), SIGMA_MIN, SIGMA_MAX)


SCHEDULES: dict[str, Schedule] = {"cosine": cosine, "karras": karras, "log_linear": log_linear}
LEVELS = {"cosine": cosine_levels, "log_normal": log_normal_levels}


def _check(num_steps: int, sigma_min: float, sigma_max: float) -> None:
    if num_steps < 1 or not 0.0 < sigma_min < sigma_max < np.inf:
        raise InputError(
            f"a schedule needs at least one step and 0 < sigma_min < sigma_max, not "
            f"{num_steps} steps from {sigma_max} to {sigma_min}"
        )
