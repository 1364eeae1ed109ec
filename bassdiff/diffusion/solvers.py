"""Solvers of dx/dsigma = (x - D(x, sigma)) / sigma, each as a pair of init and step.

To add one, write a `PyTreeNode` with `init` and `step`, list it in `SOLVERS`, and add its
order to `tests/diffusion/test_solvers.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from flax import struct

from bassdiff.types import Array, PyTree, Solver

BoundDenoise = Callable[[Array, Array], Array]


class Euler(struct.PyTreeNode):
    """First order: x <- x0 + (sigma_next / sigma) (x - x0), which is DDIM with eta = 0.

    Source: arXiv 2010.02502; its equality with Euler in sigma, arXiv 2206.00364.

    >>> Euler().init(jnp.zeros(1))
    ()
    """

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
        key: Array,
    ) -> tuple[Array, PyTree]:
        """One evaluation of the denoiser."""
        x0 = denoise(x, sigma)
        return x0 + (sigma_next / sigma) * (x - x0), state


class Heun(struct.PyTreeNode):
    """Second order, two evaluations: the trapezoidal rule on an Euler step.

    Source: arXiv 2206.00364, algorithm 1 without churn.

    >>> Heun().init(jnp.zeros(1))
    ()
    """

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
        key: Array,
    ) -> tuple[Array, PyTree]:
        """Two evaluations of the denoiser."""
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (sigma_next - sigma) * slope
        slope_ahead = (ahead - denoise(ahead, sigma_next)) / sigma_next
        return x + (sigma_next - sigma) * 0.5 * (slope + slope_ahead), state


class DPMpp2MState(struct.PyTreeNode):
    """The last estimate `[B, T, C]`, and the log of its sigma (NaN before the first step)."""

    x0: Array
    log_sigma: Array


class DPMpp2M(struct.PyTreeNode):
    """DPM-Solver++ (2M): second order from one evaluation, by extrapolating the estimate.

    With lambda = -log(sigma), h the current step in lambda and r = h_last / h:

        d = (1 + 1 / 2r) x0 - (1 / 2r) x0_last
        x <- (sigma_next / sigma) x + (1 - e^-h) d

    Source: arXiv 2211.01095, algorithm 2.

    >>> bool(jnp.isnan(DPMpp2M().init(jnp.zeros(1)).log_sigma))
    True
    """

    def init(self, x: Array) -> PyTree:
        """Nothing to extrapolate from yet."""
        return DPMpp2MState(jnp.zeros_like(x), jnp.full((), jnp.nan, x.dtype))

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        key: Array,
    ) -> tuple[Array, PyTree]:
        """One evaluation of the denoiser; the first step is of first order."""
        x0 = denoise(x, sigma)
        h = jnp.log(sigma) - jnp.log(sigma_next)
        h_last = state.log_sigma - jnp.log(sigma)
        extrapolation = jnp.where(jnp.isnan(h_last), 0.0, h / (2.0 * h_last))
        d = x0 + extrapolation * (x0 - state.x0)
        x = (sigma_next / sigma) * x - jnp.expm1(-h) * d
        return x, DPMpp2MState(x0, jnp.log(sigma))


SOLVERS: dict[str, Callable[[], Solver]] = {"euler": Euler, "heun": Heun, "dpmpp2m": DPMpp2M}
