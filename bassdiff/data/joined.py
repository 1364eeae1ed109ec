"""Several sources one after the other."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

import numpy as np

from bassdiff.data.renderings import Rendered
from bassdiff.synthesis.stems import Source, Stems


class Joined:
    """Several sources one after the other."""

    def __init__(self, sources: Sequence[Source]):
        """Takes the sources in their order."""
        self._sources = sources
        self._ends = list(itertools.accumulate(len(source) for source in sources))

    @property
    def names(self) -> list[str]:
        """The names of all sources, in order."""
        return [name for source in self._sources for name in source.names]

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Stems:
        source, index = self._find(index)
        return source[index]

    def transposed(self, index: int, semitones: int) -> Stems:
        """Song `index` in another key."""
        source, index = self._find(index)
        return source.transposed(index, semitones)

    def revoiced(self, index: int, other: int) -> np.ndarray | None:
        """See `Rendered.revoiced`; None if the two are from different sources, or recorded."""
        (source, index), (lender, other) = self._find(index), self._find(other)
        return revoiced(source, index, other) if source is lender else None

    def _find(self, index: int) -> tuple[Source, int]:
        index = range(len(self))[index]
        which = bisect.bisect_right(self._ends, index)
        return self._sources[which], index - (self._ends[which - 1] if which else 0)


def revoiced(source: Source, index: int, other: int) -> np.ndarray | None:
    """The bass line of song `index` in the sound of song `other`'s bass, `[N]`.

    Returns:
      None for recorded songs, whose basses cannot be rendered again.
    """
    return source.revoiced(index, other) if isinstance(source, (Rendered, Joined)) else None
