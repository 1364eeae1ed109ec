"""When a training run logs, validates, saves and gives up."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Intervals and limits of a run, in optimiser steps.

    Attributes:
      num_steps: Length of the whole run, including the steps of earlier processes.
      checkpoint_every: Interval of checkpoints; every validation saves one too.
      log_every: Interval of log records.
      validate_every: Interval of validations and exports of weights.
      evaluate_every: Interval of evaluations, a multiple of `validate_every`; 0 for none.
      profile: The first and last step of a profiler trace, or None.
      max_skips: Skipped steps in a row after which the run returns to its last checkpoint.
      max_rollbacks: Returns to a checkpoint after which the run stops.
      step_seconds: A step that takes longer has hung; the process ends.
      start_seconds: The same for starting, compiling and validating, which may take minutes.
    """

    num_steps: int
    checkpoint_every: int = 500
    log_every: int = 20
    validate_every: int = 1000
    evaluate_every: int = 0
    profile: tuple[int, int] | None = None
    max_skips: int = 50
    max_rollbacks: int = 2
    step_seconds: float = 600.0
    start_seconds: float = 3600.0

    def is_due(self, every: int, step: int) -> bool:
        """Whether an action with this interval is due after `step`; all are after the last one."""
        return bool(every) and (step % every == 0 or step == self.num_steps)
