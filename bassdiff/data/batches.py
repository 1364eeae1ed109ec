"""From global examples to one process's rows of global batches, read ahead of the step."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Generator

import grain
import numpy as np
from absl import flags

from bassdiff.errors import Preempted


def local_batches(
    dataset: grain.MapDataset,
    batch_size: int,
    first_index: int,
    share: tuple[int, int],
    num_threads: int = 2,
    num_workers: int = 0,
) -> Generator[dict[str, np.ndarray], None, None]:
    """This process's rows of every global batch from global example `first_index` on.

    With a share of (p, n) it takes the p-th of n parts of each batch, which is where its devices
    lie on the mesh; shuffling and augmentation were decided by global index before. So the global
    batches depend on n in nothing, not even in the order of their rows, and neither on the number
    of threads and workers.

    Args:
      dataset: Global examples by index: shuffled, repeated, augmented, not yet batched.
      batch_size: Of the global batch, a multiple of n.
      first_index: How many examples were used before, in whatever number of processes.
      share: (p, n).
      num_threads: That read in each worker, or in this process where there is none.
      num_workers: Processes that read; 0 where threads do, which is enough for latents. Whoever
        runs this as a script then needs `if __name__ == "__main__"`.

    Yields:
      Batches without end; closing the generator ends its workers.

    Raises:
      Preempted: If a worker was killed: the job may go on where it is begun again.
    """
    part, count = share
    parts = dataset[first_index:].batch(batch_size // count, drop_remainder=True)
    rows = parts[part::count]
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=2 * num_threads)
    batches = rows.to_iter_dataset(options)
    if num_workers:
        if not flags.FLAGS.is_parsed():
            # Grain hands its flags on to workers, though nobody sets them here.
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
            "a process that reads data was killed, perhaps for want of memory; the same command "
            "goes on from the last checkpoint"
        ) from error
    finally:
        reader.close()


def _end_with_parent(worker: int, count: int) -> None:
    """A worker would outlive a process that was killed, and hold its memory."""
    del worker, count

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, name="end_with_parent", daemon=True).start()
