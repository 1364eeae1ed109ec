"""Songs that are changed one by one, in every key alike."""

from __future__ import annotations

from collections.abc import Callable

from bassdiff.synthesis.stems import Source, Stems


class Mapped:
    """A source whose songs are changed as they are read."""

    def __init__(self, source: Source, change: Callable[[Stems], Stems]) -> None:
        """Wraps a source."""
        self._source, self._change = source, change

    @property
    def names(self) -> list[str]:
        """Names of the songs, in order."""
        return self._source.names

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Stems:
        return self._change(self._source[index])

    def transposed(self, index: int, semitones: int) -> Stems:
        """Song `index` in another key."""
        return self._change(self._source.transposed(index, semitones))
