"""The shapes and protocols that every room shares.

Shape letters, used in every docstring and trailing shape comment:
  B batch   N samples   T latent frames   C latent channels   K noise levels
Arrays are channels-last: latents are `[B, T, C]`, waveforms `[B, N]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
from flax import struct

Array: TypeAlias = jax.Array
PyTree: TypeAlias = Any
# A `Denoise` whose guidance and condition are bound, at one level: (x, sigma) -> x0.
BoundDenoise: TypeAlias = Callable[[Array, Array], Array]


class Cond(struct.PyTreeNode):
    """The denoiser's condition.

    Attributes:
      mix: `[B, T, C]` normalised latents of the mix.
      keep: `[B]` float, 1 where the mix may be used and 0 where it is dropped.
        Dropout in training and the unconditional branch of guidance share it.
      frames: `[B]` int32, how many leading frames of each row are real.
      style: `[B, C]` mean latents of a reference over its sounding frames, 0 in channels that hold
        notes; None if no row has one.
      keep_style: `[B]`, 1 where the style may be used, 0 where a row has none.
      mix_noise: `[B]` standard deviation of noise that is on the mix's latents; None for none.
      step_ratio: `[B]` the next noise level divided by the present one, 0 to 1; None outside a
        sampler. Networks do not see it; guidance may.
    """

    mix: Array
    keep: Array
    frames: Array
    style: Array | None = None
    keep_style: Array | None = None
    mix_noise: Array | None = None
    step_ratio: Array | None = None

    def null(self) -> Cond:
        """The same batch without its mix: the unconditional branch of guidance."""
        return self.replace(keep=jnp.zeros_like(self.keep))

    def unstyled(self) -> Cond:
        """The same batch without its styles."""
        if self.keep_style is None:
            return self
        return self.replace(keep_style=jnp.zeros_like(self.keep_style))

    def mask(self) -> Array:
        """`[B, T, 1]` float32, 1 on real frames and 0 on padding."""
        index = jnp.arange(self.mix.shape[1], dtype=jnp.int32)
        return (index[None, :] < self.frames[:, None]).astype(jnp.float32)[..., None]


class Denoise(Protocol):
    """`D(x, sigma, cond) -> x0`: the clean estimate, `[B, T, C]` float32.

    `x` is `[B, T, C]` at noise level `sigma` `[B]`, so x = z + sigma * noise.
    """

    def __call__(self, x: Array, sigma: Array, cond: Cond) -> Array:
        """The estimate."""
        ...


class Guidance(Protocol):
    """Wraps a `Denoise` into another. Its numbers are pytree leaves: no setting recompiles."""

    def __call__(self, denoise: Denoise) -> Denoise:
        """The guided denoiser."""
        ...


class Solver(Protocol):
    """One step of an ODE or SDE from `sigma` to `sigma_next`, with a state of its own.

    Levels are `[B, 1, 1]`, since every row has its own, and `denoise(x, sigma)` has its guidance
    and condition bound. The first estimate that a step asks for is where it would end at level 0.

    A solver of two stages may evaluate both in one call. With a class attribute `num_stages` of 2
    it evaluates one per call instead: the sampler calls `step` at each level first for the second
    stage of the step that led there, and then for the next step. This keeps the network in the
    program once, and the last step has no second stage.
    """

    def init(self, x: Array) -> PyTree:
        """The state before the first step from `x` `[B, T, C]`; rows first in every leaf."""
        ...

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One step: the `x` at `sigma_next` and the next state; noise is drawn by `keys` `[B]`."""
        ...
