"""Augmentation: copies of songs at other tempos and in other keys."""

from __future__ import annotations

import dataclasses
import math
import zlib
from typing import NamedTuple

import numpy as np

from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Source, Stems, varied

# Outside this range the artefacts of the phase vocoder are obvious.
SLOWEST, FASTEST = 0.5, 2.0
MOST_SEMITONES = 12


class Change(NamedTuple):
    """How a copy differs from its original.

    Attributes:
      tempo: Factor; 1.1 is 10 % faster.
      semitones: Shift in pitch; negative is lower.
    """

    tempo: float
    semitones: int


class WithCopies:
    """A source followed by augmented copies of its songs.

    The change of a copy is drawn from the seed, the song's name and the number of the copy, so it
    depends neither on the other songs nor on their order. The vocoder always starts from the song
    in its own key, even if the source could play another: every key of a copy takes one pass.
    """

    def __init__(
        self,
        source: Source,
        copies: int,
        tempos: tuple[float, float] = (0.9, 1.1),
        max_semitones: int = 2,
        seed: int = 0,
    ):
        """Augments the songs of one split.

        Args:
          source: The originals, with unique names.
          copies: Number of copies of each song.
          tempos: Slowest and fastest factor, 0.5 to 2; tempos are drawn log-uniformly.
          max_semitones: Largest shift up or down, 0 to 12; shifts are drawn uniformly.
          seed: Decides the copies together with a song's name; 0 or more.

        Raises:
          InputError: If a range is invalid, or would make copies equal to their originals.
        """
        slowest, fastest = tempos
        if copies < 0:
            raise InputError(f"copies={copies}: choose 0 or more.")
        if not SLOWEST <= slowest <= fastest <= FASTEST:
            raise InputError(
                f"tempos {slowest} to {fastest} are not a range; name the slower one first, both "
                f"from {SLOWEST} to {FASTEST}."
            )
        if not 0 <= max_semitones <= MOST_SEMITONES:
            raise InputError(
                f"max_semitones={max_semitones}: copies are 0 to {MOST_SEMITONES} semitones away."
            )
        if copies and max_semitones == 0 and slowest == fastest == 1.0:
            raise InputError(
                "copies at the same tempo and in the same key equal their originals; widen a range."
            )
        self._source = source
        self._copies = copies
        self._tempos = slowest, fastest
        self._max_semitones = max_semitones
        self._seed = seed

    @property
    def names(self) -> list[str]:
        """Names of the originals, then of the copies, such as `song~v1@0.943+2`."""
        originals = self._source.names
        return originals + [
            self._label(name, copy) for copy in range(1, 1 + self._copies) for name in originals
        ]

    def __len__(self) -> int:
        return len(self._source) * (1 + self._copies)

    def __getitem__(self, index: int) -> Stems:
        return self.transposed(index, 0)

    def transposed(self, index: int, semitones: int) -> Stems:
        """Song or copy `index` in another key than its own."""
        copy, song = divmod(range(len(self))[index], len(self._source))
        if copy == 0:
            return self._source.transposed(song, semitones)
        original = self._source[song]
        change = self.change(original.name, copy)
        stems = varied(original, change.semitones + semitones, change.tempo)
        return dataclasses.replace(stems, name=self._label(original.name, copy))

    def change(self, name: str, copy: int) -> Change:
        """The change of a copy of a song.

        Args:
          name: The song's name.
          copy: Number of the copy, from 1.
        """
        rng = np.random.default_rng([self._seed, copy, zlib.crc32(name.encode())])
        slowest, fastest = self._tempos
        tempo = math.exp(rng.uniform(math.log(slowest), math.log(fastest)))
        return Change(tempo, int(rng.integers(-self._max_semitones, self._max_semitones + 1)))

    def _label(self, name: str, copy: int) -> str:
        change = self.change(name, copy)
        # The number makes names unique; the rest distinguishes stores of other ranges or seeds.
        return f"{name}~v{copy}@{change.tempo:.3f}{change.semitones:+d}"
