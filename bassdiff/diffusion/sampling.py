"""From the names of settings to solvers, noise levels and guidance."""

from __future__ import annotations

import numpy as np

from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.editing import Windowed
from bassdiff.diffusion.guidance import GUIDANCES
from bassdiff.diffusion.noise_range import SIGMA_MAX
from bassdiff.diffusion.schedules import SCHEDULES, through
from bassdiff.diffusion.settings import FITTED, Sampling
from bassdiff.diffusion.solvers import SOLVERS
from bassdiff.diffusion.types import Guidance, Solver

MAX_ONE_PASS_FRAMES = 13824
WINDOW_FRAMES = 3072


def noise_levels(sampling: Sampling, sigma_max: float = SIGMA_MAX) -> np.ndarray:
    """The noise levels `[steps]` float32, from `sigma_max` down."""
    sigma_min = sampling.sigma_min
    if sampling.schedule == FITTED:
        sigma_min, sigma_max = sampling.levels[-1], min(sigma_max, sampling.levels[0])
    # A variation that begins low ends lower still.
    sigma_min = min(sigma_min, sigma_max / 2.0)
    is_fitted = sampling.schedule == FITTED
    schedule = through(sampling.levels) if is_fitted else SCHEDULES[sampling.schedule]
    return schedule(sampling.steps, sigma_min=sigma_min, sigma_max=sigma_max)


def make_solver(sampling: Sampling) -> Solver:
    """The solver of that name."""
    return SOLVERS[sampling.solver]()


def make_guidance(sampling: Sampling) -> tuple[Guidance, ...]:
    """The links that contrast with and without the mix; none at a guidance of 1."""
    links = GUIDANCES[sampling.guidance_kind](sampling)
    # Dynamic thresholding clips a plain estimate too.
    return links[1:] if sampling.guidance == 1.0 else links


def make_window(sampling: Sampling, num_frames: int, frame_seconds: float) -> Guidance:
    """The link that denoises a song of `num_frames` latent frames in windows, or at once."""
    if not sampling.window_seconds:
        at_once = num_frames <= MAX_ONE_PASS_FRAMES
        return chain() if at_once else Windowed(WINDOW_FRAMES, WINDOW_FRAMES * 3 // 4)
    # Halved at every level of the network, and overlapping by a quarter.
    frames = 64 * round(sampling.window_seconds / frame_seconds / 64)
    return Windowed(frames, frames * 3 // 4)
