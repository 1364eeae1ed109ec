"""The interface between the training loop and what it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bassdiff.diffusion.types import Array, PyTree
from bassdiff.training.log import RunLog
from bassdiff.training.state import TrainState
from bassdiff.training.step_meter import Metrics


class Objective(Protocol):
    """A kind of model to train; `init` and `train_step` are pure and are traced by JAX."""

    def init(self, key: Array) -> TrainState:
        """A fresh state; traced, so that parameters are born sharded."""
        ...

    def prepare(self, state: TrainState) -> TrainState:
        """Initialises a fresh state from data, on the host; by default it stays as it is."""
        return state

    def at(self, step: int) -> Objective:
        """The objective that trains the step after `step`; where it is another, the loop compiles.

        By default it stays the same. A branch inside the compiled program would do, too, but XLA
        runs branches on one core of a CPU.
        """
        return self

    def train_step(
        self, state: TrainState, batch: PyTree, key: Array
    ) -> tuple[TrainState, Metrics]:
        """One optimiser step and its scalar metrics, among them `loss` and `skipped`."""
        ...

    def model_flops(self, batch_size: int) -> float:
        """Floating-point operations of one step on all devices together, without recomputation.

        NaN, the default, if unknown; the loop then uses the compiler's count, in which loops
        count once.
        """
        return float("nan")

    def validate(self, state: TrainState, log: RunLog) -> float:
        """Logs validation scalars, audio and pictures of the averaged parameters.

        Every process calls it, with the mesh of all devices set and the averages on each of them:
        `sharding.spread` shares rows among them. Only the first process's log is `enabled`; what it
        does alone is to be done inside `sharding.alone`.

        Returns:
          The score by which checkpoints are compared; lower is better.
        """
        ...

    def export(self, state: TrainState, folder: Path) -> None:
        """Writes the averaged parameters as weights that `load` understands; by one process."""
        ...
