"""A job on a Ray cluster: readers and writers on CPUs, players on accelerators, rows in one place.

Ray Data streams songs through the stages. The journal decides what is left to play: checkpoints of
Ray know which rows were written, and not whether the files still have their hashes. Songs that are
lost with a machine have no row, and another pass plays them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bassdiff.batch.grouping import MAX_ROWS
from bassdiff.batch.item import Item
from bassdiff.batch.job import Job
from bassdiff.batch.journal import Journal, Known
from bassdiff.batch.manifest import open_manifest
from bassdiff.batch.order import Order
from bassdiff.batch.patience import Patience, StoreUnavailable
from bassdiff.batch.ray_spool import Spool
from bassdiff.batch.storage import Storage
from bassdiff.batch.tally import Tally
from bassdiff.pretrained.release import load_weights
from bassdiff.runtime.errors import InputError, Preempted

# Songs of one pass: as many as the driver keeps in memory.
_SONGS_AT_ONCE = 4096
# Songs of one batch; the more, the more often some are of one length.
_GROUPS_PER_BATCH = 8
# Batches of one player: those that it has, and one that readers prepare.
_BATCHES_AHEAD = 3
# Of a CPU, as far as Ray is to count: readers and writers must fit beside a player on any machine.
_CPU_SHARE = 0.25


@dataclasses.dataclass(frozen=True)
class Fleet:
    """What plays.

    Attributes:
      accelerator: "tpu", "gpu" or "cpu"; empty for what the cluster has.
      players: How many devices; None for all that the cluster has.
      stall_seconds: If nothing is finished for this long, all workers are replaced.
    """

    accelerator: str = ""
    players: int | None = None
    stall_seconds: float = 1800.0


def run(job: Job, fleet: Fleet, show: Callable[[int], Callable[[Tally], None]]) -> Tally:
    """Plays all songs of a part that are not played yet; see `job.run`.

    The cluster is the one that `RAY_ADDRESS` names or that runs on this machine; otherwise one is
    started here.

    Raises:
      InputError: Something that was given cannot be used; or the disk is full, or cannot be
        written.
      StoreUnavailable: A store did not answer for long.
      Preempted: The workers were lost, again and again.
    """
    patience = Patience(job.patience_seconds)
    manifest = open_manifest(job.names, patience, job.stems_of)
    count = manifest.check(job.part)
    with contextlib.closing(Storage(job.out, str(job.part), patience)) as storage:
        weights = load_weights(job.order.weights, job.order.adapter)
        order = job.order.of(weights)
        order.defaults(weights)
        songs = (item for item in manifest if job.part.has(item.id))
        driver = _Driver(job, fleet, order, storage)
        try:
            with _connected():
                return driver.run(songs, show(count))
        finally:
            # The workers have ended with the connection.
            driver.clear()


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            f"Ray is not installed ({error}); pip install 'bassdiff[ray]', or leave out --engine"
        ) from error
    if ray.is_initialized():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    # Its own progress would be written over ours.
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    # Ray has put its own in place, which ends the process with another exit code.
    signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        ray.shutdown()


class _Driver:
    """Sends songs through the stages and commits their rows."""

    def __init__(self, job: Job, fleet: Fleet, order: Order, storage: Storage) -> None:
        from bassdiff.batch.ray_stages import WRITER

        self._job, self._fleet, self._order, self._storage = job, fleet, order, storage
        self._journal = Journal(storage, job.part)
        self._known = self._journal.known()
        folder = f".spool-{str(job.part).replace(' ', '-')}"
        self._spool = Spool(storage, folder)
        self._folder, self._writer = folder, f".{WRITER}-"
        self._tally = Tally()
        self._busy_seconds, self._begun = 0.0, time.monotonic()
        self._show: Callable[[Tally], None] = lambda tally: None

    def run(self, items: Iterable[Item], show: Callable[[Tally], None]) -> Tally:
        """Plays all songs; `show` is called whenever something has become of one."""
        self._show = show
        left = iter(items)
        while chunk := list(itertools.islice(left, _SONGS_AT_ONCE)):
            songs = dict(filter(None, map(self._song, chunk)))
            while songs:
                before = len(songs)
                self.clear()
                why = self._pass(songs)
                if len(songs) == before:
                    raise Preempted(
                        f"{before} songs have no rows, and workers that played them were lost "
                        f"({why or 'with their machines'}); the same command continues"
                    )
                if songs:
                    lost = f"; {why}" if why else ""
                    print(f"bassdiff: {len(songs)} songs are played again{lost}", file=sys.stderr)
        return self._tally

    def _song(self, item: Item) -> tuple[str, dict[str, Any]] | None:
        """A song for the stages; None if it failed before and that is that."""
        from bassdiff.batch.ray_stages import ticket

        known: Known | None = self._known.pop(item.id, None)
        if known is not None and not known.is_of(self._order.fingerprint(item)):
            known = None
        if known is not None and not known.is_ok:
            if not self._job.retry_failed:
                self._tally.failed += 1
                self._tell()
                return None
            known = None
        return item.id, ticket(item, known)

    def clear(self) -> None:
        """Removes files that workers have left."""
        self._spool.clear()
        for name in self._storage.names(self._writer, "") if self._storage.is_local else ():
            self._storage.remove(name)

    def _pass(self, songs: dict[str, dict[str, Any]]) -> str:
        """Sends songs through the stages once, and removes those that have rows.

        Returns:
          Why it ended before its time, if it did.
        """
        import ray
        from ray.data.exceptions import ExecutionTimeoutError

        from bassdiff.batch.ray_stages import songs_of

        dataset, num_players = self._dataset(list(songs.values()))
        try:
            for batch in dataset.iter_batches(
                batch_size=None, batch_format="numpy", prefetch_batches=0
            ):
                for song in songs_of(batch):
                    self._settle(song, songs)
                    there = (time.monotonic() - self._begun) * num_players
                    self._tally.idle_share = max(0.0, 1.0 - self._busy_seconds / there)
                    self._tell()
        except ExecutionTimeoutError:
            return f"nothing was finished for {self._fleet.stall_seconds:g} s"
        except ray.exceptions.RayError as error:
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        return ""

    def _settle(self, song: dict[str, Any], songs: dict[str, dict[str, Any]]) -> None:
        """Commits the row of a song that came through, once."""
        if "ends" in song:
            kinds = {kind.__name__: kind for kind in (InputError, StoreUnavailable, Preempted)}
            raise kinds.get(song["ends"], RuntimeError)(song["why"])
        self._busy_seconds += song["busy"]
        song_id = song["item"]["id"]
        if songs.pop(song_id, None) is not None:
            if "kept" in song:
                self._tally.kept += 1
            else:
                row = song["row"]
                self._journal.add(row)
                self._tally.failed += row["error"] is not None
                if row["error"] is None:
                    self._tally.played += 1
                    self._tally.audio_seconds += row["seconds"]

    def _tell(self) -> None:
        self._tally.wall_seconds = time.monotonic() - self._begun
        self._show(self._tally)

    def _dataset(self, songs: list[dict[str, Any]]) -> tuple[Any, int]:
        """The stages over songs, and how many players there are."""
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        from bassdiff.batch.ray_stages import COLUMN, Hear, Plan, Play, Write, block

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_no_progress_timeout_s = self._fleet.stall_seconds
        # Songs that are lost with a machine have no row, and the next pass plays them.
        context.max_errored_blocks = -1
        # Every song leaves its stage when it is done.
        context.target_max_block_size = context.target_min_block_size = 1
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)

        machines = sum(node["Alive"] for node in ray.nodes())
        accelerator, resources, players = self._devices(ray.cluster_resources(), machines)
        rows = MAX_ROWS[accelerator]
        per_batch = max(
            rows, min(rows * _GROUPS_PER_BATCH, math.ceil(len(songs) / (players * _BATCHES_AHEAD)))
        )
        plan = Plan(
            os.getcwd(),
            self._job.out,
            self._folder,
            self._order,
            self._job.item_seconds,
            self._job.patience_seconds,
            per_batch * players * _BATCHES_AHEAD,
        )
        # A lost actor restarts when there is a machine for it. Its tasks fail at once: to wait for
        # them would never end where no machine comes. Ray has no other name for that yet.
        warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
        lasting: dict[str, Any] = {"max_task_retries": 0}
        on_cpu: dict[str, Any] = {
            **lasting,
            "num_cpus": _CPU_SHARE,
            "compute": ActorPoolStrategy(min_size=1, max_size=self._job.num_workers * machines),
            "runtime_env": {"env_vars": {"JAX_PLATFORMS": "cpu"}},
        }
        common: dict[str, Any] = {"batch_format": "numpy", "fn_constructor_args": (plan,)}
        lines = [{COLUMN: block(song)[COLUMN][0]} for song in songs]
        dataset = (
            ray.data.from_items(lines, override_num_blocks=len(lines))
            .map_batches(Hear, batch_size=1, **common, **on_cpu)
            .map_batches(
                Play,
                batch_size=per_batch,
                compute=ActorPoolStrategy(size=players),
                **common,
                **lasting,
                **resources,
            )
            .map_batches(Write, batch_size=1, **common, **on_cpu)
        )
        return dataset, players

    def _devices(self, there: dict[str, float], machines: int) -> tuple[str, dict[str, Any], int]:
        """The accelerator, what Ray calls one, and how many are to be used."""
        found = next((kind for kind in ("TPU", "GPU") if there.get(kind)), "CPU")
        kind = self._fleet.accelerator.upper() or found
        count = machines if kind == "CPU" else int(there.get(kind, 0))
        resources: dict[str, dict[str, Any]] = {
            "TPU": {"resources": {"TPU": 1}, "num_cpus": 0},
            "GPU": {"num_gpus": 1, "num_cpus": 0},
            "CPU": {"num_cpus": _CPU_SHARE},
        }
        return kind.lower(), resources[kind], max(1, self._fleet.players or count)
