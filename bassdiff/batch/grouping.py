"""Songs in groups that one compiled program plays, always of as many rows.

XLA rounds differently for another number of rows, and the same for the same: with a fixed number,
filled up with idle rows, a song's bytes do not depend on the songs around it.
"""

from __future__ import annotations

import collections
from collections.abc import Hashable
from typing import Generic, TypeVar

Song = TypeVar("Song")

# More rows than this fill no device any better.
MAX_ROWS = {"cpu": 4, "gpu": 8, "tpu": 8}
# Latent frames of all rows together, which bounds memory. On a CPU, longer songs gain nothing from
# company, and idle rows cost as much as songs.
_MAX_FRAMES = {"cpu": 2592}
_MAX_FRAMES_ELSEWHERE = 8 * 4864
# Songs that wait for company at any time, however many kinds there are.
MAX_WAITING = 256


def rows_of(num_frames: int, platform: str) -> int:
    """How many songs of a padded length are played at once: a power of 2.

    Args:
      num_frames: Latent frames, padding included.
      platform: "cpu", "gpu" or "tpu", as JAX calls it.

    >>> [rows_of(frames, "cpu") for frames in (648, 856, 1536)], rows_of(4864, "gpu")
    ([4, 2, 1], 8)
    """
    rows = MAX_ROWS.get(platform, MAX_ROWS["gpu"])
    while rows > 1 and rows * num_frames > _MAX_FRAMES.get(platform, _MAX_FRAMES_ELSEWHERE):
        rows //= 2
    return rows


class Groups(Generic[Song]):
    """Songs that wait until there are enough of their kind."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._waiting: collections.OrderedDict[Hashable, list[Song]] = collections.OrderedDict()
        self._max_waiting = max_waiting

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(songs) for songs in self._waiting.values())

    def add(self, kind: Hashable, rows: int, song: Song) -> list[Song]:
        """Adds a song; returns a group that is to be played now, or nothing."""
        self._waiting.setdefault(kind, []).append(song)
        if len(self._waiting[kind]) == rows:
            return self._waiting.pop(kind)
        return self.next() if len(self) > self._max_waiting else []

    def next(self) -> list[Song]:
        """The group that began first, full or not; nothing if no song waits."""
        return self._waiting.popitem(last=False)[1] if self._waiting else []
