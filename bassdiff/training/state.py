"""What a training step carries: arrays only, so that it can be sharded, donated and saved."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from bassdiff.types import Array, PyTree


class TrainState(struct.PyTreeNode):
    """The whole state of a run.

    Random numbers of a step come from `fold_in(root_key, step)`: no key needs saving.

    Attributes:
      step: int32 scalar, optimiser steps taken.
      params: Trained parameters (one tree; adversarial objectives nest two).
      ema: Exponential moving average of the parameters that are released.
      opt_state: Optimiser state.
    """

    step: Array
    params: PyTree
    ema: PyTree
    opt_state: PyTree


def update_ema(ema: PyTree, params: PyTree, step: Array, decay: float) -> PyTree:
    """One step of the average; early on it forgets faster, so it never keeps the init.

    The effective decay is `min(decay, (1 + step) / (10 + step))`.
    """
    rate = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda e, p: e + (1.0 - rate) * (p - e), ema, params)


def keep_if_finite(loss: Array, new: TrainState, old: TrainState) -> tuple[TrainState, Array]:
    """All-or-nothing guard: a step whose loss or update is not finite changes nothing but `step`.

    Returns:
      The guarded state, and 1.0 if the step was skipped, else 0.0.
    """
    # The optimiser's too: a gradient whose square overflows leaves parameters that are finite
    # and moments that are infinite for ever.
    leaves = [leaf for leaf in jax.tree.leaves(new) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    sums = [jnp.sum(leaf.astype(jnp.float32)) for leaf in leaves]
    finite = jnp.isfinite(loss) & jnp.all(jnp.isfinite(jnp.stack(sums)))
    kept = jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)
    return kept.replace(step=new.step), 1.0 - finite.astype(jnp.float32)
