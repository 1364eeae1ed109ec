"""Preconditioning: from a network F to a denoiser D, and the loss that trains it.

x = z + sigma * noise, z of unit variance. With c_skip = 1 / (1 + sigma^2),
c_out = -sigma / sqrt(1 + sigma^2) and c_in = 1 / sqrt(1 + sigma^2),

    D(x, sigma) = c_skip x + c_out F(c_in x, sigma)

is the variance-preserving model with v-prediction (arXiv 2202.00512): F estimates
v = alpha * noise - noise_rate * z, where alpha = c_in and noise_rate = sigma * c_in.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from bassdiff.diffusion.types import Array, Cond, Denoise

Network = Callable[[Array, Array, Cond], Array]


def _per_sample(values: Array) -> Array:
    return values[:, None, None]


def precondition(network: Network) -> Denoise:
    """Wraps F(x [B, T, C], sigma [B], cond) into D(x, sigma, cond) -> x0 [B, T, C] float32."""

    def denoise(x: Array, sigma: Array, cond: Cond) -> Array:
        c_in = _per_sample(1.0 / jnp.sqrt(1.0 + jnp.square(sigma)))
        v = network(c_in * x, sigma, cond)
        return jnp.square(c_in) * x - _per_sample(sigma) * c_in * v

    return denoise


def velocity_loss(network: Network, z: Array, noise: Array, sigma: Array, cond: Cond) -> Array:
    """Mean squared error of F against v, over real frames, per sample.

    Args:
      network: F.
      z: Clean latents `[B, T, C]` of unit variance.
      noise: Unit normal `[B, T, C]`.
      sigma: `[B]`.
      cond: Condition; frames beyond `cond.frames` do not count.

    Returns:
      `[B]` float32; 1 for a network that always returns 0, on white data.
    """
    alpha = _per_sample(1.0 / jnp.sqrt(1.0 + jnp.square(sigma)))
    rate = _per_sample(sigma) * alpha
    mask = cond.mask()
    estimate = network((alpha * z + rate * noise) * mask, sigma, cond)
    error = jnp.square(estimate - (alpha * noise - rate * z)) * mask
    count = jnp.maximum(jnp.sum(mask, axis=(1, 2)), 1.0) * z.shape[-1]
    return jnp.sum(error, axis=(1, 2)) / count
