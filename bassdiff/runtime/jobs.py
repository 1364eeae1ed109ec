"""Long jobs: several hosts, signals, deadlines and exit codes."""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, NoReturn

from bassdiff.runtime.errors import EXIT_DEFECT, EXIT_RETRY, InputError, Preempted, exit_code

# Variables that JAX itself reads if it detects no cluster.
COORDINATOR, NUM_PROCESSES, PROCESS_ID = (
    *("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"),
)


@contextlib.contextmanager
def resumable_job() -> Iterator[None]:
    """A job of one process that can be resumed: SIGTERM ends it with `Preempted`."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Preempted("asked to end; the same command continues where this one stopped")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def distributed_job(
    start_seconds: int = 300, heartbeat_seconds: int = 30, shutdown_seconds: int = 60
) -> Iterator[None]:
    """A job of one or many processes, which ends on all of them when it ends on one.

    Where a TPU pod or another cluster is found, or the variables `JAX_COORDINATOR_ADDRESS`,
    `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID` are set, processes find each other; otherwise this is
    a `resumable_job` of one. Several processes that are asked to end notice it in the training
    loop only, where they can agree on a step.

    An error on one of several processes would leave the others waiting forever, and its own
    interpreter too. It therefore ends the process at once, with its exit code.

    Args:
      start_seconds: Time for the processes to find each other.
      heartbeat_seconds: A process without a heartbeat for this long is dead; the others end.
      shutdown_seconds: Time for the others to finish.

    Raises:
      InputError: The variables do not describe a job.
    """
    import jax

    is_alone = not _initialize(
        initialization_timeout=start_seconds,
        heartbeat_timeout_seconds=heartbeat_seconds,
        shutdown_timeout_seconds=shutdown_seconds,
    )
    if is_alone:
        with resumable_job():
            yield
        return
    try:
        yield
    except BaseException as error:
        _end(error)
    jax.distributed.shutdown()


def _initialize(**limits: Any) -> bool:
    """Connects to the other processes; returns whether there may be any."""
    import jax

    if COORDINATOR not in os.environ:
        try:
            jax.distributed.initialize(**limits)
        except ValueError:
            # No cluster was detected.
            return False
        except RuntimeError as error:
            # JAX was used before, as in a notebook.
            if "before any JAX" not in str(error):
                raise
            return False
        return True
    try:
        count, number = (int(os.environ[name]) for name in (NUM_PROCESSES, PROCESS_ID))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{COORDINATOR} is set, so {NUM_PROCESSES} and {PROCESS_ID} must be whole numbers; "
            "set all three or none"
        ) from error
    if not 0 <= number < count:
        raise InputError(f"{PROCESS_ID} is {number}; choose a number from 0 to {count - 1}")
    jax.distributed.initialize(os.environ[COORDINATOR], count, number, **limits)
    return True


@contextlib.contextmanager
def end_requests() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether this process has been asked to end.

    In a job of several processes that is always no: there JAX itself takes SIGTERM and lets all
    agree on a step (`multihost_utils.reached_preemption_sync_point`).
    """
    import jax

    asked = threading.Event()
    is_mine = threading.current_thread() is threading.main_thread()
    if jax.distributed.is_initialized() or not is_mine:
        yield asked.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def is_lost_peer(error: BaseException) -> bool:
    """Whether one of several processes probably failed because another one is gone.

    Every transport words this differently, mostly as an unknown or internal error. All errors of
    the runtime therefore count, except kinds that the program itself causes and would cause again.
    """
    import jax

    own = ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED")
    return isinstance(error, jax.errors.JaxRuntimeError) and not str(error).startswith(own)


def _end(error: BaseException) -> NoReturn:
    code = EXIT_RETRY if is_lost_peer(error) else exit_code(error)
    if code == EXIT_DEFECT or is_lost_peer(error):
        traceback.print_exception(error)
    else:
        print(f"bassdiff: {str(error) or 'interrupted'}", file=sys.stderr)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)


def agree(what: str, text: str) -> None:
    """Checks that all processes were given the same text, such as their configuration.

    Raises:
      InputError: On all of them, if one was not.
    """
    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    digests = np.asarray(multihost_utils.process_allgather(digest))
    other = np.flatnonzero(np.any(digests != digests[0], axis=1))
    if other.size:
        raise InputError(
            f"process {other[0]} has another {what} than process 0; start all processes with the "
            "same command and files"
        )


@contextlib.contextmanager
def first_process_first(what: str) -> Iterator[None]:
    """Lets process 0 do `what` before the others, which share its disk and find it done."""
    import jax
    from jax.experimental import multihost_utils

    if jax.process_index() > 0:
        multihost_utils.sync_global_devices(what)
    yield
    if jax.process_index() == 0:
        multihost_utils.sync_global_devices(what)


class Watchdog:
    """Ends the process when a step does not end in time.

    On a pod, a process that waits for a lost one waits forever. Ended with 42, the job is restarted
    from its last checkpoint. The tracebacks of all threads show where it hung.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._what, self._deadline = "", float("inf")
        self._is_over = False

    def __enter__(self) -> Watchdog:
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()

    def expect(self, what: str, seconds: float) -> None:
        """Sets the step in progress, `what`, and the seconds after which it must have ended."""
        with self._changed:
            self._what, self._deadline = what, time.monotonic() + seconds
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_over:
                left = self._deadline - time.monotonic()
                if left <= 0.0:
                    self._bite()
                self._changed.wait(None if left == float("inf") else left)

    def _bite(self) -> None:
        print(
            f"bassdiff: {self._what} did not end in time; stopping, so that the job can continue "
            "from its last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
        os._exit(EXIT_RETRY)
