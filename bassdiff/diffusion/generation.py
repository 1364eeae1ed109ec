"""The compiled program that generates a batch of basses."""

from __future__ import annotations

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bassdiff.diffusion import request as requests
from bassdiff.diffusion.denoiser import precondition
from bassdiff.diffusion.request import LatentLayout, Request
from bassdiff.diffusion.sampler import Trajectory
from bassdiff.diffusion.types import Array, Cond, Guidance, PyTree, Solver
from bassdiff.runtime.traced_programs import run_kept

# Lengths, in latent frames, that the sampler is compiled for: 11 s, 15 s, 20 s, 23 s, 30 s, ...
# At most 35 % is added to a song of 8 s or more. A step of 35 % ends just beyond a whole number of
# seconds that many clips have. Beyond ten minutes songs are heard in windows, and padding costs
# nothing.
FRAME_BUCKETS = (
    *(240, 320, 432, 488, 648, 856, 1152, 1536, 2048, 2720, 3648, 4864, 6496, 8640, 10656, 13824),
    *(41472, 82176),
)


def frame_bucket(frames: int) -> int:
    """The length that a song of `frames` latent frames is padded to."""
    return next(size for size in FRAME_BUCKETS if size >= frames)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnames="trajectory")
def advance_requests(
    model: nn.Module,
    window: Guidance,
    params: PyTree,
    solver: Solver,
    layout: LatentLayout,
    request: Request,
    trajectory: Trajectory,
    first: Array,
    last: Array,
) -> Trajectory:
    """The compiled program: takes a batch from one noise level to another; see `generate_latents`.

    Args:
      model: The network.
      window: Through which it looks at long songs.
      params: Its parameters.
      solver: See `diffusion/solvers.py`.
      layout: The meaning of the bass's channels.
      request: What to play.
      trajectory: Where the batch is; its memory is donated.
      first: Index of that level.
      last: Index of the level to go to.
    """

    def network(x: Array, sigma: Array, cond: Cond) -> Array:
        return model.apply({"params": params}, x, sigma, cond)

    denoise = window(precondition(network))
    return requests.play(denoise, solver, layout, request, trajectory, first, last)


def generate_latents(
    model: nn.Module,
    params: PyTree,
    window: Guidance,
    solver: Solver,
    layout: LatentLayout,
    request: Request,
    mesh: Mesh | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[np.ndarray]:
    """Latents of a batch of basses.

    One program serves all requests of one batch size, length, contrast and solver; their numbers
    do not matter. A row comes out the same in any batch, up to rounding.

    Args:
      model: The network.
      params: Its parameters.
      window: Through which it looks at long songs; `chain()` for none.
      solver: See `diffusion/solvers.py`.
      layout: The meaning of the bass's channels.
      request: The basses to generate, padded to a length from `frame_bucket`.
      mesh: Devices that share the rows, along its axis `data`; None for one device.
      progress: Called with (steps done, steps in all) after every step, which the host then waits
        for; without it there is one call.

    Returns:
      `[frames, C]` float32 of every row.
    """
    frames = np.asarray(request.frames)
    # Of the longest row: the others are done before.
    steps = int(np.max(np.sum(np.asarray(request.levels) > 0.0, axis=1)))
    if mesh is not None:
        # Arrays that are on the devices already are not copied.
        params, layout = jax.device_put((params, layout), NamedSharding(mesh, PartitionSpec()))
        short = -len(request.seed) % mesh.shape["data"]
        request = jax.tree.map(lambda leaf: np.concatenate([leaf, *[leaf[-1:]] * short]), request)
    trajectory = requests.blank(solver, request)
    if mesh is not None:
        # Placed as every step leaves it: otherwise the second step would compile again.
        by_row = NamedSharding(mesh, PartitionSpec("data"))
        request, trajectory = jax.device_put((request, trajectory), by_row)
    else:
        # Once, and not at every step; the host's copies are let go.
        request, trajectory = jax.device_put((request, trajectory))
    for first, last in [(i, i + 1) for i in range(steps)] if progress else [(0, steps)]:
        static, place = (model, window), (np.int32(first), np.int32(last))
        arguments = (params, solver, layout, request, trajectory, *place)
        if mesh is None:
            trajectory = run_kept(advance_requests, static, arguments, like=trajectory)
        else:
            trajectory = advance_requests(*static, *arguments)
        if progress is not None:
            jax.block_until_ready(trajectory)
            progress(last, steps)
    if mesh is not None and not trajectory.x.is_fully_addressable:
        # Of several processes, each gets all rows.
        gather = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))
        trajectory = trajectory.replace(x=gather(trajectory.x))
    return requests.rows_of(trajectory, frames)
