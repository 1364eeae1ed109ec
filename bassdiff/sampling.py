"""From the names of settings to solvers, noise levels and guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.diffusion.editing import Windowed
from bassdiff.diffusion.guidance import (
    APG,
    CFG,
    CFGpp,
    CFGZeroStar,
    DynamicThresholding,
    Interval,
    chain,
)
from bassdiff.diffusion.noise_range import SIGMA_MAX
from bassdiff.diffusion.schedules import SCHEDULES, through
from bassdiff.diffusion.solvers import SOLVERS
from bassdiff.models.features import LATENT_HOP
from bassdiff.settings import FITTED, Sampling
from bassdiff.types import Guidance, Solver

MAX_ONE_PASS_FRAMES = 13824
WINDOW_FRAMES = 3072
# A plain weight that a unit of CFG++ is like (arXiv 2406.08070, table 1).
CFGPP_UNIT = 12.5


def _cfg(sampling: Sampling) -> CFG:
    return CFG(np.float32(sampling.guidance), np.float32(sampling.rescale))


GUIDANCES: dict[str, Callable[[Sampling], tuple[Any, ...]]] = {
    "none": lambda s: (),
    "cfg": lambda s: (_cfg(s),),
    "interval": lambda s: (
        Interval(_cfg(s), np.float32(s.guidance_low), np.float32(s.guidance_high)),
    ),
    "cfgpp": lambda s: (CFGpp(np.float32(s.guidance / CFGPP_UNIT), np.float32(0.0)),),
    "apg": lambda s: (
        APG(np.float32(s.guidance), np.float32(s.apg_parallel), np.float32(s.apg_norm)),
    ),
    "cfg_zero_star": lambda s: (CFGZeroStar(np.float32(s.guidance), np.float32(np.inf)),),
    "threshold": lambda s: (
        CFG(np.float32(s.guidance), np.float32(0.0)),
        DynamicThresholding(np.float32(s.threshold_quantile), np.float32(s.threshold_floor)),
    ),
}
_NAMES: dict[str, Sequence[str]] = {
    "solver": tuple(SOLVERS),
    "schedule": (*SCHEDULES, FITTED),
    "guidance_kind": tuple(GUIDANCES),
    "grounding": ("mean", "moments", "replacement"),
}


def names(setting: str) -> Sequence[str]:
    """What a setting that is a name may be."""
    return _NAMES[setting]


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


def make_window(sampling: Sampling, num_frames: int) -> Guidance:
    """The link that looks at a song of so many latent frames through windows, or at once."""
    if not sampling.window_seconds:
        at_once = num_frames <= MAX_ONE_PASS_FRAMES
        return chain() if at_once else Windowed(WINDOW_FRAMES, WINDOW_FRAMES * 3 // 4)
    seconds_per_frame = LATENT_HOP / SAMPLE_RATE_HZ
    # Halved at every level of the network, and overlapping by a quarter.
    frames = 64 * round(sampling.window_seconds / seconds_per_frame / 64)
    return Windowed(frames, frames * 3 // 4)
