"""From noise to latents: the loop over noise levels, in one jit and one scan.

The order inside a step is that of the guidance chain: conditional and unconditional
estimate, guidance, latent rescaling, style grounding, then the solver's move. Every array
and number is traced, so no setting's value compiles anything.

Every row of a batch has noise levels and a PRNG key of its own: its result does not depend on its
neighbours. The network is in the program once. The last step, to level 0, is a step like the
others, whose result is the estimate instead of the solver's move. The second stage of a solver is
an iteration of its own at the next level, so the last step has none.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.rows import per_row
from bassdiff.diffusion.types import Array, Cond, Denoise, Guidance, PyTree, Solver

# The level at which rows that are done are evaluated; the result is discarded.
_DONE = 1e-3


class Trajectory(struct.PyTreeNode):
    """Where samples are: `x` `[B, T, C]` and the solver's state."""

    x: Array
    solver_state: PyTree


def to_zero(sigmas: Array) -> Array:
    """Noise levels `[K]` or `[B, K]` with the level 0, at which sampling ends, after the last."""
    sigmas = jnp.asarray(sigmas)
    return jnp.pad(sigmas, [(0, 0)] * (sigmas.ndim - 1) + [(0, 1)])


def begin(solver: Solver, noise: Array, sigma: Array, draft: Array | float = 0.0) -> Trajectory:
    """The start of a trajectory: unit normal `noise` `[B, T, C]` scaled to the first level.

    From a `draft` `[B, T, C]`, what the first level's noise does not drown stays: a low first
    level gives a variation of it (arXiv 2108.01073).

    Args:
      solver: The solver, for its first state.
      noise: `[B, T, C]`.
      sigma: The first level: a number, or one for each row `[B, 1, 1]`.
      draft: Latents that the noise is added to.
    """
    x = draft + noise * sigma
    return Trajectory(x, solver.init(x))


def advance(
    denoise: Denoise,
    solver: Solver,
    guidance: Guidance,
    levels: Array,
    cond: Cond,
    trajectory: Trajectory,
    first: Array | int,
    last: Array | int,
    keys: Array,
) -> Trajectory:
    """Takes the steps from `levels[..., first]` down to `levels[..., last]`.

    With a solver of two stages, the next call corrects the prediction for `levels[..., last]`.

    With integer bounds this is a `lax.scan`. With traced bounds it is a `while_loop`, whose
    compiled form serves any number of steps, so that long work can show its progress.

    Args:
      denoise: D(x, sigma, cond).
      solver: The solver. Its numbers are leaves; its class is part of the program.
      guidance: The guidance, likewise.
      levels: `[K]` noise levels of all rows, or `[B, K]`. The step to a level of 0 ends at the
        guided estimate, and a row at 0 stays there, so that rows may take different numbers of
        steps. Entries after `last` are not read.
      cond: The condition.
      trajectory: As `begin` or an earlier call left it.
      first: Index of the level the trajectory is at.
      last: Index of the level to go to, `first <= last < K`.
      keys: `[B]`, sources of the noise that stochastic solvers add.

    Returns:
      The trajectory at `levels[..., last]`.
    """
    guided = guidance(denoise)
    mask = cond.mask()
    # Schedules are numpy arrays, which a traced index cannot read.
    levels = jnp.broadcast_to(jnp.asarray(levels), (cond.mix.shape[0], jnp.shape(levels)[-1]))

    stages = getattr(solver, "num_stages", 1)

    def step(turn: Array, at: Trajectory) -> Trajectory:
        # At each level but the first, later stages of the step that led there come first.
        i, corrects = (turn + stages - 1) // stages, turn % stages > 0
        level, following = levels[:, i, None, None], levels[:, i + 1, None, None]
        previous = levels[:, jnp.maximum(i - 1, 0), None, None]
        sigma = jnp.where(level > 0.0, level, _DONE)
        sigma_next = jnp.where(following > 0.0, following, 0.5 * sigma)
        estimates = []

        def bound(x: Array, at_level: Array) -> Array:
            # All stages of a step have its ratio.
            higher = jnp.where(at_level > following, at_level, sigma)
            ratio = jnp.where(corrects, level / previous, following / higher)[:, 0, 0]
            seen = cond.replace(step_ratio=ratio)
            estimates.append(guided(x, at_level[:, 0, 0], seen) * mask)
            return estimates[-1]

        moved, state = solver.step(
            bound,
            at.x,
            at.solver_state,
            sigma,
            sigma_next,
            jax.vmap(jax.random.fold_in, (0, None))(keys, i),
        )
        moved = jnp.where(corrects | (following > 0.0), moved, estimates[0])
        return Trajectory(jnp.where(level > 0.0, moved, at.x), state)

    first, last = (stages * place - (stages - 1) * (place > 0) for place in (first, last))
    return jax.lax.fori_loop(first, last, step, trajectory)


def sample(
    denoise: Denoise,
    solver: Solver,
    guidance: Guidance,
    sigmas: Array,
    cond: Cond,
    noise: Array,
    keys: Array,
) -> Array:
    """Samples latents.

    Args:
      denoise: D(x, sigma, cond), such as `precondition` makes of a network.
      solver: See `diffusion/solvers.py`.
      guidance: See `diffusion/guidance.py`; `chain()` for none.
      sigmas: `[K]` or `[B, K]`, strictly decreasing, positive; see `diffusion/schedules.py`.
      cond: The condition; frames beyond `cond.frames` come back as zeros.
      noise: `[B, T, C]` unit normal.
      keys: `[B]` PRNG keys of stochastic solvers.

    Returns:
      `[B, T, C]` float32 latents.
    """
    levels = to_zero(sigmas)
    trajectory = begin(solver, noise, per_row(levels[..., 0]))
    last = levels.shape[-1] - 1
    return advance(denoise, solver, guidance, levels, cond, trajectory, 0, last, keys).x
