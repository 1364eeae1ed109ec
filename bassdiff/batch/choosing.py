"""Several candidates for every song, of which the one that fits the mix best is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import threading

import numpy as np


def candidate_seed(seed: int, number: int) -> int:
    """The seed of a song's candidate, counted from 0; that of the first is the song's own.

    >>> candidate_seed(7, 0), candidate_seed(7, 1) != candidate_seed(8, 1)
    (7, True)
    """
    if number == 0:
        return seed
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A song all of whose candidates were played.

    Attributes:
      number: Of the best one, from 0.
      score: How well it fits its mix, -1 to 1.
      latents: `[T, C]` of it.
      error: Why one could not be played, if so.
    """

    number: int
    score: float
    latents: np.ndarray
    error: Exception | None


class Chooser:
    """Collects candidates in whatever order they come, and keeps one of every song at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._best: dict[str, tuple[int, Choice]] = {}
        self._lock = threading.Lock()

    def offer(
        self,
        song_id: str,
        number: int,
        score: float,
        latents: np.ndarray,
        error: Exception | None = None,
    ) -> Choice | None:
        """Adds a candidate; returns what is chosen once all of its song are there.

        Args:
          song_id: Whose.
          number: Which, from 0; of equal ones the first is chosen.
          score: How well it fits; what is no number fits worst.
          latents: `[T, C]`.
          error: Why it could not be played.
        """
        score = score if np.isfinite(score) else -np.inf
        with self._lock:
            missing, best = self._best.get(song_id, (self._count, None))
            new = Choice(number, score, latents, error)
            if best is not None:
                is_better = (new.score, -new.number) > (best.score, -best.number)
                new = dataclasses.replace(new if is_better else best, error=best.error or error)
            if missing > 1:
                self._best[song_id] = missing - 1, new
                return None
            self._best.pop(song_id, None)
            return new
