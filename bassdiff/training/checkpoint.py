"""Saves and restores runs with Orbax, and detects damage.

A checkpoint is the folder STEP with two items: `state`, the arrays, and `record`, which holds the
position of the data iterator and the fingerprints that reveal damage to either.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from bassdiff.diffusion.types import PyTree
from bassdiff.runtime.errors import InputError
from bassdiff.training import orbax_manager
from bassdiff.training.agreement import attempt, on_all_processes
from bassdiff.training.record import changed_leaves, fits, make_record, read_record
from bassdiff.training.state import TrainState


class Checkpoints:
    """Numbered checkpoints of one run.

    Saves are asynchronous and atomic. A checkpoint restores onto any mesh, because the target's
    shardings decide where arrays go. A damaged checkpoint is never restored and never deleted. All
    processes of a job must make the same calls.
    """

    def __init__(
        self, folder: Path, every_steps: int, keep: int = 3, best_by: str | None = None
    ) -> None:
        """Opens the checkpoints in `folder`, which is created if missing.

        Args:
          folder: Folder of the run's checkpoints.
          every_steps: Steps between saves.
          keep: Number of newest checkpoints to keep.
          best_by: Name of a metric, lower is better, whose best checkpoint is kept as well.
        """
        self._folder = Path(folder).absolute()
        self._best_by = best_by
        self._needed_bytes = 0
        options = ocp.CheckpointManagerOptions(
            save_interval_steps=every_steps,
            cleanup_tmp_directories=True,
            preservation_policy=orbax_manager.NewestAndBest(keep, self._best_of),
        )
        handlers = {"state": ocp.StandardCheckpointHandler(), "record": ocp.JsonCheckpointHandler()}
        orbax_manager.hide_damaged_metadata(self._folder)
        self._manager = orbax_manager.Manager(self._folder, options=options, item_handlers=handlers)
        # Scores are in the records, so they outlive the process that measured them.
        self._scores: dict[int, float] = {}
        for step in self._manager.all_steps():
            with contextlib.suppress(Exception):  # A damaged one has no score.
                self._note_score(step, read_record(self._folder / str(step))["metrics"])

    def latest_step(self) -> int | None:
        """The newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(
        self,
        step: int,
        state: TrainState,
        data: dict[str, Any],
        force: bool = False,
        metrics: dict[str, float] | None = None,
    ) -> bool:
        """Saves if the interval is due (or with `force`); returns whether it did.

        Args:
          step: `state.step` on the host; reading it from the state would wait for the device.
          state: The state to save; may be donated as soon as this returns.
          data: JSON-able position of the data iterator.
          force: Save even if the interval is not due.
          metrics: Metrics of this state, such as its validation loss.

        Raises:
          InputError: If the disk is full, or was full during the previous save.
        """
        if step == self.latest_step() or not (force or self._manager.should_save(step)):
            return False
        record = make_record(state, data, metrics or {})
        # Weights hardly compress; the metadata needs some room too.
        num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        self._needed_bytes = int(1.05 * num_bytes) + 2**20
        with self._full_disk_named():
            # The free space is known only after the previous save.
            self._manager.wait_until_finished()
            room = shutil.disk_usage(self._folder).free
            if not on_all_processes(room >= self._needed_bytes):
                raise self._full_disk()
            self._note_score(step, record["metrics"])
            return self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    record=ocp.args.JsonSave(record),
                ),
                force=True,
            )

    def restore(self, shapes: TrainState, shardings: PyTree) -> tuple[TrainState, dict[str, Any]]:
        """Restores the newest valid checkpoint onto `shardings`.

        Newer, damaged ones are moved to the folder `quarantine`, each with a warning.

        Returns:
          The state, bit for bit as saved, and the position of the data iterator.

        Raises:
          InputError: If no checkpoint is valid, or it does not fit the configured model; no
            checkpoint is moved then.
        """
        target = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            shapes,
            shardings,
        )
        with self._full_disk_named():
            self._manager.wait_until_finished()
        damages: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            restored, damage = self._restore_step(step, target)
            if restored is not None:
                self._set_aside(damages, step)
                return restored
            damages[step] = damage
        # They stay in place: in an empty folder the next run would start from the beginning.
        what = "; ".join(f"step {step}: {damage}" for step, damage in damages.items())
        raise InputError(
            f"no checkpoint in {self._folder} is whole ({what or 'there is none'}); copy a good "
            "one there, or move the folder away to start afresh"
        )

    def wait(self) -> None:
        """Waits for unfinished saves.

        Raises:
          InputError: If the disk was full during the last save.
        """
        with self._full_disk_named():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for unfinished saves and stops the background threads.

        Raises:
          InputError: If the disk was full during the last save.
        """
        with self._full_disk_named():
            try:
                self._manager.wait_until_finished()
            finally:
                self._manager.close()

    def _best_of(self, steps: Sequence[int]) -> int | None:
        scored = [step for step in steps if step in self._scores]
        return min(scored, key=lambda step: (self._scores[step], -step), default=None)

    def _note_score(self, step: int, metrics: dict[str, float]) -> None:
        score = metrics.get(self._best_by or "", math.nan)
        self._scores.pop(step, None)
        if math.isfinite(score):
            self._scores[step] = score

    def _restore_step(
        self, step: int, target: TrainState
    ) -> tuple[tuple[TrainState, dict[str, Any]] | None, str]:
        """One checkpoint's state and data, or None and the fault; the same on all processes."""
        folder = self._folder / str(step)
        record, damage = attempt(lambda: read_record(folder))
        if record is None:
            return None, damage
        # By the record, whose checksum is valid: Orbax's own sizes may be damaged.
        if not fits(record, target):
            raise InputError(
                f"the checkpoint of step {step} in {self._folder} does not fit this "
                "configuration; use another --workdir or the configuration it was made with"
            )
        # In the manager's restore, a process that succeeds would wait for one that failed.
        state, damage = attempt(
            lambda: ocp.StandardCheckpointHandler().restore(
                folder / "state", args=ocp.args.StandardRestore(target)
            )
        )
        if state is None:
            return None, damage
        if changed := changed_leaves(record, state):
            return None, f"{changed[0]} is not what was saved"
        return (state, record["data"]), ""

    def _set_aside(self, damages: dict[int, str], used: int) -> None:
        """Moves damaged checkpoints to the folder `quarantine`."""
        if not damages:
            return
        for step, damage in damages.items():
            place = _free_name(self._folder / "quarantine" / str(step))
            if jax.process_index() == 0:
                place.parent.mkdir(exist_ok=True)
                (self._folder / str(step)).rename(place)
            _warn(
                f"the checkpoint of step {step} is damaged ({damage}) and was moved to {place}; "
                f"the run continues from step {used}, but check the disk"
            )
        on_all_processes(True)
        self._manager.reload()

    @contextlib.contextmanager
    def _full_disk_named(self) -> Iterator[None]:
        """Converts Orbax's errors on a full disk to an `InputError`."""
        try:
            yield
        except Exception as error:
            if not _is_full_disk(error):
                raise
            raise self._full_disk() from error

    def _full_disk(self) -> InputError:
        self._manager.reload()
        last = self.latest_step()
        good = "there is no checkpoint yet" if last is None else f"the last good one is step {last}"
        needed, free = self._needed_bytes / 1e6, shutil.disk_usage(self._folder).free / 1e6
        return InputError(
            f"the disk of {self._folder} is full: a checkpoint takes {needed:.0f} MB and "
            f"{free:.0f} MB are free; free some and run again, {good}"
        )


def _free_name(path: Path) -> Path:
    names = itertools.chain(
        [path], (path.with_name(f"{path.name}-{n}") for n in itertools.count(2))
    )
    return next(name for name in names if not name.exists())


def _is_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        # By its text, which survives Orbax's threads and wrapped exceptions.
        if "No space left on device" in str(error) or "Disk quota exceeded" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _warn(message: str) -> None:
    if jax.process_index() == 0:
        warnings.warn(message, stacklevel=4)
