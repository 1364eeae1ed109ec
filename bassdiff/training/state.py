"""The training state: arrays only, so that it can be sharded, donated and saved."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import struct

from bassdiff.diffusion.types import Array, PyTree


class TrainState(struct.PyTreeNode):
    """The whole state of a run.

    The key of a step is `fold_in(root_key, step)`, so no key needs saving.

    Attributes:
      step: int32 scalar, optimiser steps taken.
      params: Trained parameters (one tree; adversarial objectives nest two).
      ema: Exponential moving average of the parameters that are released.
      opt_state: Optimiser state.
      log_norms: `[n]` running means of the logarithm of gradient norms, one per network that is
        trained; NaN before the first. See `guard.py`.
    """

    step: Array
    params: PyTree
    ema: PyTree
    opt_state: PyTree
    log_norms: Array


def fresh_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """The state of a run before its first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        # A copy, since aliased arrays cannot be donated.
        ema=jax.tree.map(jnp.copy, params),
        opt_state=optimizer.init(params),
        log_norms=jnp.full(1, jnp.nan),
    )


def update_ema(ema: PyTree, params: PyTree, step: Array, decay: float) -> PyTree:
    """One step of the average, which forgets faster early on, so that initial values vanish.

    The effective decay is `min(decay, (1 + step) / (10 + step))`.
    """
    rate = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda e, p: e + (1.0 - rate) * (p - e), ema, params)
