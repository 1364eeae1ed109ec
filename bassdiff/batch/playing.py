"""What a device does with a group of songs, and which of a song's candidates are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from bassdiff.batch.choosing import Chooser, candidate_seed
from bassdiff.batch.item import Item
from bassdiff.batch.order import Order
from bassdiff.batch.player import Encoded, Player

_NOTHING = np.zeros((0, 0), np.float32)


@dataclasses.dataclass(frozen=True)
class Song:
    """A candidate for a song, by its number from 0."""

    item: Item
    encoded: Encoded
    number: int


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A song whose bass is known.

    Attributes:
      song: The song.
      latents: `[T, C]` of its bass.
      measures: What is known of it.
      error: Why there is none, if so.
    """

    song: Song
    latents: np.ndarray
    measures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    error: Exception | None = None


class Playing:
    """Plays groups on whatever device, from several threads at once."""

    def __init__(self, order: Order) -> None:
        self._candidates = order.candidates
        self._chooser = Chooser(order.candidates)

    def songs(self, item: Item, encoded: Encoded) -> list[Song]:
        """All candidates of a song, each of which is played as a song of its own."""
        seeds = [candidate_seed(encoded.heard.seed, n) for n in range(self._candidates)]
        heard = [dataclasses.replace(encoded.heard, seed=seed) for seed in seeds]
        return [
            Song(item, dataclasses.replace(encoded, heard=one), number)
            for number, one in enumerate(heard)
        ]

    def __call__(self, player: Player, group: Sequence[Song]) -> list[Chosen]:
        """Plays songs of one kind; returns those whose candidates are all there now."""
        try:
            latents = player.play([song.encoded for song in group])
        except MemoryError as error:
            found = [self._choose(player, song, _NOTHING, error) for song in group]
        else:
            if self._candidates == 1:
                return [Chosen(song, row) for song, row in zip(group, latents, strict=True)]
            found = [
                self._choose(player, song, row) for song, row in zip(group, latents, strict=True)
            ]
        return [one for one in found if one is not None]

    def _choose(
        self, player: Player, song: Song, latents: np.ndarray, error: Exception | None = None
    ) -> Chosen | None:
        """Judges a candidate; returns the best one once all of the song are there.

        Latents are kept and not waveforms, which would fill the memory; the best one is decoded
        once more.
        """
        score = float("nan")
        if error is None and self._candidates > 1:
            try:
                (wave,) = player.decode([latents])
                score = player.score(song.encoded, wave)
            except MemoryError as found:
                error = found
        choice = self._chooser.offer(song.item.id, song.number, score, latents, error)
        if choice is None:
            return None
        measures: dict[str, float] = {"candidate": choice.number}
        if np.isfinite(choice.score):
            measures["match"] = round(choice.score, 6)
        return Chosen(song, choice.latents, measures, choice.error)
