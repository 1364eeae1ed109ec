"""Gradients of a batch that does not fit: the mean over parts, one part in memory at a time."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bassdiff.types import Array, PyTree


def accumulated_gradient(
    loss: Callable[..., Array], params: PyTree, rows: PyTree, num_parts: int
) -> tuple[Array, PyTree]:
    """`jax.value_and_grad(loss)(params, rows)`, part by part.

    Equal to it, but for rounding, where the loss is a mean over rows. Everything random must be
    among the rows, so that the parts see what the whole batch would have seen.

    Args:
      loss: `(params, rows) -> scalar`, a mean over rows.
      params: What to differentiate by.
      rows: Arrays `[B, ...]`; B a multiple of `num_parts`.
      num_parts: 1 computes all at once.

    Returns:
      The loss and its gradient.
    """
    gradient = jax.value_and_grad(loss)
    if num_parts == 1:
        return gradient(params, rows)

    def split(x: Array) -> Array:
        # Neighbouring rows go to different parts: so each part has rows of every device, and
        # splitting a sharded batch moves none.
        return jnp.moveaxis(x.reshape(-1, num_parts, *x.shape[1:]), 1, 0)

    def add(total: tuple[Array, PyTree], part: PyTree) -> tuple[tuple[Array, PyTree], None]:
        return jax.tree.map(jnp.add, total, gradient(params, part)), None

    zero = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
    total, _ = jax.lax.scan(add, zero, jax.tree.map(split, rows))
    return jax.tree.map(lambda x: x / num_parts, total)
