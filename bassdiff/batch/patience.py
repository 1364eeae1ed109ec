"""Stores that do not answer for a while: waiting for them, but not for ever."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from bassdiff.runtime.errors import Preempted

Result = TypeVar("Result")

# Trying again would not help.
_LASTING = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError),
    *(ImportError, TypeError, KeyError, AttributeError, NotImplementedError),
)
# Of HTTP: a request that timed out, and too many of them.
_PASSING_STATUS = (408, 429)
_FIRST_SECONDS, _LONGEST_SECONDS = 0.5, 30.0


class StoreUnavailable(Preempted):
    """A store did not answer for long; the command line exits with 42, to be begun again."""


def may_pass(error: Exception) -> bool:
    """Whether an error of a remote store may be over when one tries again."""
    if isinstance(error, _LASTING):
        return False
    # Clients of HTTP name it in one of these ways.
    status = getattr(error, "status", getattr(error, "code", None))
    try:
        number = int(status)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return True
    return not 400 <= number < 500 or number in _PASSING_STATUS


class Patience:
    """Tries again what failed, after ever longer pauses, until a time is over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Ends all waiting: whoever waits fails now."""
        self._given_up.set()

    def __call__(self, what: str, call: Callable[[], Result]) -> Result:
        """What `call` returns, in the end.

        Raises:
          StoreUnavailable: It failed for too long with errors that may pass.
        """
        deadline = time.monotonic() + self._seconds
        pause = _FIRST_SECONDS
        while True:
            try:
                return call()
            except Exception as error:
                if not may_pass(error):
                    raise
                # At random, so that many workers do not come back all at once.
                wait = pause * random.uniform(0.5, 1.0)
                if time.monotonic() + wait > deadline or self._given_up.wait(wait):
                    raise StoreUnavailable(
                        f"{what}: the store did not answer for {self._seconds:g} s "
                        f"({type(error).__name__}: {error}); the same command continues"
                    ) from error
                if pause == _FIRST_SECONDS:
                    print(
                        f"bassdiff: {what}: {type(error).__name__}: {error}; trying again for "
                        f"{self._seconds:g} s",
                        file=sys.stderr,
                    )
                pause = min(2.0 * pause, _LONGEST_SECONDS)
