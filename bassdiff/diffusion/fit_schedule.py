"""Fits a schedule to a model: the levels between which steps have the least error.

One fine descent of the model gives the estimate at every level, and with it the error that a
single Euler step from any level to any lower one would make, without further evaluations. The
best K of those levels are then a shortest path, which dynamic programming finds exactly.

Source: the dynamic program of arXiv 2106.03802, on the discretisation error of arXiv 2404.14507.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.rows import row_keys
from bassdiff.diffusion.solvers import Euler
from bassdiff.diffusion.types import Array, Cond, Denoise, Guidance
from bassdiff.runtime.errors import InputError


def step_errors(
    denoise: Denoise, guidance: Guidance, sigmas: np.ndarray, cond: Cond, noise: Array
) -> np.ndarray:
    """The errors of single Euler steps between any two levels.

    Args:
      denoise: D(x, sigma, cond).
      guidance: The guidance that the schedule will be used with.
      sigmas: `[M]` fine, strictly decreasing levels; the descent takes every one.
      cond: Condition of a few samples.
      noise: `[B, T, C]` unit normal.

    Returns:
      `[M, M + 1]` float64: mean square over samples, frames and channels of the error of the
      step from level i to level j > i, in the scale where all levels have unit variance;
      column M is the jump to zero. Infinity where j <= i.
    """
    guided, solver, mask = guidance(denoise), Euler(), cond.mask()
    # The keys are unused: the solver adds no noise.
    keys = row_keys(jnp.zeros(noise.shape[0]))

    @jax.jit
    def descend() -> tuple[Array, Array, Array]:
        def step(x: Array, pair: Array) -> tuple[Array, tuple[Array, Array]]:
            sigma, sigma_next = pair
            x0 = guided(x, jnp.full(x.shape[0], sigma), cond) * mask
            moved, _ = solver.step(lambda *_: x0, x, (), sigma, sigma_next, keys)
            return moved, (x, x0)

        levels = jnp.asarray(sigmas)
        pairs = jnp.stack([levels, jnp.append(levels[1:], 0.0)], axis=1)
        last, (xs, x0s) = jax.lax.scan(step, noise * levels[0] * mask, pairs)
        return xs, x0s, last

    xs, x0s, last = (np.asarray(part, np.float64) for part in descend())
    targets = np.concatenate([xs, last[None]])
    levels = np.append(np.asarray(sigmas, np.float64), 0.0)
    errors = np.full((len(sigmas), len(levels)), np.inf)
    for i in range(len(sigmas)):
        for j in range(i + 1, len(levels)):
            reached = x0s[i] + levels[j] / levels[i] * (xs[i] - x0s[i])
            miss = np.mean(np.square(reached - targets[j])) / np.mean(np.asarray(mask))
            errors[i, j] = miss / (1.0 + levels[j] ** 2)
    return errors


def fit_levels(errors: np.ndarray, sigmas: np.ndarray, num_steps: int) -> np.ndarray:
    """The levels whose steps have the smallest sum of root mean square errors.

    Args:
      errors: From `step_errors`.
      sigmas: `[M]` levels that they belong to.
      num_steps: K, from 1 to M.

    Returns:
      `[K]` float32, a subset of `sigmas` that begins with the first; for `schedules.through`.

    Raises:
      InputError: There are fewer levels than steps.
    """
    if not 1 <= num_steps <= len(sigmas):
        raise InputError(f"{num_steps} steps cannot be chosen from {len(sigmas)} levels")
    missed = np.sqrt(errors)
    # cost[i]: the least error from level 0 to level i in the number of steps so far.
    cost = np.where(np.arange(missed.shape[1]) == 0, 0.0, np.inf)
    came_from = []
    for _ in range(num_steps):
        through_each = cost[:-1, None] + missed
        came_from.append(np.argmin(through_each, axis=0))
        cost = np.min(through_each, axis=0)
    path = [missed.shape[1] - 1]
    for choice in reversed(came_from):
        path.append(int(choice[path[-1]]))
    return np.asarray(sigmas, np.float32)[path[::-1][:-1]]
