"""Names of solvers, schedules and guidances, and what they mean: how to sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
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
from bassdiff.diffusion.schedules import SCHEDULES, SIGMA_MAX, SIGMA_MIN, through
from bassdiff.diffusion.solvers import SOLVERS
from bassdiff.errors import InputError
from bassdiff.models.features import LATENT_HOP
from bassdiff.types import Guidance, Solver

MAX_STEPS = 256
MAX_ONE_PASS_FRAMES = 13824
WINDOW_FRAMES = 3072
FITTED = "fitted"
GROUNDINGS = ("mean", "moments", "replacement")
# A plain weight that a unit of CFG++ is like (arXiv 2406.08070, table 1).
CFGPP_UNIT = 12.5


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How to sample. Weights bring their own defaults.

    Attributes:
      solver: A name in `SOLVERS`.
      schedule: A name in `SCHEDULES`, or `fitted`: through `levels`.
      levels: Noise levels that were fitted to the weights, strictly decreasing.
      steps: Noise levels, 2 to 256.
      sigma_min: The last of them, 0.001 to 10. What is finer than that is not sampled but
        estimated at once: a model that is still weak there is better not asked. `fitted` ends
        where its levels end.
      guidance_kind: A name in `GUIDANCES`.
      guidance: Weight of guidance, 1 (off) upwards.
      guidance_low: Lower end, in noise levels, of where the kind `interval` guides.
      guidance_high: Upper end.
      rescale: Latent rescaling of the guided estimate, 0 to 1, for `cfg` and `interval`.
      apg_parallel: Share, 0 to 1, that the kind `apg` keeps of what only inflates the estimate.
      apg_norm: Its bound on the contrast, in deviations of the latents.
      threshold_quantile: Of the estimate's sizes, 0 to 1, beyond which `threshold` clips.
      threshold_floor: Sizes that it never clips, in deviations of the latents.
      grounding: `mean` or `moments` (mean and spread) of the estimate, or `replacement` of the
        mean of x.
      style_strength: Weight of style grounding, 0 (off) upwards.
      pedal: How much, 0 to 1, one note is held where the mix has no pitch; see `Pedal`.
      window_seconds: Length of the windows through which longer songs are heard, 10 to 600; 0
        hears songs of up to ten minutes at once, and longer ones through windows of 143 s.
    """

    solver: str = "dpmpp2m"
    schedule: str = "cosine"
    levels: tuple[float, ...] = ()
    steps: int = 30
    sigma_min: float = SIGMA_MIN
    guidance_kind: str = "cfg"
    guidance: float = 2.5
    guidance_low: float = 1.5
    guidance_high: float = SIGMA_MAX
    rescale: float = 0.7
    apg_parallel: float = 0.0
    apg_norm: float = 1.0
    threshold_quantile: float = 0.995
    threshold_floor: float = 3.0
    grounding: str = "mean"
    style_strength: float = 1.0
    pedal: float = 1.0
    window_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          InputError: For an unknown name or a value out of range.
        """
        if self.schedule == FITTED and not self.levels:
            raise InputError(
                f"these weights have no levels for the schedule {FITTED!r}; choose among "
                f"{', '.join(SCHEDULES)}"
            )
        schedules = (*SCHEDULES, FITTED)
        for kind, name, known in (
            ("solver", self.solver, SOLVERS),
            ("schedule", self.schedule, schedules),
            ("guidance_kind", self.guidance_kind, GUIDANCES),
            ("grounding", self.grounding, GROUNDINGS),
        ):
            if name not in known:
                raise InputError(f"unknown {kind} {name!r}; choose among {', '.join(known)}")
        for name, low, high in (
            ("steps", 2, MAX_STEPS),
            ("sigma_min", 0.001, 10.0),
            ("guidance", 0.0, 100.0),
            ("guidance_low", 0.0, SIGMA_MAX),
            ("guidance_high", 0.0, SIGMA_MAX),
            ("rescale", 0.0, 1.0),
            ("apg_parallel", 0.0, 1.0),
            ("apg_norm", 0.01, 100.0),
            ("threshold_quantile", 0.0, 1.0),
            ("threshold_floor", 0.1, 100.0),
            ("style_strength", 0.0, 10.0),
            ("pedal", 0.0, 1.0),
            ("window_seconds", 10.0 if self.window_seconds else 0.0, 600.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"{name} is {getattr(self, name)}; choose a value from {low} to {high}"
                )

    @classmethod
    def of_weights(cls, bindings: Mapping[str, Any]) -> Sampling:
        """The defaults that weights bring, from what is recorded with them."""
        stored = bindings["sampling"]
        return cls(**{**stored, "levels": tuple(stored.get("levels", ()))})

    def sigmas(self, sigma_max: float = SIGMA_MAX) -> np.ndarray:
        """The noise levels `[steps]` float32, from `sigma_max` down."""
        sigma_min = self.sigma_min
        if self.schedule == FITTED:
            sigma_min, sigma_max = self.levels[-1], min(sigma_max, self.levels[0])
        # A variation that begins low ends lower still.
        sigma_min = min(sigma_min, sigma_max / 2.0)
        schedule = through(self.levels) if self.schedule == FITTED else SCHEDULES[self.schedule]
        return schedule(self.steps, sigma_min=sigma_min, sigma_max=sigma_max)

    @property
    def kind(self) -> tuple[str | bool | float, ...]:
        """What decides which compiled program samples: basses that share it share a batch."""
        return (
            *(self.solver, self.guidance_kind, self.guidance == 1.0),
            *(self.grounding == "replacement", self.window_seconds),
        )

    def make_solver(self) -> Solver:
        """The solver of that name."""
        return SOLVERS[self.solver]()

    def make_guidance(self) -> tuple[Guidance, ...]:
        """The links that contrast with and without the mix; none at a guidance of 1."""
        links = GUIDANCES[self.guidance_kind](self)
        # Dynamic thresholding clips a plain estimate too.
        return links[1:] if self.guidance == 1.0 else links

    def window(self, num_frames: int) -> Guidance:
        """The link that looks at a song of so many latent frames through windows, or at once."""
        if not self.window_seconds:
            at_once = num_frames <= MAX_ONE_PASS_FRAMES
            return chain() if at_once else Windowed(WINDOW_FRAMES, WINDOW_FRAMES * 3 // 4)
        seconds_per_frame = LATENT_HOP / SAMPLE_RATE_HZ
        # Halved at every level of the network, and overlapping by a quarter.
        frames = 64 * round(self.window_seconds / seconds_per_frame / 64)
        return Windowed(frames, frames * 3 // 4)


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
