"""Jobs in a line: one plays at a time, each user waits with few, and every one can be cancelled."""

from __future__ import annotations

import dataclasses
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bassdiff.runtime.errors import InputError

# Of the last steps, whose median says how long the others take.
_TIMED_STEPS = 15


class Cancelled(Exception):
    """The job was cancelled; its work ends where it reports."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
      stage: What it does, in plain words.
      done: Steps that are done.
      total: Steps in all; 0 where they are not counted.
      seconds_left: An estimate, or None before there is one.
    """

    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


class Job:
    """Work that waits, runs or has ended."""

    def __init__(self, owner: str) -> None:
        """A job of one user."""
        self.owner = owner
        self.future: Future[Any] = Future()
        self.progress = Progress("waiting")
        self._cancelled = threading.Event()
        self._steps: list[float] = []

    def report(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Says how far the work is.

        Raises:
          Cancelled: The job was cancelled.
        """
        if self._cancelled.is_set():
            raise Cancelled
        now = time.monotonic()
        if not total or stage != self.progress.stage or done <= self.progress.done:
            self._steps = [now]
        else:
            self._steps = [*self._steps, now][-_TIMED_STEPS:]
        left = None
        if len(self._steps) > 1:
            pairs = zip(self._steps, self._steps[1:], strict=False)
            left = (total - done) * statistics.median(b - a for a, b in pairs)
        self.progress = Progress(stage, done, total, left)

    def cancel(self) -> None:
        """Takes the job out of the line, or ends it when it next reports."""
        self._cancelled.set()
        self.future.cancel()

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.future.done()

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled.is_set()


class Jobs:
    """The line of all users."""

    def __init__(self, most: int = 16, most_of_one: int = 2) -> None:
        """An empty line.

        Args:
          most: Jobs that wait or run, of all users.
          most_of_one: The same of one user.
        """
        self._most, self._most_of_one = most, most_of_one
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bassdiff-app")
        self._line: list[Job] = []
        self._lock = threading.Lock()

    def submit(self, owner: str, work: Callable[[Job], Any]) -> Job:
        """Puts work at the end of the line.

        Args:
          owner: The user.
          work: Called with the job, to which it reports; its result is that of `job.future`.

        Raises:
          InputError: There are as many jobs as may be.
        """
        with self._lock:
            self._line = [job for job in self._line if not job.done]
            if sum(job.owner == owner for job in self._line) >= self._most_of_one:
                raise InputError(
                    f"{self._most_of_one} jobs of yours are waiting or running; wait for one, or "
                    "cancel it"
                )
            if len(self._line) >= self._most:
                raise InputError(
                    f"{self._most} jobs are waiting already; try again in a few minutes"
                )
            job = Job(owner)

            def run() -> Any:
                job.report("starting")
                return work(job)

            job.future = self._pool.submit(run)
            self._line.append(job)
        return job

    def ahead(self, job: Job) -> int:
        """How many jobs come before one; 0 when it runs."""
        with self._lock:
            line = [one for one in self._line if not one.done]
            return line.index(job) if job in line else 0

    def cancel(self, owner: str) -> int:
        """Cancels all jobs of a user, and returns how many there were."""
        with self._lock:
            mine = [job for job in self._line if job.owner == owner and not job.done]
        for job in mine:
            job.cancel()
        return len(mine)

    def busy(self, owner: str) -> bool:
        """Whether a user has a job that has not ended."""
        with self._lock:
            return any(job.owner == owner and not job.done for job in self._line)

    def close(self) -> None:
        """Cancels everything, and waits for what runs."""
        with self._lock:
            line, self._line = self._line, []
        for job in line:
            job.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)
