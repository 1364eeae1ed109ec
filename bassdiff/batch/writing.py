"""The last station of a song: from what the codec decoded to files that are published."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff import __version__
from bassdiff.audio.io import read, write
from bassdiff.audio.loudness import loudness_lufs
from bassdiff.audio.mixdown import mixdown
from bassdiff.batch.candidates import Song
from bassdiff.batch.fetching import local_copy
from bassdiff.batch.order import Order
from bassdiff.batch.patience import Patience, StoreUnavailable
from bassdiff.batch.storage import Storage
from bassdiff.batch.workers import Clock, Share
from bassdiff.inference.generator import BassGenerator
from bassdiff.inference.record import make_record, tags_of
from bassdiff.inference.writing import write_notes
from bassdiff.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Played:
    """A song that was played.

    Attributes:
      song: The song.
      rows: How many were sampled at once, idle ones included.
      wave: `[>= song.encoded.heard.length]` the bass as decoded.
      share: Of the budget for waveforms; to be given back when the wave is let go.
      measures: What is known of it already.
    """

    song: Song
    rows: int
    wave: np.ndarray
    share: Share
    measures: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Published:
    """What was published of a song.

    Attributes:
      digests: SHA-256 by file.
      measures: Of the bass.
    """

    digests: Mapping[str, str]
    measures: Mapping[str, float]


class UnusableBass(Exception):
    """A bass that cannot be written, which concerns no other song."""


def reason_of(error: Exception) -> str:
    """What a row says of a song that was not played."""
    is_said = isinstance(error, InputError | UnusableBass | TimeoutError | MemoryError)
    return str(error) if is_said and str(error) else f"{type(error).__name__}: {error}"


class Writer:
    """Writes songs; what it does to one may be done to several at once."""

    def __init__(self, order: Order, storage: Storage, patience: Patience) -> None:
        """Gathers what is needed."""
        self._order, self._storage, self._patience = order, storage, patience

    def __call__(self, played: Played, clock: Clock) -> Published:
        """Publishes a song's files.

        Raises:
          UnusableBass: Nothing finite was played, or the mix cannot be read any more.
          InputError: The disk is full or cannot be written: no other song could be.
          StoreUnavailable: The store did not take it for long.
        """
        del clock
        song, heard = played.song, played.song.encoded.heard
        rate_hz, mix = heard.sample_rate_hz, song.item.mix
        try:
            bass = BassGenerator.finish(heard, played.wave)
            together = self._mixdown(mix, bass, rate_hz) if self._order.mixdown else bass
        except (InputError, StoreUnavailable) as error:
            raise UnusableBass(str(error)) from error

        record = make_record(
            self._order.words_of(song.item),
            song.facts.files,
            __version__,
            self._order.about_weights,
            dataclasses.asdict(heard.sampling),
            song.facts.heard,
            heard.seed,
            bass,
            rows=played.rows,
        )
        make: dict[str, Callable[[Path], Any]] = {
            "bass": lambda path: write(path, bass, rate_hz, tags=tags_of(record, Path(mix))),
            "record": lambda path: path.write_bytes(json.dumps(record, indent=1).encode()),
            "mixdown": lambda path: write(path, together, rate_hz),
            "midi": lambda path: write_notes(bass, rate_hz, path, grid=song.facts.grid),
        }
        digests = {
            what: self._storage.publish(name, make[what])
            for what, name in self._order.files_of(song.item).items()
        }
        loudness = loudness_lufs(bass, rate_hz)
        measures = {
            **played.measures,
            "bass_peak": round(max(float(bass.max()), -float(bass.min())), 6),
        }
        if math.isfinite(loudness):
            measures["bass_lufs"] = round(loudness, 3)
        return Published(digests, measures)

    def _mixdown(self, name: str, bass: np.ndarray, rate_hz: int) -> np.ndarray:
        with local_copy(name, self._storage.scratch, self._patience) as path:
            mix = read(path, max_samples=len(bass))[: len(bass)]
        if len(mix) < len(bass):
            raise InputError(f"{name} became shorter while it was being played to")
        return mixdown(mix, bass, rate_hz)[0]
