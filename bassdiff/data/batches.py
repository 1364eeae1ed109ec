"""Reads one process's rows of the global batches, ahead of the training step."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import threading
from collections.abc import Generator

import grain
import numpy as np
from absl import flags

from bassdiff.runtime.errors import Preempted


def local_batches(
    dataset: grain.MapDataset,
    batch_size: int,
    first_index: int,
    share: tuple[int, int],
    num_threads: int = 32,
    num_workers: int = 0,
) -> Generator[dict[str, np.ndarray], None, None]:
    """This process's rows of every global batch from global example `first_index` on.

    With a share of (p, n) it takes the p-th of n parts of each batch, matching the place of its
    devices on the mesh. Shuffling and augmentation depend on the global index only, so the global
    batches and the order of their rows are the same for any n and any number of threads and
    workers.

    Args:
      dataset: Global examples by index: shuffled, repeated, augmented, not yet batched.
      batch_size: Size of the global batch, a multiple of n.
      first_index: Number of examples used before, by any number of processes.
      share: (p, n).
      num_threads: Threads that read rows if there are no workers; many parallel requests hide
        the latency of remote storage.
      num_workers: Processes that read whole batches, for augmentation that takes more than a core.
        0 uses threads, which is enough for latents. With workers, a script needs
        `if __name__ == "__main__"`.

    Yields:
      Batches without end; closing the generator ends its workers.

    Raises:
      Preempted: If a worker was killed; the job resumes when it is restarted.
    """
    part, count = share
    num_rows = batch_size // count
    if not num_workers:
        rows = grain.MapDataset.source(_Share(dataset, batch_size, first_index, share))
        ahead = max(2 * num_rows, 2 * num_threads)
        options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=ahead)
        batches = rows.to_iter_dataset(options).batch(num_rows, drop_remainder=True)
    else:
        # Workers take turns, so what they are dealt must be batches.
        parts = dataset[first_index:].batch(num_rows, drop_remainder=True)
        batches = parts[part::count].to_iter_dataset(grain.ReadOptions(num_threads=2))
        if not flags.FLAGS.is_parsed():
            # Grain passes its flags to workers and insists that they were parsed.
            flags.FLAGS.mark_as_parsed()
        batches = batches.mp_prefetch(
            grain.MultiprocessingOptions(num_workers, per_worker_buffer_size=2), _end_with_parent
        )
    reader = iter(batches)
    try:
        yield from reader
    except RuntimeError as error:
        if "Worker process was terminated" not in str(error):
            raise
        raise Preempted(
            "a process that reads data was killed, perhaps for lack of memory; the same command "
            "resumes from the last checkpoint"
        ) from error
    finally:
        reader.close()


@dataclasses.dataclass(frozen=True)
class _Share:
    """This process's rows of all batches, one after the other."""

    dataset: grain.MapDataset
    batch_size: int
    first_index: int
    share: tuple[int, int]

    def __len__(self) -> int:
        num_batches = (len(self.dataset) - self.first_index) // self.batch_size
        return num_batches * (self.batch_size // self.share[1])

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        part, count = self.share
        batch, row = divmod(index, self.batch_size // count)
        begin = self.first_index + batch * self.batch_size + part * (self.batch_size // count)
        return self.dataset[begin + row]


def _end_with_parent(worker: int, count: int) -> None:
    """Ends a worker with its parent; it would otherwise outlive a killed one."""
    del worker, count

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, name="end_with_parent", daemon=True).start()
