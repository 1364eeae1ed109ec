"""What a training step carries: arrays only, so that it can be sharded, donated and saved."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
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


def fresh_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """The state of a run before its first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        # A copy: what aliases the parameters could not be donated with them.
        ema=jax.tree.map(jnp.copy, params),
        opt_state=optimizer.init(params),
    )


def gradient_step(
    state: TrainState,
    loss: Array,
    grads: PyTree,
    optimizer: optax.GradientTransformation,
    ema_decay: float,
) -> tuple[TrainState, dict[str, Array]]:
    """One guarded optimiser step; see `keep_if_finite`.

    Returns:
      The new state, and what every objective reports of its step.
    """
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    new = state.replace(
        step=state.step + 1,
        params=params,
        ema=update_ema(state.ema, params, state.step, ema_decay),
        opt_state=opt_state,
    )
    new, skipped = keep_if_finite(loss, new, state)
    return new, {"loss": loss, "gradient_norm": optax.tree.norm(grads), "skipped": skipped}


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
