"""The one training loop. What is trained is an argument: an `Objective`."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import Protocol

import grain
import jax
import numpy as np
from tqdm import tqdm

from bassdiff.errors import InputError
from bassdiff.training import partition
from bassdiff.training.checkpoint import Checkpoints
from bassdiff.training.log import RunLog
from bassdiff.training.state import TrainState
from bassdiff.types import Array, PyTree


class Objective(Protocol):
    """What one kind of model adds to the loop; `init` and `train_step` are pure and traced."""

    def init(self, key: Array) -> TrainState:
        """A fresh state; traced, so that parameters are born sharded."""
        ...

    def prepare(self, state: TrainState) -> TrainState:
        """Optional data-dependent initialisation of a fresh state, on the host."""
        ...

    def train_step(
        self, state: TrainState, batch: PyTree, key: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        """One optimiser step and its scalar metrics."""
        ...

    def validate(self, state: TrainState, log: RunLog) -> None:
        """Writes validation scalars, audio and pictures of the averaged parameters."""
        ...

    def export(self, state: TrainState, folder: Path) -> None:
        """Writes the averaged parameters as weights that `load` understands."""
        ...


def local_batches(
    dataset: grain.MapDataset, batch_size: int, first_index: int, num_threads: int
) -> grain.DatasetIterator:
    """This process's rows of every global batch from global example `first_index` on.

    Process p takes the p-th of n parts of each batch, which is where its devices lie on the
    mesh; shuffling and augmentation were decided by global index before. So the global batches
    depend on n in nothing, not even in the order of their rows.
    """
    index, count = jax.process_index(), jax.process_count()
    parts = dataset[first_index:].batch(batch_size // count, drop_remainder=True)
    rows = parts[index::count]
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=2 * num_threads)
    return iter(rows.to_iter_dataset(options))


def train(
    objective: Objective,
    dataset: grain.MapDataset,
    workdir: Path,
    *,
    seed: int,
    num_steps: int,
    batch_size: int,
    mesh_shape: tuple[int, int] = (-1, 1),
    checkpoint_every: int = 500,
    log_every: int = 20,
    validate_every: int = 1000,
    num_read_threads: int = 2,
    progress: bool = True,
) -> TrainState:
    """Trains `objective` to `num_steps`, resuming from `workdir` if it holds a checkpoint.

    Args:
      objective: What to train.
      dataset: Global examples by index: shuffled, repeated, augmented, not yet batched.
      workdir: Receives checkpoints/, logs/ and weights/.
      seed: Root of all random numbers.
      num_steps: Total optimiser steps, those of earlier runs included.
      batch_size: Global batch size, a multiple of the number of devices.
      mesh_shape: Devices along (data, fsdp); -1 means all that are left.
      checkpoint_every: Steps between checkpoints.
      log_every: Steps between log records.
      validate_every: Steps between validations and exports of weights.
      num_read_threads: Threads that read and augment examples.
      progress: Show a progress line with time left.

    Returns:
      The final state.

    Raises:
      InputError: If the batch does not divide, the data is too small, or a checkpoint misfits.
      FloatingPointError: If 50 steps in a row had to be skipped.
    """
    mesh = partition.make_mesh(*mesh_shape)
    if batch_size % mesh.size:
        raise InputError(f"batch_size={batch_size} must be a multiple of {mesh.size} devices")
    if batch_size > len(dataset):
        raise InputError(f"{len(dataset)} examples do not fill one batch of {batch_size}")
    root_key = jax.random.key(seed)
    # Closed in any case: a save that is under way when a run dies is finished.
    checkpoints = Checkpoints(workdir / "checkpoints", checkpoint_every)
    with jax.set_mesh(mesh), contextlib.closing(checkpoints):
        shapes = jax.eval_shape(objective.init, root_key)
        shardings = partition.parameter_sharding(shapes, mesh)
        if checkpoints.latest_step() is None:
            state = jax.jit(objective.init, out_shardings=shardings)(root_key)
            state = jax.device_put(objective.prepare(state), shardings)
            data = {"next_index": 0}
        else:
            state, data = checkpoints.restore(shapes, shardings)

        gather = jax.jit(lambda tree: tree, out_shardings=partition.replicated(mesh))

        @functools.partial(jax.jit, donate_argnums=0, out_shardings=(shardings, None))
        def step_fn(state: TrainState, batch: PyTree) -> tuple[TrainState, dict[str, Array]]:
            return objective.train_step(state, batch, jax.random.fold_in(root_key, state.step))

        first_step = int(state.step)
        batches = local_batches(dataset, batch_size, data["next_index"], num_read_threads)
        main = jax.process_index() == 0
        with RunLog(workdir / "logs", enabled=main) as log:
            bar = tqdm(
                total=num_steps, initial=first_step, unit="step", disable=not (progress and main)
            )
            pending: list[dict[str, Array]] = []
            started, waited, skipped_in_a_row = time.perf_counter(), 0.0, 0
            for step in range(first_step + 1, num_steps + 1):
                fetching = time.perf_counter()
                batch = partition.to_global(next(batches), mesh)
                waited += time.perf_counter() - fetching
                state, metrics = step_fn(state, batch)
                pending.append(metrics)
                bar.update()
                data = {"next_index": data["next_index"] + batch_size}
                if step % log_every == 0 or step == num_steps:
                    records = jax.device_get(pending)
                    elapsed = time.perf_counter() - started
                    means = {k: float(np.mean([r[k] for r in records])) for k in records[0]}
                    for record in records:
                        skipped_in_a_row = skipped_in_a_row + 1 if record["skipped"] else 0
                    if skipped_in_a_row >= 50:
                        raise FloatingPointError(
                            f"50 steps up to step {step} had a non-finite loss; the last good "
                            f"checkpoint is step {checkpoints.latest_step()} in {workdir}"
                        )
                    means["seconds_per_step"] = elapsed / len(records)
                    means["examples_per_second"] = batch_size * len(records) / elapsed
                    means["data_wait_share"] = waited / elapsed
                    log.scalars(step, means)
                    bar.set_postfix(
                        loss=f"{means['loss']:.4f}", s=f"{means['seconds_per_step']:.2f}"
                    )
                    pending, started, waited = [], time.perf_counter(), 0.0
                if step % validate_every == 0 or step == num_steps:
                    paused = time.perf_counter()
                    # All processes take part in gathering the average; one of them uses it.
                    average = state.replace(ema=jax.device_get(gather(state.ema)))
                    if main:
                        objective.validate(average, log)
                        objective.export(average, workdir / "weights")
                    started += time.perf_counter() - paused
                checkpoints.save(step, state, data, force=step == num_steps)
            bar.close()
    return state
