"""A job from its words to its rows: checked first, then played, however often it is begun again."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

import jax

from bassdiff.batch.item import Part
from bassdiff.batch.journal import Journal
from bassdiff.batch.manifest import open_manifest
from bassdiff.batch.order import Order
from bassdiff.batch.patience import Patience
from bassdiff.batch.pipeline import AUDIO_SECONDS, Pipeline
from bassdiff.batch.player import Player
from bassdiff.batch.reading import Reader
from bassdiff.batch.storage import Storage
from bassdiff.batch.tally import Tally
from bassdiff.batch.workers import Budget
from bassdiff.batch.writing import Writer
from bassdiff.diffusion.settings import check_overrides
from bassdiff.pretrained.release import load_weights

# On a CPU, one program is at work on all cores while another is at what only one can do.
PLAYERS = {"cpu": 2}


@dataclasses.dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes:
      names: A manifest, or folders, globs and files.
      out: Folder or URL of the results.
      order: What is wanted of every song.
      part: Which songs are played here.
      stems_of: Bass recordings in the sound of each of which every song is played.
      num_workers: Threads that read, and as many that write; with Ray, processes.
      item_seconds: A song that takes longer to read is given up.
      patience_seconds: How long a store may not answer.
      retry_failed: Whether what failed before is tried again.
    """

    names: Sequence[str]
    out: str
    order: Order = dataclasses.field(default_factory=Order)
    part: Part = dataclasses.field(default_factory=Part)
    stems_of: Sequence[str] = ()
    num_workers: int = 2
    item_seconds: float = 900.0
    patience_seconds: float = 600.0
    retry_failed: bool = False


def run(job: Job, show: Callable[[int], Callable[[Tally], None]]) -> Tally:
    """Plays all songs of a part that are not played yet.

    Args:
      job: What is asked for.
      show: Called with the number of songs, once all is checked; gives what is called whenever
        something has become of one.

    Raises:
      InputError: Something that was given cannot be used; or the disk is full, or cannot be
        written.
      StoreUnavailable: A store did not answer for long.
    """
    # What holds for all songs is refused at once, and not once for every song.
    check_overrides(job.order.settings)
    patience = Patience(job.patience_seconds)
    manifest = open_manifest(job.names, patience, job.stems_of)
    count = manifest.check(job.part)
    with contextlib.closing(Storage(job.out, str(job.part), patience)) as storage:
        journal = Journal(storage, job.part)
        known = journal.known()
        weights = load_weights(job.order.weights, job.order.adapter)
        order = job.order.of(weights)
        players = [
            Player(weights, device, order.judges)
            for device in jax.local_devices()
            for _ in range(PLAYERS.get(device.platform, 1))
        ]
        unread = Budget(AUDIO_SECONDS)
        for_mixes = Patience(min(job.patience_seconds, job.item_seconds))
        reader = Reader(order, weights, known, storage, for_mixes, unread, job.retry_failed)
        pipeline = Pipeline(
            order,
            players,
            reader,
            Writer(order, storage, patience),
            journal,
            job.num_workers,
            job.item_seconds,
            (unread.end, patience.give_up),
        )
        songs = (item for item in manifest if job.part.has(item.id))
        return pipeline.run(songs, show(count))
