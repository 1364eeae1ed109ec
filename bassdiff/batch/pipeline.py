"""The job: songs are read by some threads, played by the devices, and written by others.

Every song is counted from when it is handed to a reader until its row is written. What fails for
one song alone ends in its row; what concerns all of them ends the job.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bassdiff.batch.candidates import Candidates, Chosen, Song
from bassdiff.batch.grouping import MAX_WAITING, Groups
from bassdiff.batch.item import Item
from bassdiff.batch.journal import Journal, row_of
from bassdiff.batch.order import Order
from bassdiff.batch.patience import StoreUnavailable
from bassdiff.batch.player import Encoded, Player
from bassdiff.batch.reading import Facts, Kept, Read, Reader
from bassdiff.batch.tally import Tally
from bassdiff.batch.workers import Budget, Clock, Workers
from bassdiff.batch.writing import Played, Published, UnusableBass, Writer, reason_of

# Seconds of waveforms in memory at once, before the accelerator and behind it.
AUDIO_SECONDS = 600.0
# Songs under way beyond those that wait for company, so that there always is one to read.
_SONGS_AHEAD = 64
_LOOK_SECONDS = 0.5
_END_SECONDS = 60.0


class Pipeline:
    """Plays songs until there are none left."""

    def __init__(
        self,
        order: Order,
        players: Sequence[Player],
        reader: Reader,
        writer: Writer,
        journal: Journal,
        num_workers: int,
        item_seconds: float,
        ends: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Starts the threads.

        Args:
          order: What is wanted of every song.
          players: One for each device.
          reader: Reads songs.
          writer: Writes them.
          journal: Gets their rows.
          num_workers: Threads that read, and as many that write.
          item_seconds: A song that takes longer to read is given up.
          ends: Called when the job ends before its time, to wake what waits.
        """
        self._order, self._journal = order, journal
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._groups: Groups[Song] = Groups()
        self._candidates = Candidates(order.candidates)
        self._to_play: queue.SimpleQueue[Callable[[Player], None] | None] = queue.SimpleQueue()
        self._written = Budget(AUDIO_SECONDS)
        self._players, self._ends = players, (*ends, self._written.end)
        self._tally = Tally()
        self._is_closing = threading.Event()
        self._first_heard: float | None = None
        # Songs without a row, and those of them that are not yet in a group.
        self._under_way = self._unheard = 0
        self._readers = Workers(num_workers, reader, self._later(self._on_read), item_seconds)
        self._writers = Workers(num_workers, writer, self._later(self._on_written))
        self._recorder = Workers(1, self._record, self._later(self._on_recorded))
        self._threads = [
            threading.Thread(target=self._play, args=(player,), daemon=True) for player in players
        ]

    def run(self, items: Iterable[Item], show: Callable[[Tally], None]) -> Tally:
        """Plays to all songs.

        Args:
          items: The songs.
          show: Called whenever something has become of a song.

        Raises:
          InputError: The disk is full or cannot be written.
          StoreUnavailable: A store did not answer for long.
        """
        begun = time.monotonic()
        for thread in self._threads:
            thread.start()
        left = iter(items)
        is_more = True
        try:
            while True:
                is_more = is_more and self._admit(left)
                if not is_more and not self._under_way:
                    break
                if not self._unheard and len(self._groups):
                    # No company will come.
                    self._submit(self._groups.next())
                try:
                    self._events.get(timeout=_LOOK_SECONDS)()
                except queue.Empty:
                    pass
                self._readers.give_up_late()
                now = time.monotonic()
                self._tally.wall_seconds = now - begun
                if self._first_heard is not None:
                    busy = sum(player.busy_seconds for player in self._players)
                    there = (now - self._first_heard) * len(self._players)
                    self._tally.idle_share = max(0.0, 1.0 - busy / max(there, 1e-9))
                show(self._tally)
        finally:
            self._close()
        return self._tally

    def _admit(self, left: Iterator[Item]) -> bool:
        """Hands songs to the readers; returns whether there are more."""
        while self._under_way < MAX_WAITING + _SONGS_AHEAD and self._unheard < _SONGS_AHEAD:
            item = next(left, None)
            if item is None:
                return False
            self._under_way += 1
            self._unheard += 1
            self._readers.submit(item)
        return True

    def _later(self, handle: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        """Hands what a thread has done to the main one, which alone counts and decides."""
        return lambda task, result: self._events.put(lambda: handle(task, result))

    def _on_read(self, item: Item, result: Kept | Read | Exception) -> None:
        if isinstance(result, Kept):
            self._unheard -= 1
            self._under_way -= 1
            self._tally.kept += result.is_ok
            self._tally.failed += not result.is_ok
        elif isinstance(result, Read):
            self._first_heard = self._first_heard or time.monotonic()
            self._to_play.put(lambda player: self._encode(player, item, result))
        elif isinstance(result, StoreUnavailable):
            raise result
        else:
            self._unheard -= 1
            self._fail(item, result)

    def _encode(self, player: Player, item: Item, read: Read) -> None:
        try:
            encoded: Encoded | Exception = player.encode(read.heard)
        except MemoryError as error:
            encoded = error
        finally:
            read.share.give_back()
        self._later(self._on_encoded)(item, (player, encoded, read.facts))

    def _on_encoded(self, item: Item, result: tuple[Player, Encoded | Exception, Facts]) -> None:
        player, encoded, facts = result
        self._unheard -= 1
        if isinstance(encoded, Exception):
            self._fail(item, encoded)
            return
        rows = player.rows_of(encoded.kind)
        for song in self._candidates.of(item, encoded, facts):
            self._submit(self._groups.add(encoded.kind, rows, song))

    def _submit(self, group: list[Song]) -> None:
        if group:
            self._to_play.put(lambda player: self._play_group(player, group))

    def _play_group(self, player: Player, group: list[Song]) -> None:
        """Hands basses to the writers."""
        chosen: list[Chosen] = []
        for one in self._candidates.play(player, group):
            if one.error is None:
                chosen.append(one)
            else:
                self._later(self._on_unplayed)(one.song, one.error)
        if not chosen:
            return
        # Where writing is slower, the device waits.
        shares = self._written.take(*(one.song.seconds for one in chosen))
        try:
            waves = player.decode([one.latents for one in chosen])
        except MemoryError as error:
            for one, share in zip(chosen, shares, strict=True):
                share.give_back()
                self._later(self._on_unplayed)(one.song, error)
            return
        for one, wave, share in zip(chosen, waves, shares, strict=True):
            rows = player.rows_of(one.song.encoded.kind)
            measures = self._candidates.measures(one)
            self._writers.submit(Played(one.song, rows, wave, share, measures))

    def _on_unplayed(self, song: Song, error: Exception) -> None:
        self._fail(song.item, error, song.seconds)

    def _on_written(self, played: Played, result: Published | Exception) -> None:
        played.share.give_back()
        song = played.song
        if isinstance(result, Published):
            self._recorder.submit(
                row_of(song.item, self._order, result.digests, song.seconds, result.measures)
            )
        elif isinstance(result, UnusableBass | MemoryError):
            self._fail(song.item, result, song.seconds)
        else:
            raise result

    def _fail(self, item: Item, error: Exception, seconds: float | None = None) -> None:
        """Gives a song a row that says why it was not played."""
        row = row_of(item, self._order, seconds=seconds, error=reason_of(error))
        self._recorder.submit(row)

    def _record(self, row: dict[str, Any], clock: Clock) -> None:
        del clock
        self._journal.add(row)

    def _on_recorded(self, row: dict[str, Any], error: Exception | None) -> None:
        if error is not None:
            raise error
        self._under_way -= 1
        self._tally.failed += row["error"] is not None
        if row["error"] is None:
            self._tally.played += 1
            self._tally.audio_seconds += row["seconds"]

    def _play(self, player: Player) -> None:
        """What the thread of a device does."""
        while (work := self._to_play.get()) is not None:
            if self._is_closing.is_set():
                return
            try:
                work(player)
            except BaseException as error:
                self._events.put(_raising(error))
                return
            # Waiting for more, it must not hold on to songs.
            del work

    def _close(self) -> None:
        self._is_closing.set()
        for end in self._ends:
            end()
        for _ in self._threads:
            self._to_play.put(None)
        deadline = time.monotonic() + _END_SECONDS
        # An interpreter that ends while XLA is at work crashes.
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for workers in (self._readers, self._writers, self._recorder):
            workers.close(max(0.0, min(5.0, deadline - time.monotonic())))


def _raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail
