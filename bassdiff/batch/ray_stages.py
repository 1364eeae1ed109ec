"""The stages of a job on Ray: one hears songs, one plays to them, one writes basses.

Each is an actor and gets and gives songs as lines of JSON, the waveforms in a spool beside them. A
stage may do the same song twice, on whatever machine, and comes to the same bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import socket
import time
import traceback
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from bassdiff.batch.candidates import Candidates, Song
from bassdiff.batch.grouping import Groups
from bassdiff.batch.item import Item
from bassdiff.batch.journal import Known, row_of
from bassdiff.batch.order import Order
from bassdiff.batch.patience import Patience, StoreUnavailable
from bassdiff.batch.player import Player
from bassdiff.batch.ray_spool import BASS, MIX, Spool
from bassdiff.batch.reading import Kept, Reader
from bassdiff.batch.storage import Storage
from bassdiff.batch.workers import Budget, Clock, Workers
from bassdiff.batch.writing import Played, UnusableBass, Writer, reason_of
from bassdiff.pretrained.release import load_weights
from bassdiff.runtime.compilation_cache import keep_programs
from bassdiff.runtime.errors import InputError, Preempted

Batch: TypeAlias = dict[str, np.ndarray]
# The only column of all blocks.
COLUMN = "song"
WRITER = "ray"
_LOOK_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all stages are told.

    Attributes:
      folder: The driver's working folder, where relative names begin.
      out: Folder or URL of the results.
      spool: Name of the spool below it.
      order: What is wanted of every song.
      item_seconds: A song that takes longer to read is given up.
      patience_seconds: How long a store may not answer.
      songs_ahead: How many heard songs may wait at once.
    """

    folder: str
    out: str
    spool: str
    order: Order
    item_seconds: float
    patience_seconds: float
    songs_ahead: int


def ticket(item: Item, known: Known | None = None) -> dict[str, Any]:
    """A song as blocks carry it, and what its row says if it may be there already."""
    digests = known.digests.hex() if known is not None else None
    return {"item": dataclasses.asdict(item), "known": digests, "busy": 0.0}


def block(*songs: Mapping[str, Any]) -> Batch:
    """Songs as a block."""
    return {COLUMN: np.array([json.dumps(song) for song in songs], object)}


def songs_of(batch: Batch) -> list[dict[str, Any]]:
    """The songs of a block; an empty one lacks the column."""
    return [json.loads(line) for line in batch.get(COLUMN, ())]


def item_of(song: Mapping[str, Any]) -> Item:
    """The item of a song."""
    fields = song["item"]
    return Item(**{**fields, "styles": tuple(fields["styles"])})


class _Stage:
    """What stages have in common: a place in the storage, and how they end a job."""

    def __init__(self, plan: Plan) -> None:
        # Of which song they are is not said; its row has the loudness.
        warnings.filterwarnings("ignore", "the bass came out|the mix is silent|no pitch is heard")
        self.plan = plan
        # A machine that lacks it is given URLs.
        with contextlib.suppress(FileNotFoundError):
            os.chdir(plan.folder)
        self.patience = Patience(plan.patience_seconds)
        name = f"{WRITER}-{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        self.storage = Storage(plan.out, name, self.patience)
        self.spool = Spool(self.storage, plan.spool)

    def __call__(self, batch: Batch) -> Iterator[Batch]:
        songs = songs_of(batch)
        try:
            for song in self.work(songs):
                yield block(song)
        except (InputError, Preempted) as error:
            yield block({"ends": type(error).__name__, "why": str(error)})
        except Exception:
            # Ray would drop the block and go on, whatever the defect.
            yield block({"ends": "", "why": traceback.format_exc()})

    def work(self, songs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        raise NotImplementedError


class Hear(_Stage):
    """Checks whether songs are there already, and reads those that are not."""

    def __init__(self, plan: Plan) -> None:
        """Loads the codec that hears styles."""
        super().__init__(plan)
        weights = load_weights(plan.order.weights, plan.order.adapter)
        self._known: dict[str, Known] = {}
        patience = Patience(min(plan.patience_seconds, plan.item_seconds))
        budget = Budget(float("inf"))
        reader = Reader(
            plan.order, weights, self._known, self.storage, patience, budget, retry_failed=True
        )
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._workers = Workers(
            1, reader, lambda item, result: self._results.put(result), plan.item_seconds
        )

    def work(self, songs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Songs whose mixes are in the spool, and those that need none."""
        for song in songs:
            # Blocks of names are small, so that Ray itself would let reading run far ahead.
            while self.spool.count(MIX) >= self.plan.songs_ahead:
                time.sleep(_LOOK_SECONDS)
            item = item_of(song)
            self._known.clear()
            if song["known"] is not None:
                fingerprint = bytes.fromhex(self.plan.order.fingerprint(item))
                self._known[item.id] = Known(True, fingerprint, bytes.fromhex(song["known"]))
            self._workers.submit(item)
            result = self._wait()
            if isinstance(result, Kept):
                yield {**song, "kept": True}
            elif isinstance(result, StoreUnavailable):
                raise result
            elif isinstance(result, Exception):
                yield {**song, "error": reason_of(result)}
            else:
                result.share.give_back()
                self.spool.put(item.id, MIX, (result.heard, result.facts))
                yield song

    def _wait(self) -> Any:
        while True:
            try:
                return self._results.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                self._workers.give_up_late()


class Play(_Stage):
    """Plays to songs, in groups of one length."""

    def __init__(self, plan: Plan) -> None:
        """Loads the weights onto the device that Ray has given to this actor."""
        super().__init__(plan)
        keep_programs()
        weights = load_weights(plan.order.weights, plan.order.adapter)
        self._player = Player(weights, jax.local_devices()[0], plan.order.judges)
        self._candidates = Candidates(plan.order.candidates)

    def work(self, songs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Songs whose basses are in the spool."""
        groups: Groups[Song] = Groups()
        by_id = {song["item"]["id"]: song for song in songs if "item" in song}
        for song in songs:
            if not _is_wanted(song):
                yield song
                continue
            item = item_of(song)
            try:
                heard, facts = self.spool.take(item.id, MIX)
                encoded = self._player.encode(heard)
            except FileNotFoundError:
                continue
            except MemoryError as error:
                yield {**song, "error": reason_of(error)}
                continue
            rows = self._player.rows_of(encoded.kind)
            for candidate in self._candidates.of(item, encoded, facts):
                yield from self._finish(groups.add(encoded.kind, rows, candidate), by_id)
        while len(groups):
            yield from self._finish(groups.next(), by_id)

    def _finish(
        self, group: Sequence[Song], by_id: Mapping[str, dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        for one in self._candidates.play(self._player, group) if group else ():
            song_id = one.song.item.id
            found = {**by_id[song_id], "seconds": one.song.seconds}
            try:
                if one.error is not None:
                    raise one.error
                (wave,) = self._player.decode([one.latents])
            except MemoryError as error:
                yield {**found, "error": reason_of(error)}
                continue
            rows = self._player.rows_of(one.song.encoded.kind)
            self.spool.put(song_id, BASS, (one.song, rows, wave))
            busy, self._player.busy_seconds = self._player.busy_seconds, 0.0
            yield {**found, "measures": dict(self._candidates.measures(one)), "busy": busy}


class Write(_Stage):
    """Publishes basses, and makes the rows that the driver commits."""

    def __init__(self, plan: Plan) -> None:
        """Gathers what is needed."""
        super().__init__(plan)
        self._writer = Writer(plan.order, self.storage, self.patience)

    def work(self, songs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Songs with their rows."""
        for song in songs:
            if not _is_wanted(song):
                error = song.get("error")
                yield song if error is None else {**song, "row": self._row(song, error=error)}
                continue
            try:
                (share,) = Budget(1.0).take(0.0)
                one, rows, wave = self.spool.take(item_of(song).id, BASS)
                published = self._writer(Played(one, rows, wave, share, song["measures"]), Clock())
            except FileNotFoundError:
                continue
            except (UnusableBass, MemoryError) as error:
                yield {**song, "row": self._row(song, error=reason_of(error))}
                continue
            row = self._row(song, digests=published.digests, measures=published.measures)
            yield {**song, "row": row}

    def _row(self, song: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        return row_of(item_of(song), self.plan.order, seconds=song.get("seconds"), **how)


def _is_wanted(song: Mapping[str, Any]) -> bool:
    """Whether there still is something to do for a song."""
    return not {"kept", "error", "ends"} & song.keys()
