"""Fingerprints of arrays that do not depend on their sharding.

A flipped bit in a stored array goes unnoticed when it is read, so restored arrays are compared with
the saved ones. Integer sums wrap around and are exact in any order: every mesh computes the same 64
bits, each device from its own part.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bassdiff.diffusion.types import Array, PyTree

_GOLDEN = np.uint32(0x9E3779B9)  # odd, so that its multiples are all different


def fingerprints(tree: PyTree) -> dict[str, str]:
    """A fingerprint of every array of `tree`: 16 hexadecimal digits by path of the leaf.

    With w_i the bits of element i in row-major order, a word of 32 bits, and `mix` a bijection
    of such words, the two halves are, modulo 2^32,

        sum_i h_i    and    sum_i (2i + 1) h_i,    where h_i = mix(w_i xor i * golden).

    A change within one word changes both halves for certain; any other, such as two
    elements swapped, escapes with a chance of 2^-64. NaN payloads and the sign of zero count.

    Args:
      tree: Arrays of booleans, integers or floats of up to 64 bits, of any shape, on any mesh.
        All processes of a job must call this together; all get the whole result.

    Returns:
      The fingerprints by path, such as `{"params/w": "00c0ffee00c0ffee"}`.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    # Starts all of them before waiting for the first.
    halves = [_halves(leaf) for _, leaf in leaves]
    return {
        leaf_path(path): f"{int(first):08x}{int(second):08x}"
        for (path, _), (first, second) in zip(leaves, jax.device_get(halves), strict=True)
    }


def leaf_path(path: tuple) -> str:
    """The path of a leaf as text, such as `opt_state/0/mu/w`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


# One program per shape and sharding: parameters, averages and moments share theirs.
@jax.jit
def _halves(leaf: Array) -> tuple[Array, Array]:
    """The two sums of one array, as uint32 scalars."""
    words = _words(leaf)
    index = jnp.zeros((), jnp.uint32)
    # Per axis: flattening the array would gather it on one device.
    for axis, size in enumerate(words.shape):
        index = index * np.uint32(size) + lax.broadcasted_iota(jnp.uint32, words.shape, axis)
    mixed = _mix(words ^ (index * _GOLDEN))
    odd = 2 * index + 1
    return jnp.sum(mixed, dtype=jnp.uint32), jnp.sum(mixed * odd, dtype=jnp.uint32)


def _words(leaf: Array) -> Array:
    """The bits of each element as uint32; 64-bit elements gain a last axis of two."""
    if leaf.dtype == jnp.bool_:
        return leaf.astype(jnp.uint32)
    bits = min(8 * leaf.dtype.itemsize, 32)
    return lax.bitcast_convert_type(leaf, f"uint{bits}").astype(jnp.uint32)


def _mix(word: Array) -> Array:
    """The finaliser of MurmurHash3: a bijection in which every bit affects half of the others."""
    word = (word ^ (word >> 16)) * np.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * np.uint32(0xC2B2AE35)
    return word ^ (word >> 16)
