"""Low-rank adapters: small corrections of a network's matrices, stored apart from it.

A matrix W `[in, out]` (a convolution's `[width, in, out]`, seen as `[width in, out]`) becomes
W + down up with down `[in, rank]` and up `[rank, out]`. Everything else stays as it is.

Source: arXiv 2106.09685.
"""

from __future__ import annotations

import flax
import jax
import jax.numpy as jnp

from bassdiff.diffusion.types import Array, PyTree

DOWN, UP = "down", "up"


def init_adapter(key: Array, params: PyTree, rank: int) -> PyTree:
    """An adapter that does not change the network yet.

    Args:
      key: Draws `down`; `up` is zero.
      params: The network's parameters.
      rank: The rank of every correction; matrices that are not larger have none.

    Returns:
      The tree of `params` with `{"down", "up"}`, float32, in place of each matrix; other leaves
      are left out.
    """
    adapter = {}
    for path, leaf in flax.traverse_util.flatten_dict(params).items():
        size_in, size_out = leaf.size // leaf.shape[-1], leaf.shape[-1]
        if leaf.ndim < 2 or min(size_in, size_out) <= rank:
            continue
        key, own = jax.random.split(key)
        adapter[*path, DOWN] = jax.random.normal(own, (size_in, rank)) / jnp.sqrt(size_in)
        adapter[*path, UP] = jnp.zeros((rank, size_out))
    return flax.traverse_util.unflatten_dict(adapter)


def adapted(params: PyTree, adapter: PyTree) -> PyTree:
    """The network's parameters, corrected.

    Args:
      params: The network's parameters.
      adapter: As `init_adapter` makes it.
    """
    flat = dict(flax.traverse_util.flatten_dict(params))
    parts = flax.traverse_util.flatten_dict(adapter)
    for *path, side in parts:
        if side == DOWN:
            where = tuple(path)
            product = parts[*where, DOWN] @ parts[*where, UP]
            flat[where] = flat[where] + product.reshape(flat[where].shape)
    return flax.traverse_util.unflatten_dict(flat)
