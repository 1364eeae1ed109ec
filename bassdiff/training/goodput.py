"""Goodput: how a run's time divides into training, waiting, saving and repeated work."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

KINDS = ("compile", "data_wait", "checkpoint", "validation", "rollback")


class Goodput:
    """Seconds by activity; time outside of `KINDS` is productive.

    Args:
      lost_steps: Steps that an earlier process took after its last checkpoint.
    """

    def __init__(self, lost_steps: int = 0) -> None:
        self._started = time.perf_counter()
        self._seconds = dict.fromkeys(KINDS, 0.0)
        self.lost_steps = lost_steps

    @contextlib.contextmanager
    def spent(self, kind: str, but_not_if: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Counts the time inside the block as `kind`.

        Args:
          kind: One of `KINDS`.
          but_not_if: Called at the end of the block; if true, the time overlapped unfinished work
            and is not counted.
        """
        started = time.perf_counter()
        try:
            yield
        finally:
            if not but_not_if():
                self._seconds[kind] += time.perf_counter() - started

    def __getitem__(self, kind: str) -> float:
        """Seconds spent on `kind` since the start."""
        return self._seconds[kind]

    def record(self) -> dict[str, float]:
        """Seconds since the start by kind, the productive share, and steps lost."""
        elapsed = time.perf_counter() - self._started
        productive = elapsed - sum(self._seconds.values())
        seconds = {"productive": productive, **self._seconds}
        return {
            **{f"goodput/{kind}_seconds": value for kind, value in seconds.items()},
            "goodput/lost_steps": float(self.lost_steps),
            "goodput/productive_share": productive / elapsed,
        }
