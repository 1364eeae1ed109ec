"""The training loop, shared by all objectives."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm.auto import tqdm

from bassdiff.data.batches import local_batches
from bassdiff.diffusion.types import Array, PyTree
from bassdiff.runtime.errors import InputError, Preempted
from bassdiff.runtime.jobs import Watchdog, end_requests
from bassdiff.training import sharding
from bassdiff.training.checkpoint import Checkpoints
from bassdiff.training.goodput import Goodput
from bassdiff.training.log import RunLog
from bassdiff.training.objective import Objective
from bassdiff.training.schedule import Schedule
from bassdiff.training.state import TrainState
from bassdiff.training.step_meter import Meter, Metrics
from bassdiff.training.trace import Trace
from bassdiff.training.utilisation import peak_flops, program_flops


def train(
    objective: Objective,
    dataset: grain.MapDataset,
    workdir: Path,
    schedule: Schedule,
    *,
    seed: int,
    batch_size: int,
    mesh_shape: tuple[int, int] = (-1, 1),
    num_read_workers: int = 0,
    evaluate: Callable[[TrainState, RunLog], None] | None = None,
    progress: bool = True,
) -> TrainState:
    """Trains `objective`, resuming from `workdir` if it holds a checkpoint.

    Args:
      objective: What to train.
      dataset: Global examples by index: shuffled, repeated, augmented, not yet batched.
      workdir: Receives checkpoints/, logs/ and weights/.
      schedule: Intervals and limits of the run.
      seed: Root of all random numbers.
      batch_size: Global batch size, a multiple of the number of devices.
      mesh_shape: Devices along (data, fsdp); -1 means all that are left.
      num_read_workers: Processes that read and augment examples; 0 for threads.
      evaluate: Scores the averaged parameters at `schedule.evaluate_every`.
      progress: Show a progress line with time left.

    Returns:
      The final state.

    Raises:
      InputError: If the batch does not divide, the data is too small, a checkpoint misfits, or
        the run diverges.
      Preempted: After saving, if any process was asked to stop.
    """
    mesh = sharding.make_mesh(*mesh_shape)
    if batch_size % mesh.size:
        raise InputError(f"batch_size={batch_size} must be a multiple of {mesh.size} devices")
    if batch_size > len(dataset):
        raise InputError(f"{len(dataset)} examples do not fill one batch of {batch_size}")
    root_key = jax.random.key(seed)
    is_main = jax.process_index() == 0
    # Before the mesh is set, since it may time a single device.
    meter = Meter(batch_size, peak_flops(jax.local_devices()[0]))
    # Always closed, so that an unfinished save completes if the run fails.
    checkpoints = Checkpoints(workdir / "checkpoints", schedule.checkpoint_every, best_by="score")
    with (
        jax.set_mesh(mesh),
        Watchdog() as watchdog,
        contextlib.closing(checkpoints),
        RunLog(workdir / "logs", enabled=is_main) as log,
        tqdm(total=schedule.num_steps, unit="step", disable=not (progress and is_main)) as bar,
        end_requests() as is_asked,
        contextlib.ExitStack() as closing,
    ):
        watchdog.expect("the start", schedule.start_seconds)
        shapes = jax.eval_shape(objective.init, root_key)
        shardings = sharding.state_sharding(shapes, mesh)
        state, position = _begin(objective, checkpoints, shapes, shardings, root_key)
        step = begun = int(state.step)
        # Not reset by roll-backs: JAX's agreement on the last step needs an increasing count.
        tick = step
        bar.update(step)
        gather = jax.jit(lambda tree: tree, out_shardings=sharding.replicated(mesh))
        batches = local_batches(
            dataset,
            batch_size,
            position["next_index"],
            sharding.share_of_batch(mesh),
            num_workers=num_read_workers,
        )
        closing.callback(batches.close)
        goodput = Goodput(lost_steps=max(0, log.last_step() - step))
        trace = Trace(schedule.profile, step, workdir / "logs")
        program: jax.stages.Compiled | None = None
        current = objective.at(step)
        skips = 0

        def read_batch() -> PyTree:
            watchdog.expect("reading a batch", schedule.step_seconds)
            with goodput.spent("data_wait", but_not_if=meter.is_busy):
                return sharding.to_global(next(batches), mesh)

        batch = read_batch() if step < schedule.num_steps else None
        while step < schedule.num_steps:
            if program is None or objective.at(step) is not current:
                current = objective.at(step)
                watchdog.expect("compiling", schedule.start_seconds)
                with goodput.spent("compile"):
                    step_fn = jitted_step(current, root_key, shardings)
                    program = step_fn.lower(state, batch).compile()
                    flops = current.model_flops(batch_size) / mesh.size
                    meter.start(program_flops(program) if np.isnan(flops) else flops, goodput)
            watchdog.expect(f"step {step + 1}", schedule.step_seconds)
            trace.before(step + 1)
            state, metrics = program(state, batch)
            step, tick = step + 1, tick + 1
            position = {**position, "next_index": position["next_index"] + batch_size}
            meter.add(metrics)
            # Reads the next batch while the devices compute this step.
            batch = read_batch()
            watchdog.expect(f"step {step}", schedule.step_seconds)
            bar.update()
            trace.after(step, state)

            is_preempted = is_asked() or multihost_utils.reached_preemption_sync_point(tick)
            is_last = step == schedule.num_steps
            # A preempted job has no time to validate.
            is_validated = (is_last or not is_preempted) and schedule.is_due(
                schedule.validate_every, step
            )
            is_saved = is_validated or schedule.is_due(schedule.checkpoint_every, step)
            if is_saved or is_preempted or schedule.is_due(schedule.log_every, step):
                records = meter.read()
                skips = _skips_in_a_row(skips, records)
                log.scalars(step, meter.summary(records, goodput) | goodput.record())
                bar.set_postfix(loss=f"{records[-1]['loss']:.4f}")
            if skips >= schedule.max_skips:
                watchdog.expect("the roll-back", schedule.start_seconds)
                trace.stop()
                with goodput.spent("rollback"):
                    state, position = _roll_back(
                        checkpoints, shapes, shardings, position, schedule, step, records[-1]
                    )
                goodput.lost_steps += step - int(state.step)
                step, skips = int(state.step), 0
                bar.n = step
                meter.restart()
                if is_preempted:
                    raise Preempted(_going_on(step, workdir))
                continue
            if is_last and not begun and skips >= step:
                raise InputError(
                    f"none of the {step} steps had a loss and gradients that are finite, so "
                    "nothing was learnt; lower config.learning_rate or look at the data"
                )
            score = {}
            if is_validated:
                watchdog.expect(f"the validation of step {step}", schedule.start_seconds)
                with goodput.spent("validation"):
                    average = state.replace(ema=gather(state.ema))
                    found = np.float32(objective.validate(average, log))
                    if is_main:
                        with sharding.alone():
                            kept = average.replace(ema=jax.device_get(average.ema))
                            objective.export(kept, workdir / "weights")
                    if evaluate and schedule.is_due(schedule.evaluate_every, step):
                        evaluate(average, log)
                    # The other processes wait here.
                    score = {"score": float(multihost_utils.broadcast_one_to_all(found))}
            # A state after skipped steps is not a good one to return to.
            if (is_last or not skips) and (is_saved or is_preempted):
                watchdog.expect(f"the checkpoint of step {step}", schedule.step_seconds)
                with goodput.spent("checkpoint"):
                    checkpoints.save(step, state, position, force=True, metrics=score)
            if not meter.has_unread:
                meter.restart()
            if is_preempted:
                watchdog.expect("the last checkpoint", schedule.step_seconds)
                checkpoints.wait()
                raise Preempted(_going_on(checkpoints.latest_step(), workdir))
    return state


def jitted_step(objective: Objective, root_key: Array, shardings: PyTree) -> jax.stages.Wrapped:
    """The jitted step `(state, batch) -> (state, metrics)`, which donates the state.

    Args:
      objective: What to train.
      root_key: Folded with the step's number, the key of the step.
      shardings: Shardings of the state.
    """

    @functools.partial(jax.jit, donate_argnums=0, out_shardings=(shardings, None))
    def step_fn(state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        return objective.train_step(state, batch, jax.random.fold_in(root_key, state.step))

    return step_fn


def _begin(
    objective: Objective,
    checkpoints: Checkpoints,
    shapes: TrainState,
    shardings: PyTree,
    root_key: Array,
) -> tuple[TrainState, dict[str, Any]]:
    """A fresh or the last saved state, and the position of the data iterator."""
    if checkpoints.latest_step() is not None:
        return checkpoints.restore(shapes, shardings)
    state = jax.jit(objective.init, out_shardings=shardings)(root_key)
    state = jax.device_put(objective.prepare(state), shardings)
    return state, {"next_index": 0, "rollbacks": 0}


def _going_on(step: int | None, workdir: Path) -> str:
    saved = "before anything was saved" if step is None else f"and saved at step {step}"
    return f"asked to end, {saved} in {workdir}; the same command resumes"


def _skips_in_a_row(before: int, records: list[dict[str, float]]) -> int:
    for record in records:
        before = before + 1 if record["skipped"] else 0
    return before


def _roll_back(
    checkpoints: Checkpoints,
    shapes: TrainState,
    shardings: PyTree,
    position: dict[str, Any],
    schedule: Schedule,
    step: int,
    record: dict[str, float],
) -> tuple[TrainState, dict[str, Any]]:
    """Restores the last good state, to continue with data that was not seen yet.

    Raises:
      InputError: If there is none, or this has happened too often.
    """
    good, rollbacks = checkpoints.latest_step(), position["rollbacks"] + 1
    if good is None or rollbacks > schedule.max_rollbacks:
        where = "there is no checkpoint" if good is None else f"the last good one is step {good}"
        raise InputError(
            f"the run diverged: {schedule.max_skips} steps in a row up to step {step} had a loss "
            f"or a gradient that is not finite or far too large (loss {record['loss']:.4g}, "
            f"{rollbacks - 1} roll-backs before; {where}); lower config.learning_rate or look at "
            "the data"
        )
    state, _ = checkpoints.restore(shapes, shardings)
    return state, {**position, "rollbacks": rollbacks}
