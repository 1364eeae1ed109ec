"""The settings of sampling, each declared once: default, range and help.

The command line's options and their help, the checks and the grid of a sweep come from these
fields. Nothing heavy is imported, so that `--help` answers at once; `sampling.py` turns names into
solvers, schedules and guidance.
"""

from __future__ import annotations

import dataclasses
import itertools
import numbers
from collections.abc import Mapping
from typing import Any

from bassdiff.diffusion.noise_range import SIGMA_MAX, SIGMA_MIN
from bassdiff.runtime.errors import InputError

MAX_STEPS = 256
FITTED = "fitted"
_HIGHEST_LEVEL = 1000.0
KINDS = {"str": str, "int": int, "float": float}


def _number(default: float, low: float, high: float, words: str) -> Any:
    return dataclasses.field(
        default=default,
        metadata={"low": low, "high": high, "help": f"{low:g} to {high:g}: {words}"},
    )


def _name(default: str, words: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": words})


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How to sample. Weights bring their own defaults; the `metadata` of a field has its help.

    `levels` are noise levels that were fitted to the weights, strictly decreasing, for the schedule
    `fitted`.
    """

    solver: str = _name("dpmpp2m", "euler, heun, dpmpp2m, unipc, ...; see the sampler's tutorial")
    schedule: str = _name("cosine", "cosine, karras, log_linear, or fitted to the weights")
    levels: tuple[float, ...] = ()
    steps: int = _number(30, 2, MAX_STEPS, "noise levels")
    sigma_min: float = _number(
        SIGMA_MIN,
        0.001,
        10.0,
        "the last noise level; what is finer is estimated at once, not sampled",
    )
    guidance_kind: str = _name("cfg", "cfg, interval, cfgpp, apg, cfg_zero_star, threshold or none")
    guidance: float = _number(2.5, 0.0, 100.0, "how closely to follow the mix; 1 is off")
    guidance_low: float = _number(
        1.5, 0.0, SIGMA_MAX, "lowest noise level at which the kind interval guides"
    )
    guidance_high: float = _number(SIGMA_MAX, 0.0, SIGMA_MAX, "and the highest")
    rescale: float = _number(
        0.7, 0.0, 1.0, "undo the distortion of strong guidance, for cfg and interval"
    )
    channel_rescale: float = _number(
        0.0, 0.0, 1.0, "how much of that is done channel by channel, which keeps attacks natural"
    )
    apg_parallel: float = _number(
        0.0, 0.0, 1.0, "share that the kind apg keeps of what only inflates the estimate"
    )
    apg_norm: float = _number(
        1.0, 0.01, 100.0, "its bound on the contrast, in deviations of the latents"
    )
    threshold_quantile: float = _number(
        0.995, 0.0, 1.0, "of the estimate's sizes; beyond it, the kind threshold clips"
    )
    threshold_floor: float = _number(
        3.0, 0.1, 100.0, "sizes that it never clips, in deviations of the latents"
    )
    grounding: str = _name(
        "mean", "match a style's mean, its moments (spread too), or the replacement of the mean"
    )
    style_strength: float = _number(1.0, 0.0, 10.0, "weight of the style; 0 is off, 1 is natural")
    steadiness: float = _number(1.0, 0.0, 1.0, "keep the sound of equal notes equal; 0 is off")
    pedal: float = _number(1.0, 0.0, 1.0, "hold one note where the mix has no pitch")
    chord_strength: float = _number(
        0.8, 0.0, 1.0, "keep to --chords and --key; 1 never leaves them, less allows passing notes"
    )
    window_seconds: float = _number(
        0.0,
        0.0,
        600.0,
        "hear longer songs through windows of 10 s or more; 0 lets the length decide",
    )

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          InputError: For an unknown name or a value out of range.
        """
        names = setting_names()
        for field in setting_fields():
            value = getattr(self, field.name)
            if "low" in field.metadata:
                low, high = field.metadata["low"], field.metadata["high"]
                if field.name == "window_seconds" and value:
                    low = 10.0
                kind = numbers.Integral if field.type == "int" else numbers.Real
                if not isinstance(value, kind):
                    what = "whole number" if field.type == "int" else "number"
                    raise InputError(
                        f"{field.name} is {value!r}; choose a {what} from {low} to {high}"
                    )
                if not low <= value <= high:
                    raise InputError(
                        f"{field.name} is {value}; choose a value from {low} to {high}"
                    )
            elif value not in names[field.name]:
                raise InputError(
                    f"unknown {field.name} {value!r}; choose among {', '.join(names[field.name])}"
                )
        levels = self.levels
        if not all(
            isinstance(x, numbers.Real) and 0.0 < x <= _HIGHEST_LEVEL for x in levels
        ) or any(low >= high for high, low in itertools.pairwise(levels)):
            raise InputError(f"levels are {str(levels)[:80]}; choose positive ones that descend")
        if self.schedule == FITTED and not self.levels:
            raise InputError(
                f"these weights have no levels for the schedule {FITTED!r}; choose among "
                f"{', '.join(name for name in names['schedule'] if name != FITTED)}"
            )

    @classmethod
    def of_weights(cls, bindings: Mapping[str, Any]) -> Sampling:
        """The defaults that weights bring, from what is recorded with them."""
        stored = bindings["sampling"]
        return cls(**{**stored, "levels": tuple(stored.get("levels", ()))})

    def changed(self, **changes: Any) -> Sampling:
        """The same with some settings changed.

        Raises:
          InputError: For an unknown name or a value out of range.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise InputError(f"unknown setting {name!r}; choose among {', '.join(known)}")
        return dataclasses.replace(self, **changes)

    @property
    def program(self) -> tuple[str | bool | float, ...]:
        """What decides which compiled program samples: basses that share it share a batch."""
        return (
            *(self.solver, self.guidance_kind, self.guidance == 1.0),
            *(self.grounding == "replacement", self.window_seconds),
        )


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """Checks settings that replace those of weights, before the weights are loaded.

    Raises:
      InputError: For an unknown name or a value out of range.
    """
    # Which levels were fitted to the weights is not known yet.
    Sampling(levels=(1.0,)).changed(**overrides)


def setting_fields() -> list[dataclasses.Field[Any]]:
    """The fields of `Sampling` that a user sets: names and numbers."""
    return [field for field in dataclasses.fields(Sampling) if field.type in KINDS]


def setting_names() -> dict[str, list[str]]:
    """The allowed values of settings that are names."""
    from bassdiff.diffusion.guidance import GUIDANCES
    from bassdiff.diffusion.schedules import SCHEDULES
    from bassdiff.diffusion.solvers import SOLVERS

    return {
        "solver": list(SOLVERS),
        "schedule": [*SCHEDULES, FITTED],
        "guidance_kind": list(GUIDANCES),
        "grounding": ["mean", "moments", "replacement"],
    }
