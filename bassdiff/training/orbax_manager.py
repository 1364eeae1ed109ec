"""Orbax's checkpoint manager, adapted to jobs of several processes and to damaged files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from bassdiff.training.agreement import on_all_processes


class Manager(ocp.CheckpointManager):
    """A checkpoint manager that never asks JAX whether the job is being preempted.

    Orbax's manager asks from a thread of process 0, with the number of the step it has just
    written. JAX takes this number for the progress of process 0 and may choose a last step that
    process 0 has already passed, at which the other processes would wait forever. Only the loop
    may ask.
    """

    def reached_preemption(self, step: int) -> bool:
        """Always False."""
        del step
        return False


class NewestAndBest:
    """A preservation policy that keeps the newest checkpoints and the best one."""

    def __init__(self, keep: int, best_of: Callable[[Sequence[int]], int | None]) -> None:
        self._keep = keep
        self._best_of = best_of

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Which of the checkpoints, oldest first, are kept."""
        del context
        steps = [info.step for info in checkpoints]
        kept = {*sorted(steps)[-self._keep :], self._best_of(steps)}
        return [step in kept for step in steps]


def hide_damaged_metadata(folder: Path) -> None:
    """Renames damaged `_CHECKPOINT_METADATA` files, which would stop Orbax from listing the folder.

    They hold only times and class names, on which nothing depends.
    """
    for path in sorted(folder.glob("[0-9]*/_CHECKPOINT_METADATA")):
        try:
            names = ocp.path.step.standard_name_format()
            names.find_step(folder, int(path.parent.name)).commit_timestamp  # noqa: B018
        except Exception:  # Damage can raise any type.
            if jax.process_index() == 0:
                path.rename(path.with_suffix(".damaged"))
    on_all_processes(True)
