"""Augments rendered songs so that they resemble recordings."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Collection

import numpy as np
import soxr

from bassdiff.data.latents import MixOf
from bassdiff.data.mapped import Mapped
from bassdiff.data.mastering import mastered_mix
from bassdiff.data.mixing import random_mix
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis import effects
from bassdiff.synthesis.stems import UNPITCHED, Source, Stems
from bassdiff.synthesis.voice import sung

# tuning: the whole song up to half a semitone off 440 Hz.
# feel: tempo and players drift (rendered songs only; see `humanise`).
# leads: one stem sings, another is distorted.
# mastering: mixes are mastered; see `mastering`.
GROUPS = ("tuning", "feel", "leads", "mastering")
# Separates these draws from others for the same song and seed.
DRAW = 4
TUNED_PROBABILITY = 0.5
LARGEST_CENTS = 50.0
SUNG_PROBABILITY = 0.5
DISTORTED_PROBABILITY = 0.3


@dataclasses.dataclass(frozen=True)
class Realism:
    """The groups of augmentation that are applied.

    Attributes:
      groups: A subset of `GROUPS`, in their order.
    """

    groups: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Realism:
        """Parses names joined by commas, "all" or "none".

        Raises:
          InputError: If a name is not in `GROUPS`.

        >>> Realism.parse("leads,tuning").groups
        ('tuning', 'leads')
        """
        if text in ("all", "none"):
            return cls(GROUPS if text == "all" else ())
        names = text.split(",")
        for name in names:
            if name not in GROUPS:
                raise InputError(
                    f"{name!r} is not a realism group; choose among {', '.join(GROUPS)}, all or "
                    "none."
                )
        return cls(tuple(group for group in GROUPS if group in names))

    @property
    def feel(self) -> bool:
        """Whether songs are rendered with drifting players."""
        return "feel" in self.groups

    def songs(self, source: Source, seed: int) -> Source:
        """Wraps a source with the groups "tuning" and "leads", if selected."""
        return AsRecorded(source, self.groups, seed)

    @property
    def mix_of(self) -> MixOf:
        """The function that draws a mix of a song."""
        return mastered_mix if "mastering" in self.groups else random_mix


class AsRecorded(Mapped):
    """A source whose songs are detuned and have voices and distortion.

    The changes are drawn from the seed and the song's name, and are the same in every key.
    """

    def __init__(self, source: Source, groups: Collection[str], seed: int = 0):
        """Wraps a source; groups other than "tuning" and "leads" are ignored."""
        super().__init__(source, self._changed)
        self._groups = frozenset(groups)
        self._seed = seed

    def _changed(self, stems: Stems) -> Stems:
        rng = np.random.default_rng([self._seed, zlib.crc32(stems.name.encode()), DRAW])
        if "leads" in self._groups:
            stems = with_leads(stems, rng)
        if "tuning" in self._groups and rng.random() < TUNED_PROBABILITY:
            stems = detuned(stems, float(rng.uniform(-LARGEST_CENTS, LARGEST_CENTS)))
        return stems


def with_leads(stems: Stems, rng: np.random.Generator) -> Stems:
    """Randomly makes one pitched stem sing, and distorts another like a guitar amplifier.

    Args:
      stems: The song.
      rng: Source of randomness.
    """
    others = dict(stems.others)
    pitched = [str(name) for name in rng.permutation(sorted(set(others) - UNPITCHED))]
    if pitched and rng.random() < SUNG_PROBABILITY:
        name = pitched.pop()
        others[name] = sung(others[name], rng)
    if pitched and rng.random() < DISTORTED_PROBABILITY:
        name = pitched.pop()
        loud = effects.drive(others[name], float(np.exp(rng.uniform(1.5, 4.0))))
        level = np.sqrt(np.mean(np.square(others[name])) / max(np.mean(np.square(loud)), 1e-12))
        others[name] = loud * np.float32(level)
    return dataclasses.replace(stems, others=others)


def detuned(stems: Stems, cents: float) -> Stems:
    """Changes pitch and speed together, like a tape at another speed.

    Args:
      stems: A song of N samples.
      cents: Change in hundredths of a semitone; negative is lower and slower.

    Returns:
      The song: every stem `[about N / 2^(cents / 1200)]`, annotated times scaled accordingly.
    """
    tempo = 2.0 ** (cents / 1200.0)
    length = round(len(stems.bass) / tempo)

    def at_speed(samples: np.ndarray) -> np.ndarray:
        rate_hz = stems.sample_rate_hz
        moved = soxr.resample(samples, rate_hz * tempo, rate_hz, quality="HQ")[:length]
        return np.pad(moved, (0, length - len(moved)))

    return dataclasses.replace(
        stems,
        bass=at_speed(stems.bass),
        others={name: at_speed(samples) for name, samples in stems.others.items()},
        annotation=stems.annotation.at_tempo(tempo),
    )
