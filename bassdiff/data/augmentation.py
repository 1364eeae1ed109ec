"""More songs from few: every song again at other tempos and in other keys."""

from __future__ import annotations

import dataclasses
import math
import zlib
from typing import NamedTuple

import numpy as np

from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Source, Stems, varied

# Beyond these a phase vocoder is no longer taken for a performance.
SLOWEST, FASTEST = 0.5, 2.0
MOST_SEMITONES = 12


class Change(NamedTuple):
    """How a copy differs from its original.

    Attributes:
      tempo: 1.1 is 10 % faster.
      semitones: how much higher; below 0, lower.
    """

    tempo: float
    semitones: int


class WithCopies:
    """A source followed by varied copies of its songs: a first one of each, a second, ...

    How a copy is varied is drawn from the seed, the song's name and the number of the copy, so
    that part of the songs, or the songs in another order, have the same copies. The vocoder
    works on the song in its own key, even where the source could play it in another: so there is
    one pass, in every key of a copy alike.
    """

    def __init__(
        self,
        source: Source,
        copies: int,
        tempos: tuple[float, float] = (0.9, 1.1),
        max_semitones: int = 2,
        seed: int = 0,
    ):
        """Takes the songs of one split: copies of a song must stay on its side.

        Args:
          source: the originals, whose names differ.
          copies: of each song; 0 for none.
          tempos: slowest and fastest, between which tempos are drawn log-uniformly, from 0.5
            to 2.
          max_semitones: keys are drawn uniformly from this far down to this far up, 0 to 12.
          seed: with a song's name, decides its copies; 0 or more.

        Raises:
          InputError: for a range that is none, or that would make copies like their originals.
        """
        slowest, fastest = tempos
        if copies < 0:
            raise InputError(f"copies={copies}: there cannot be fewer than none of a song.")
        if not SLOWEST <= slowest <= fastest <= FASTEST:
            raise InputError(
                f"tempos {slowest} to {fastest} are no range; name the slower one first, both "
                f"from {SLOWEST} to {FASTEST}."
            )
        if not 0 <= max_semitones <= MOST_SEMITONES:
            raise InputError(
                f"max_semitones={max_semitones}: copies are 0 to {MOST_SEMITONES} semitones away."
            )
        if copies and max_semitones == 0 and slowest == fastest == 1.0:
            raise InputError(
                "copies at the same tempo in the same key would be their originals; widen a range."
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
        """How a copy of a song differs from it.

        Args:
          name: of the song.
          copy: 1 for the first one.
        """
        rng = np.random.default_rng([self._seed, copy, zlib.crc32(name.encode())])
        slowest, fastest = self._tempos
        tempo = math.exp(rng.uniform(math.log(slowest), math.log(fastest)))
        return Change(tempo, int(rng.integers(-self._max_semitones, self._max_semitones + 1)))

    def _label(self, name: str, copy: int) -> str:
        change = self.change(name, copy)
        # The number alone keeps names apart; the rest tells stores of other ranges or seeds apart.
        return f"{name}~v{copy}@{change.tempo:.3f}{change.semitones:+d}"
