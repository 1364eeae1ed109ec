"""Saving and restoring runs with Orbax: the state's arrays and the data iterator's position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from bassdiff.errors import InputError
from bassdiff.training.state import TrainState
from bassdiff.types import PyTree


class Checkpoints:
    """Numbered checkpoints of one run.

    Saves are asynchronous and atomic; a checkpoint restores onto any mesh, because the
    target's shardings, not the saved ones, say where arrays go.
    """

    def __init__(self, folder: Path, every_steps: int, keep: int = 3) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, save_interval_steps=every_steps, cleanup_tmp_directories=True
        )
        handlers = {"state": ocp.StandardCheckpointHandler(), "data": ocp.JsonCheckpointHandler()}
        self._manager = ocp.CheckpointManager(
            Path(folder).absolute(), options=options, item_handlers=handlers
        )

    def latest_step(self) -> int | None:
        """The newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, data: dict[str, Any], force: bool = False) -> bool:
        """Saves if the interval has come round (or `force`); returns whether it did.

        Args:
          step: `state.step`, known to the host: reading it from the state would wait for the
            device at every step.
          state: The state to save.
          data: JSON-able position of the data iterator.
          force: Save although the interval has not come round.
        """
        if step == self.latest_step():
            return False
        return self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(data)
            ),
            force=force,
        )

    def restore(self, shapes: TrainState, shardings: PyTree) -> tuple[TrainState, dict[str, Any]]:
        """Restores the newest checkpoint onto `shardings`.

        Raises:
          InputError: If the checkpoint does not fit the configured model.
        """
        target = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            shapes,
            shardings,
        )
        step = self.latest_step()
        misfit = InputError(
            f"the checkpoint of step {step} in {self._manager.directory} does not fit this "
            "configuration; use another --workdir or the configuration it was made with"
        )
        # Asked first: a restore that fails half way leaves errors behind in background threads.
        if _sizes(self._manager.item_metadata(step)["state"]) != _sizes(shapes):
            raise misfit
        try:
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(target), data=ocp.args.JsonRestore()
                ),
            )
        except ValueError as error:
            raise misfit from error
        return restored.state, restored.data

    def close(self) -> None:
        """Waits for saves under way and ends the background threads."""
        self._manager.wait_until_finished()
        self._manager.close()


def _sizes(tree: PyTree) -> list[tuple[tuple[int, ...], str]]:
    """Shapes and types of all arrays, in an order that does not depend on the tree."""
    return sorted((tuple(leaf.shape), str(leaf.dtype)) for leaf in jax.tree.leaves(tree))
