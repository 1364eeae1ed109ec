"""Groups of songs on a device, and which of a song's candidates is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from bassdiff.batch.item import Item
from bassdiff.batch.player import Encoded, Player
from bassdiff.batch.reading import Facts

_NOTHING = np.zeros((0, 0), np.float32)


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
class Song:
    """A candidate for a song.

    Attributes:
      item: The song.
      encoded: Its mix.
      facts: What is known of it.
      number: Of the candidate, from 0.
    """

    item: Item
    encoded: Encoded
    facts: Facts
    number: int = 0

    @property
    def seconds(self) -> float:
        """How long the song lasts."""
        return self.encoded.heard.num_samples / self.encoded.heard.sample_rate_hz


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A song whose bass is known.

    Attributes:
      song: Its candidate that was chosen.
      latents: `[T, C]` of its bass.
      score: How well it fits its mix, -1 to 1; not a number if nothing was compared.
      error: Why one of them could not be played, if so.
    """

    song: Song
    latents: np.ndarray
    score: float = float("nan")
    error: Exception | None = None


class Candidates:
    """Plays groups on whatever device, from several threads at once, and compares candidates."""

    def __init__(self, count: int) -> None:
        """Keeps the best of so many of every song."""
        self._count = count
        # How many are missing of a song, and the best one so far.
        self._begun: dict[str, tuple[int, Chosen]] = {}
        self._lock = threading.Lock()

    def of(self, item: Item, encoded: Encoded, facts: Facts) -> list[Song]:
        """All candidates of a song, each of which is played as a song of its own."""
        seeds = [candidate_seed(encoded.heard.seed, n) for n in range(self._count)]
        heard = [dataclasses.replace(encoded.heard, seed=seed) for seed in seeds]
        return [
            Song(item, dataclasses.replace(encoded, heard=one), facts, number)
            for number, one in enumerate(heard)
        ]

    def play(self, player: Player, group: Sequence[Song]) -> list[Chosen]:
        """Plays songs of one kind; returns those whose candidates are all there now."""
        try:
            played = player.play([song.encoded for song in group])
        except MemoryError as error:
            candidates = [Chosen(song, _NOTHING, error=error) for song in group]
        else:
            candidates = [Chosen(*pair) for pair in zip(group, played, strict=True)]
        if self._count > 1:
            candidates = [_judged(player, one) for one in candidates]
        return [best for one in candidates if (best := self.offer(one)) is not None]

    def offer(self, new: Chosen) -> Chosen | None:
        """Adds a candidate, in whatever order; returns the best once all of its song are there.

        Of equal ones it is the first; what has no score fits worst.
        """
        song_id = new.song.item.id
        with self._lock:
            missing, best = self._begun.pop(song_id, (self._count, new))
            error = best.error or new.error
            best = dataclasses.replace(max(best, new, key=_rank), error=error)
            if missing == 1:
                return best
            self._begun[song_id] = missing - 1, best
        return None

    def measures(self, chosen: Chosen) -> Mapping[str, float]:
        """What the row of a song says of the choice."""
        if self._count == 1:
            return {}
        match = {"match": round(chosen.score, 6)} if np.isfinite(chosen.score) else {}
        return {"candidate": chosen.song.number, **match}


def _rank(one: Chosen) -> tuple[float, int]:
    return (one.score if np.isfinite(one.score) else -np.inf), -one.song.number


def _judged(player: Player, one: Chosen) -> Chosen:
    """A candidate with its score.

    Its latents are kept and not its waveform, which would fill the memory; the best one is decoded
    once more.
    """
    if one.error is not None:
        return one
    try:
        (wave,) = player.decode([one.latents])
        return dataclasses.replace(one, score=player.score(one.song.encoded, wave))
    except MemoryError as error:
        return dataclasses.replace(one, error=error)
