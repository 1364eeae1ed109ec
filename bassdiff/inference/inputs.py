"""The inputs of generation: a mix within limits, references of sound, a bass to start from."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bassdiff.diffusion.noise_range import SIGMA_MAX
from bassdiff.diffusion.settings import Sampling
from bassdiff.inference.control import Control
from bassdiff.runtime.errors import InputError

MIN_SECONDS = 1.0
MAX_SECONDS = 3600.0
# A loop is heard at once, with room for repeats at either end.
MAX_LOOP_SECONDS = 480.0
# A file, or samples `[N]` or `[N, channels]` at the mix's rate.
Recording: TypeAlias = str | Path | np.ndarray
# The crossfade between references.
CROSSFADE_SECONDS = 0.5
# The crossfade between kept and generated parts of a draft.
SPLICE_SECONDS = 0.02


def check_length(name: str, num_samples: int, sample_rate_hz: int) -> None:
    """Checks that the length of a mix is supported.

    Raises:
      InputError: If it is shorter than 1 s or longer than 1 h.
    """
    seconds = num_samples / sample_rate_hz
    if seconds < MIN_SECONDS:
        raise InputError(f"{name} is {seconds:.3f} s long; give a mix of 1 s at least")
    if seconds > MAX_SECONDS:
        raise InputError(f"{name} is longer than 1 h; cut it and play to the parts")


def check_seed(seed: int) -> None:
    """Checks that a seed fits the random generator.

    Raises:
      InputError: If it is negative or too large.
    """
    if not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise InputError(f"the seed is {seed!r}; choose a whole number from 0 to 2^32 - 1")


@dataclasses.dataclass(frozen=True)
class Style:
    """A bass recording whose sound to take.

    Attributes:
      recording: The recording.
      weight: Its share among references that begin at the same time; positive.
      start_seconds: When its sound takes over, until another reference's begins.
    """

    recording: Recording
    weight: float = 1.0
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Checks the values."""
        if not 0.0 < self.weight < float("inf"):
            raise InputError(f"the weight of a style is {self.weight}; choose a positive one")
        if not 0.0 <= self.start_seconds < float("inf"):
            raise InputError(f"a style starts at {self.start_seconds} s; choose 0 or later")


@dataclasses.dataclass(frozen=True)
class Draft:
    """A bass to start from instead of from nothing.

    `edit`, `continuation`, `variation` and `retimbre` make one.

    Attributes:
      bass: The recording, played to the same mix and aligned with it.
      strength: 0 (the recording itself) to 1 (from scratch).
      free_seconds: The stretch to generate; outside it the draft is kept. None is all of it;
        a start of None is where the draft ends.
      keep_notes: Keep pitches, and generate the sound.
    """

    bass: Recording
    strength: float = 1.0
    free_seconds: tuple[float | None, float] | None = None
    keep_notes: bool = False

    def __post_init__(self) -> None:
        """Checks the values."""
        if not 0.0 <= self.strength <= 1.0:
            raise InputError(f"the strength is {self.strength}; choose a value from 0 to 1")
        if self.free_seconds is not None:
            start, end = self.free_seconds
            if start is not None and not 0.0 <= start < end:
                raise InputError(
                    f"a region from {start:g} to {end:g} s is invalid; give START:END with 0 <= "
                    "START < END"
                )

    def check_fits(self, mix_seconds: float) -> None:
        """Checks that what is to be played anew begins within a mix.

        Raises:
          InputError: It begins later.
        """
        start = None if self.free_seconds is None else self.free_seconds[0]
        if start is not None and start >= mix_seconds:
            raise InputError(
                f"what is to be played begins at {start:.1f} s and the mix lasts "
                f"{mix_seconds:.1f} s; begin earlier"
            )

    @property
    def sigma_max(self) -> float:
        """The noise level that is added to the draft: strengths are even steps in its angle."""
        return min(float(np.tan(self.strength * np.pi / 2.0)), SIGMA_MAX)


@dataclasses.dataclass(frozen=True)
class Task:
    """One bass to play, in Python.

    Attributes:
      mix: `[N]` or `[N, channels]` floats whose full scale is 1, 1 s to 1 h.
      sample_rate_hz: Its rate, in Hz.
      style: A bass recording whose sound to take: a file, or samples `[N]` or `[N, channels]` at
        the mix's rate; or several as `Style`s, to blend or to take turns. None leaves the sound
        to the model.
      draft: A bass to edit, continue, vary or give another sound; as `edit` and the like make one.
      seed: The same seed gives the same bass.
      sampling: Settings; the weights' defaults when None.
      control: Chords, a key and the like that are decided and not left to the model.
      loops: Whether the mix is a loop, and the end of the bass is to meet its beginning.
      level_lufs: The loudness of all channels, of a mix that comes as one; None measures it.
      takes_over: Whether the mix may be overwritten, which of an hour saves a copy.
    """

    mix: np.ndarray
    sample_rate_hz: int
    style: Recording | Sequence[Style] | None = None
    draft: Draft | None = None
    seed: int = 0
    sampling: Sampling | None = None
    control: Control | None = None
    loops: bool = False
    level_lufs: float | None = None
    takes_over: bool = False

    def __post_init__(self) -> None:
        """Checks what kinds of things are given."""
        for name, kind, remedy in (
            ("draft", Draft, "make one by edit, continuation, variation or retimbre"),
            ("control", Control, "make a Control"),
            ("sampling", Sampling, "make a Sampling, or give single settings by their names"),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind | None):
                raise InputError(f"{name} is a {type(value).__name__}; {remedy}")


def check_loop(task: Task) -> None:
    """Checks that a loop can be played.

    Raises:
      InputError: It is longer than is heard at once, or goes with a draft.
    """
    if not task.loops:
        return
    if len(task.mix) > MAX_LOOP_SECONDS * task.sample_rate_hz:
        raise InputError("the loop is longer than 8 minutes; make it shorter")
    if task.draft is not None:
        raise InputError(
            "a loop is played from nothing; leave out --loop, or the bass that is named"
        )


def edit(bass: Recording, start_seconds: float, end_seconds: float) -> Draft:
    """Generates one stretch of a bass again, to fit what is before and after it."""
    return Draft(bass, free_seconds=(start_seconds, end_seconds))


def continuation(bass: Recording) -> Draft:
    """Continues a bass from its end."""
    return Draft(bass, free_seconds=(None, float("inf")))


def variation(bass: Recording, strength: float = 0.4) -> Draft:
    """Varies a bass: a strength of 0 leaves it as it is, 1 starts from scratch."""
    return Draft(bass, strength)


def retimbre(bass: Recording, strength: float = 0.6) -> Draft:
    """Keeps a bass's notes and plays them in another sound; give a style with it."""
    return Draft(bass, strength, keep_notes=True)


def section_shares(starts_seconds: np.ndarray, times_seconds: np.ndarray) -> np.ndarray:
    """The share of each section at each time: `[T, S]` float32, whose rows sum to 1.

    Args:
      starts_seconds: `[S]`, not decreasing; the first is ignored, as its section begins at 0.
      times_seconds: `[T]`.
    """
    begun = (times_seconds[:, None] - starts_seconds[None, 1:]) / CROSSFADE_SECONDS + 0.5
    begun = np.clip(begun, 0.0, 1.0)
    ones, zeros = np.ones((len(times_seconds), 1)), np.zeros((len(times_seconds), 1))
    bounds = np.concatenate([ones, begun, zeros], axis=1)
    return np.maximum(bounds[:, :-1] - bounds[:, 1:], 0.0).astype(np.float32)
