"""A profiler trace of some steps of a run."""

from __future__ import annotations

from pathlib import Path

import jax

from bassdiff.training.state import TrainState


class Trace:
    """A profiler trace of some steps, for TensorBoard.

    Args:
      steps: First and last step to trace, or None.
      done: Steps already taken; a run that resumes after the first step to trace records nothing.
      folder: Receives the trace.
    """

    def __init__(self, steps: tuple[int, int] | None, done: int, folder: Path) -> None:
        self._first, self._last = steps if steps and done < steps[0] else (0, 0)
        self._folder = folder
        self._is_running = False

    def before(self, step: int) -> None:
        """Starts the trace before its first step."""
        if step == self._first:
            jax.profiler.start_trace(self._folder)
            self._is_running = True

    def after(self, step: int, state: TrainState) -> None:
        """Ends the trace after its last step, once the devices are done."""
        if step == self._last:
            jax.block_until_ready(state)
            self.stop()

    def stop(self) -> None:
        """Ends the trace; it does not start again."""
        if self._is_running:
            jax.profiler.stop_trace()
        self._first, self._is_running = 0, False
