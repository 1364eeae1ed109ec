"""Gradient accumulation: the mean over parts of a batch, one part in memory at a time."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bassdiff.diffusion.types import Array, PyTree
from bassdiff.training.step_meter import Metrics


def accumulated_gradient(
    loss: Callable[..., tuple[Array, Metrics]], params: PyTree, rows: PyTree, num_parts: int
) -> tuple[tuple[Array, Metrics], PyTree]:
    """Computes `jax.value_and_grad(loss, has_aux=True)(params, rows)` part by part.

    Both are equal up to rounding if the loss is a mean over rows. All randomness must be in the
    rows, so that the parts see the same values as the whole batch.

    Args:
      loss: `(params, rows) -> (scalar, metrics)`, means over rows.
      params: Parameters to differentiate with respect to.
      rows: Arrays `[B, ...]`; B a multiple of `num_parts`.
      num_parts: Number of parts; 1 computes the whole batch at once.

    Returns:
      The loss with its metrics, and its gradient.
    """
    gradient = jax.value_and_grad(loss, has_aux=True)
    if num_parts == 1:
        return gradient(params, rows)

    def split(x: Array) -> Array:
        # Neighbouring rows go to different parts, so each part has rows on every device and
        # splitting a sharded batch moves no data.
        return jnp.moveaxis(x.reshape(-1, num_parts, *x.shape[1:]), 1, 0)

    parts = jax.tree.map(split, rows)
    shapes = jax.eval_shape(gradient, params, jax.tree.map(lambda x: x[0], parts))

    def add(total: PyTree, part: PyTree) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, gradient(params, part)), None

    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = jax.lax.scan(add, zero, parts)
    return jax.tree.map(lambda x: x / num_parts, total)
