"""Single-step solvers of dx/dsigma = (x - D(x, sigma)) / sigma.

Each is a pytree of an `init` and a `step`. To add one, write it here (or in `multistep.py`, if
it remembers earlier steps), list it in `SOLVERS`, and add its order to
`tests/diffusion/test_solvers.py`.

Stochastic solvers replace a share `eta` of the noise: 0 is the ODE, 1 the SDE of the forward
process run backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.multistep import AdamsBashforth, DPMpp2M, DPMpp3M, UniPC
from bassdiff.diffusion.rows import row_noise
from bassdiff.diffusion.types import Array, BoundDenoise, PyTree, Solver


class Euler(struct.PyTreeNode):
    """First order; with an `eta` above 0, ancestral sampling: a longer step down, then fresh noise.

        up^2 = eta^2 sigma_next^2 (1 - sigma_next^2 / sigma^2),  down^2 = sigma_next^2 - up^2
        x <- x0 + (down / sigma) (x - x0) + up noise

    This is DDIM with the same eta, in sigma.

    Attributes:
      eta: 0 (the ODE) to 1 (ancestral).

    Source: arXiv 2010.02502, equation 12; its equality with Euler in sigma, arXiv 2206.00364.

    >>> Euler().init(jnp.zeros((1, 1, 1)))
    ()
    """

    eta: Array | float = 0.0

    def init(self, x: Array) -> PyTree:
        """No state."""
        return ()

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One evaluation of the denoiser."""
        x0 = denoise(x, sigma)
        up = self.eta * sigma_next * jnp.sqrt(1.0 - jnp.square(sigma_next / sigma))
        down = jnp.sqrt(jnp.square(sigma_next) - jnp.square(up))
        return x0 + (down / sigma) * (x - x0) + up * row_noise(keys, x), state


class HeunState(struct.PyTreeNode):
    """A step after its first stage.

    Attributes:
      x: `[B, T, C]` at its start.
      slope: `[B, T, C]` there.
      sigma: `[B, 1, 1]`, the level there; NaN where no step is pending.
    """

    x: Array
    slope: Array
    sigma: Array


class Heun(struct.PyTreeNode):
    """Second order, two evaluations: the trapezoidal rule on an Euler step.

        ahead = x + (sigma_next - sigma) slope,  slope = (x - D(x, sigma)) / sigma
        x <- x + (sigma_next - sigma) (slope + slope_ahead) / 2

    Source: arXiv 2206.00364, algorithm 1 without churn.

    >>> Heun().init(jnp.zeros((1, 1, 1))).sigma.item()
    nan
    """

    num_stages: ClassVar[int] = 2

    def init(self, x: Array) -> PyTree:
        """No step is pending."""
        sigma = jnp.full((x.shape[0], 1, 1), jnp.nan, x.dtype)
        return HeunState(jnp.zeros_like(x), jnp.zeros_like(x), sigma)

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One stage, with one evaluation of the denoiser: the prediction or its correction."""
        slope = (x - denoise(x, sigma)) / sigma
        predicts = jnp.isnan(state.sigma)
        ahead = x + (sigma_next - sigma) * slope
        corrected = state.x + (sigma - state.sigma) * 0.5 * (state.slope + slope)
        pending = HeunState(x, slope, jnp.where(predicts, sigma, jnp.nan))
        return jnp.where(predicts, ahead, corrected), pending


class Exponential(struct.PyTreeNode):
    """First order, and exact in a single step for normal data of deviation `std`.

    Data of mean m and deviation s have a denoiser that is linear in x, and the ODE keeps
    (x - m) / sqrt(s^2 + sigma^2). The step solves for the m that explains the estimate,

        m = ((s^2 + sigma^2) x0 - s^2 x) / sigma^2
        x <- m + sqrt((s^2 + sigma_next^2) / (s^2 + sigma^2)) (x - m)

    With s = 0 this is Euler. With s = 1, the deviation of normalised latents, it integrates
    their linear part exactly, and only the rest of the model's estimate by steps.

    Attributes:
      std: Deviation of the data, not negative.

    Source: exponential integrators, arXiv 2204.13902, with the linear part of normal data.

    >>> Exponential().std
    1.0
    """

    std: Array | float = 1.0

    def init(self, x: Array) -> PyTree:
        """No state."""
        return ()

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One evaluation of the denoiser."""
        x0 = denoise(x, sigma)
        now, then = (jnp.square(self.std) + jnp.square(s) for s in (sigma, sigma_next))
        ratio = jnp.sqrt(then / now)
        # (1 - ratio) / sigma^2 without the difference of almost equal numbers.
        share = (1.0 - jnp.square(sigma_next / sigma)) / (now * (1.0 + ratio))
        return ratio * x + share * (now * x0 - jnp.square(self.std) * x), state


class ChurnState(struct.PyTreeNode):
    """The inner solver's state, and the next stage `[B, 1, 1]`, from 0."""

    solver: PyTree
    stage: Array


class Churn(struct.PyTreeNode):
    """Any solver, started from a slightly higher level: adds fresh noise, then descends.

        sigma_hat = (1 + churn) sigma,  x_hat = x + sqrt(sigma_hat^2 - sigma^2) noise

    The noise washes out the errors of earlier steps.

    Attributes:
      solver: The solver that descends; one that remembers steps will remember the raised ones.
      churn: 0 (off) upwards; 0.41 is the published bound.

    Source: arXiv 2206.00364, algorithm 2.

    >>> Churn(Heun()).num_stages
    2
    """

    solver: Solver
    churn: Array | float = 0.2

    @property
    def num_stages(self) -> int:
        """The inner solver's."""
        return getattr(self.solver, "num_stages", 1)

    def init(self, x: Array) -> PyTree:
        """The inner solver's."""
        return ChurnState(self.solver.init(x), jnp.zeros((x.shape[0], 1, 1), jnp.int32))

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One stage of the inner solver."""
        noise_keys, inner_keys = (jax.vmap(jax.random.fold_in, (0, None))(keys, n) for n in (0, 1))
        # A correction belongs to a step that has its noise already.
        raised = sigma * jnp.where(state.stage == 0, 1.0 + self.churn, 1.0)
        added = jnp.sqrt(jnp.square(raised) - jnp.square(sigma))
        x = x + added * row_noise(noise_keys, x)
        x, inner = self.solver.step(denoise, x, state.solver, raised, sigma_next, inner_keys)
        return x, ChurnState(inner, (state.stage + 1) % self.num_stages)


SOLVERS: dict[str, Callable[[], Solver]] = {
    "euler": Euler,
    "ancestral": lambda: Euler(eta=1.0),
    "heun": Heun,
    "churn": lambda: Churn(Heun()),
    "exponential": Exponential,
    "adams_bashforth": AdamsBashforth,
    "dpmpp2m": DPMpp2M,
    "dpmpp2m_sde": lambda: DPMpp2M(eta=1.0),
    "dpmpp3m": DPMpp3M,
    "dpmpp3m_sde": lambda: DPMpp3M(eta=1.0),
    "unipc": UniPC,
}
