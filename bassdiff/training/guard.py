"""Guards a training step: values that are not finite or far too large change nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from bassdiff.diffusion.types import Array, PyTree
from bassdiff.training.state import TrainState, update_ema

# A gradient norm this many times the usual one is an error; smaller outliers are clipped.
SPIKE = 1e3
MEMORY = 0.98


def guard(
    new: TrainState, old: TrainState, losses: Array, norms: Array
) -> tuple[TrainState, dict[str, Array]]:
    """Accepts or rejects a whole step: parameters, optimisers, averages and statistics.

    A step is skipped if a loss, a gradient norm or anything in the new state is not finite, or
    if a norm exceeds `SPIKE` times its own running geometric mean. `step` increases anyway.

    Args:
      new: The state after the step.
      old: The state before it.
      losses: `[n]`, one per trained network.
      norms: `[n]`, norms of their gradients; 0 for a network that is not trained yet.

    Returns:
      The next state, and `gradient_norm` (of the first network), `typical_norm` (its running mean)
      and `skipped` (1.0 or 0.0).
    """
    # The optimiser's state is included: a gradient whose square overflows leaves finite parameters
    # but infinite moments. Norms of networks that are not trained yet are NaN and excluded.
    leaves = jax.tree.leaves(new.replace(log_norms=()))
    sums = [jnp.sum(x.astype(jnp.float32)) for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)]
    finite = jnp.all(jnp.isfinite(jnp.concatenate([losses, norms, jnp.stack(sums)])))
    # Comparisons with an unknown norm are false.
    spikes = jnp.log(norms) > old.log_norms + jnp.log(SPIKE)
    taken = finite & ~jnp.any(spikes)
    memory = jnp.minimum(MEMORY, (1.0 + old.step) / (10.0 + old.step))
    log_norms = jnp.log(jnp.maximum(norms, 1e-30))
    running = memory * old.log_norms + (1.0 - memory) * log_norms
    running = jnp.where(jnp.isnan(old.log_norms), log_norms, running)
    new = new.replace(log_norms=jnp.where(norms > 0.0, running, old.log_norms))
    kept = jax.tree.map(lambda n, o: jnp.where(taken, n, o), new, old)
    return kept.replace(step=new.step), {
        "gradient_norm": norms[0],
        "typical_norm": jnp.exp(kept.log_norms[0]),
        "skipped": 1.0 - taken.astype(jnp.float32),
    }


def gradient_step(
    state: TrainState,
    loss: Array,
    grads: PyTree,
    optimizer: optax.GradientTransformation,
    ema_decay: float,
) -> tuple[TrainState, dict[str, Array]]:
    """One guarded optimiser step of a single network.

    Returns:
      The new state, and the metrics of every objective.
    """
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    new = state.replace(
        step=state.step + 1,
        params=params,
        ema=update_ema(state.ema, params, state.step, ema_decay),
        opt_state=opt_state,
    )
    new, metrics = guard(new, state, loss[None], optax.tree.norm(grads)[None])
    return new, {"loss": loss, **metrics}
