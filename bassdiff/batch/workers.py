"""Threads that read and write while the accelerator plays, and are given up when they hang."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")


class Clock:
    """How long a task has been worked on.

    Attributes:
      if_late: Called if the task is given up, to free what it holds.
    """

    def __init__(self) -> None:
        self.if_late: list[Callable[[], None]] = []
        self._before, self._since = 0.0, time.monotonic()
        self._lock = threading.Lock()
        self._is_paused = False

    @property
    def seconds(self) -> float:
        """Time so far, without what was paused."""
        with self._lock:
            now = 0.0 if self._is_paused else time.monotonic() - self._since
            return self._before + now

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """A wait that is not the task's own fault."""
        with self._lock:
            self._before += time.monotonic() - self._since
            self._is_paused = True
        try:
            yield
        finally:
            with self._lock:
                self._since, self._is_paused = time.monotonic(), False


class Workers(Generic[Task]):
    """Threads that run one function on tasks.

    They are daemons: a read that hangs for ever, as on a disk that has gone, keeps neither the job
    nor its end waiting.
    """

    def __init__(
        self,
        count: int,
        run: Callable[[Task, Clock], Any],
        done: Callable[[Task, Any], None],
        limit_seconds: float = float("inf"),
    ) -> None:
        """Starts threads.

        Args:
          count: How many tasks are worked on at once.
          run: The function.
          done: Called, in any thread, with a task and what came of it: a result, the exception
            that was raised, or a `TimeoutError`.
          limit_seconds: A task that takes longer is given up.
        """
        self._run, self._done, self._limit = run, done, limit_seconds
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._active: dict[int, tuple[Task, Clock]] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._threads = [self._start() for _ in range(count)]

    def submit(self, task: Task) -> None:
        """Queues a task."""
        self._tasks.put(task)

    def give_up_late(self) -> None:
        """Ends, with a `TimeoutError`, the tasks whose time is over; to be called now and then."""
        with self._lock:
            late = [n for n, (_, clock) in self._active.items() if clock.seconds > self._limit]
            given_up = [self._active.pop(number) for number in late]
        for task, clock in given_up:
            for free in clock.if_late:
                free()
            # Its thread may never come back.
            self._threads.append(self._start())
            self._done(task, TimeoutError(f"took longer than {self._limit:g} s"))

    def close(self, seconds: float) -> None:
        """Ends the threads once they have done what they are at; waits so long at most."""
        for _ in self._threads:
            self._tasks.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        return thread

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            number, clock = next(self._numbers), Clock()
            with self._lock:
                self._active[number] = task, clock
            try:
                result = self._run(task, clock)
            except Exception as error:
                result = error
            with self._lock:
                is_late = self._active.pop(number, None) is None
            if is_late:
                # Another thread has taken this one's place.
                return
            self._done(task, result)
            # Waiting for the next task, it must not hold on to a song.
            del task, result


class Share:
    """A part of a budget that is taken until it is given back, which may be done twice."""

    def __init__(self, budget: Budget, amount: float) -> None:
        self._budget, self._amount = budget, amount
        self._lock = threading.Lock()

    def give_back(self) -> None:
        """Frees it."""
        with self._lock:
            amount, self._amount = self._amount, 0.0
        self._budget._give_back(amount)


class Budget:
    """An amount that tasks share; one that needs more than there is waits until it is alone."""

    def __init__(self, amount: float) -> None:
        self._amount, self._used = amount, 0.0
        self._changed = threading.Condition()
        self._is_over = False

    def take(self, *amounts: float) -> list[Share]:
        """Waits until so much is free; amounts that are taken together do not block each other.

        Raises:
          TimeoutError: There is no use in waiting any more.
        """
        amount = sum(amounts)
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_over or not self._used or self._used + amount <= self._amount
            )
            if self._is_over:
                raise TimeoutError("the job has ended")
            self._used += amount
        return [Share(self, amount) for amount in amounts]

    def end(self) -> None:
        """Keeps nobody waiting, for the job has ended."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _give_back(self, amount: float) -> None:
        with self._changed:
            self._used -= amount
            # No rest of rounding keeps a large share waiting.
            if self._used < 1e-6:
                self._used = 0.0
            self._changed.notify_all()
