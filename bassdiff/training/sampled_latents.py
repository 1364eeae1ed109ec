"""Sampled latents, for a decoder to learn from."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.denoiser import Network, precondition
from bassdiff.diffusion.editing import Keep
from bassdiff.diffusion.multistep import DPMpp2M
from bassdiff.diffusion.sampler import advance, begin, to_zero
from bassdiff.diffusion.types import Array, Cond

# The last noise level of sampling, which few of the released settings change.
_LAST_SIGMA = 0.3


@dataclasses.dataclass(frozen=True)
class SampledLatents:
    """Replaces the sound channels of some rows by a sample of a diffusion model.

    Sampled latents are rougher than encoded ones. True latents are noised and sampled back with
    their notes held: the result has the errors of sampling, and its true waveform is known. A
    single estimate would be an average, which is smoother than samples.

    Attributes:
      network: Network F(x, sigma, cond) of the diffusion model.
      mean: `[C]` mean of the latents.
      std: Their global standard deviation.
      sound_channels: `[C]`, 1 for sampled channels, 0 for notes, which are kept.
      num_mix_channels: Channels of the mix's latents, which are masked.
      share: Share of the rows to replace, 0 to 1.
      levels: Smallest and largest noise level to start from, drawn log-uniformly.
      num_steps: Evaluations of the network, 1 or more.
    """

    network: Network
    mean: np.ndarray
    std: float
    sound_channels: np.ndarray
    num_mix_channels: int
    share: float
    levels: tuple[float, float] = (0.1, 2.0)
    num_steps: int = 5

    def __call__(self, latents: Array, key: Array) -> Array:
        """Replaces some rows of `[B, T, C]` latents; no gradient passes through the model."""
        row_key, level_key, noise_key = jax.random.split(key, 3)
        rows, frames, _ = latents.shape
        low, high = np.log(self.levels)
        first = jnp.exp(jax.random.uniform(level_key, (rows,), minval=low, maxval=high))
        last = jnp.minimum(_LAST_SIGMA, first / 2.0) if self.num_steps > 1 else first
        angles = jnp.linspace(jnp.arctan(first), jnp.arctan(last), self.num_steps, axis=1)
        levels = to_zero(jnp.tan(angles))
        clean = (latents - self.mean[None, None]) / self.std
        noise = jax.random.normal(noise_key, latents.shape)
        mix = jnp.zeros((rows, frames, self.num_mix_channels))
        cond = Cond(mix, jnp.zeros(rows), jnp.full(rows, frames, jnp.int32))
        solver = DPMpp2M()
        sampled = advance(
            precondition(self.network),
            solver,
            Keep(clean, 1.0 - jnp.asarray(self.sound_channels)[None, None]),
            levels,
            cond,
            begin(solver, noise, first[:, None, None], clean),
            *(0, self.num_steps),
            jax.random.split(key, rows),
        ).x
        chosen = jax.random.bernoulli(row_key, self.share, (rows, 1, 1))
        change = (sampled - clean) * self.std * self.sound_channels[None, None]
        return latents + jax.lax.stop_gradient(chosen * change)
