"""What sets recorded songs apart from rendered ones, and which of it a training set is given."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Collection

import numpy as np
import soxr

from bassdiff.data.latents import MixOf
from bassdiff.data.mastering import mastered_mix
from bassdiff.data.mixing import random_mix
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis import effects
from bassdiff.synthesis.stems import UNPITCHED, Source, Stems
from bassdiff.synthesis.voice import sung

# tuning: the whole song up to half a semitone off 440 Hz.
# feel: tempo and players drift (songs that are rendered; see `feel`).
# leads: a stem sings, another is distorted.
# mastering: of mixes; see `mastering`.
GROUPS = ("tuning", "feel", "leads", "mastering")
# Tells what is drawn here from what else is drawn for a song of the same seed.
DRAW = 4
TUNED_PROBABILITY = 0.5
LARGEST_CENTS = 50.0
SUNG_PROBABILITY = 0.5
DISTORTED_PROBABILITY = 0.3


@dataclasses.dataclass(frozen=True)
class Realism:
    """The groups that a training set is given, and where each of them acts.

    Attributes:
      groups: some of `GROUPS`, in their order.
    """

    groups: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Realism:
        """Groups of a command line: names joined by commas, "all" or "none".

        Raises:
          InputError: one is none of `GROUPS`.

        >>> Realism.parse("leads,tuning").groups
        ('tuning', 'leads')
        """
        if text in ("all", "none"):
            return cls(GROUPS if text == "all" else ())
        names = text.split(",")
        for name in names:
            if name not in GROUPS:
                raise InputError(
                    f"{name!r} is no group of realism; choose among {', '.join(GROUPS)}, all or "
                    "none."
                )
        return cls(tuple(group for group in GROUPS if group in names))

    @property
    def feel(self) -> bool:
        """Whether songs are to be rendered with players that drift."""
        return "feel" in self.groups

    def songs(self, source: Source, seed: int) -> Source:
        """The songs, out of tune and with voices as far as that is asked for."""
        return AsRecorded(source, self.groups, seed)

    @property
    def mix_of(self) -> MixOf:
        """What draws a mix of a song."""
        return mastered_mix if "mastering" in self.groups else random_mix


class AsRecorded:
    """A source whose songs are out of tune with 440 Hz and have voices and distortion.

    What becomes of a song is drawn from the seed and its name, and is the same in every key.
    """

    def __init__(self, source: Source, groups: Collection[str], seed: int = 0):
        """Wraps a source; only "tuning" and "leads" matter here."""
        self._source = source
        self._groups = frozenset(groups)
        self._seed = seed

    @property
    def names(self) -> list[str]:
        """Names of the songs, in order."""
        return self._source.names

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Stems:
        return self._changed(self._source[index])

    def transposed(self, index: int, semitones: int) -> Stems:
        """Song `index` in another key."""
        return self._changed(self._source.transposed(index, semitones))

    def _changed(self, stems: Stems) -> Stems:
        rng = np.random.default_rng([self._seed, zlib.crc32(stems.name.encode()), DRAW])
        if "leads" in self._groups:
            stems = with_leads(stems, rng)
        if "tuning" in self._groups and rng.random() < TUNED_PROBABILITY:
            stems = detuned(stems, float(rng.uniform(-LARGEST_CENTS, LARGEST_CENTS)))
        return stems


def with_leads(stems: Stems, rng: np.random.Generator) -> Stems:
    """Perhaps lets one pitched stem sing, and perhaps distorts another as a guitar amplifier does.

    Args:
      stems: one song.
      rng: decides.
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
    """The song as from a tape at another speed: `cents` higher, and as much faster.

    Args:
      stems: one song of N samples.
      cents: hundredths of a semitone; below 0, lower and slower.

    Returns:
      The song, every stem `[about N / 2^(cents / 1200)]`, times of the annotation moved along.
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
