"""Numbers, keys and noise that belong to one row of a batch and ignore its neighbours."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from bassdiff.diffusion.types import Array


def per_row(values: Array | float) -> Array:
    """A number for all rows, or one for each `[B]`, so that it multiplies `[B, T, C]`."""
    values = jnp.asarray(values)
    return values[:, None, None] if values.ndim == 1 else values


def row_keys(seeds: Array) -> Array:
    """PRNG keys `[B]` of seeds `[B]`, uint32."""
    return jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))


def row_noise(keys: Array, like: Array) -> Array:
    """Unit normal noise of the shape `[B, T, C]` and the type of `like`, by a key `[B]` for each.

    Every frame is drawn by itself, so a row's noise depends neither on its neighbours nor on how
    much padding follows it.
    """

    def draw(key: Array, frame: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(key, frame), like.shape[2:], like.dtype)

    frames = jnp.arange(like.shape[1], dtype=jnp.uint32)
    return jax.vmap(jax.vmap(draw, (None, 0)), (0, None))(keys, frames)


def interleave(*rows: Array) -> Array:
    """Several `[B, ...]` as one `[n B, ...]`, with the entries of a row side by side.

    If they were stacked on the batch axis, a sharded batch would have to move between devices.
    """
    return jnp.stack(rows, axis=1).reshape(-1, *rows[0].shape[1:])
