"""From noise to latents: the loop over noise levels, in one jit and one scan.

The order inside a step is that of the guidance chain: conditional and unconditional
estimate, guidance, latent rescaling, style grounding, then the solver's move. Every array
and number is traced, so no knob's value compiles anything.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from bassdiff.types import Array, Cond, Denoise, Guidance, PyTree, Solver


class Trajectory(struct.PyTreeNode):
    """Where a sample is: `x` `[B, T, C]` and the solver's state."""

    x: Array
    solver_state: PyTree


def begin(solver: Solver, noise: Array, sigma: Array, draft: Array | float = 0.0) -> Trajectory:
    """The start of a trajectory: unit normal `noise` `[B, T, C]` scaled to the first level.

    From a `draft` `[B, T, C]`, what the first level's noise does not drown stays: a low first
    level gives a variation of it (arXiv 2108.01073).
    """
    x = draft + noise * sigma
    return Trajectory(x, solver.init(x))


def advance(
    denoise: Denoise,
    solver: Solver,
    guidance: Guidance,
    sigmas: Array,
    cond: Cond,
    trajectory: Trajectory,
    first: Array | int,
    last: Array | int,
    key: Array,
) -> Trajectory:
    """Takes the steps from `sigmas[first]` down to `sigmas[last]`.

    With integer bounds this is a `lax.scan`. With traced bounds it is a `while_loop`, whose
    compiled form serves any number of steps, so that long work can show its progress.

    Args:
      denoise: D(x, sigma, cond).
      solver: Its numbers are leaves, its class is part of the program.
      guidance: Likewise.
      sigmas: `[K]` noise levels; entries after `last` are not read.
      cond: The condition.
      trajectory: As `begin` or an earlier call left it.
      first: Index of the level the trajectory is at.
      last: Index of the level to go to, `first <= last < K`.
      key: Source of the noise that stochastic solvers add.

    Returns:
      The trajectory at `sigmas[last]`.
    """
    guided = guidance(denoise)
    mask = cond.mask()
    # Schedules are numpy arrays, which a traced index cannot read.
    sigmas = jnp.asarray(sigmas)

    def bound(x: Array, sigma: Array) -> Array:
        return guided(x, jnp.full(x.shape[0], sigma), cond) * mask

    def step(i: Array, at: Trajectory) -> Trajectory:
        x, state = solver.step(
            bound, at.x, at.solver_state, sigmas[i], sigmas[i + 1], jax.random.fold_in(key, i)
        )
        return Trajectory(x, state)

    return jax.lax.fori_loop(first, last, step, trajectory)


def finish(
    denoise: Denoise, guidance: Guidance, sigma: Array, cond: Cond, trajectory: Trajectory
) -> Array:
    """The jump from the last level to zero: `x <- D(x, sigma)`, guided, `[B, T, C]`."""
    x0 = guidance(denoise)(trajectory.x, jnp.full(trajectory.x.shape[0], sigma), cond)
    return x0 * cond.mask()


def sample(
    denoise: Denoise,
    solver: Solver,
    guidance: Guidance,
    sigmas: Array,
    cond: Cond,
    noise: Array,
    key: Array,
) -> Array:
    """Samples latents.

    Args:
      denoise: D(x, sigma, cond), such as `precondition` makes of a network.
      solver: See `diffusion/solvers.py`.
      guidance: See `diffusion/guidance.py`; `chain()` for none.
      sigmas: `[K]` strictly decreasing, positive; see `diffusion/schedules.py`.
      cond: The condition; frames beyond `cond.frames` come back as zeros.
      noise: `[B, T, C]` unit normal.
      key: PRNG key of stochastic solvers.

    Returns:
      `[B, T, C]` float32 latents.
    """
    trajectory = begin(solver, noise, sigmas[0])
    last = sigmas.shape[0] - 1
    trajectory = advance(denoise, solver, guidance, sigmas, cond, trajectory, 0, last, key)
    return finish(denoise, guidance, sigmas[last], cond, trajectory)
