"""Decisions that all processes of a job take together; a diverging one would hang the others."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

T = TypeVar("T")

# A process fails after waiting this long for the others.
_PATIENCE_SECONDS = 600
# Names of barriers must be unique; all processes make the same calls, so their counters agree.
_meetings = itertools.count()


def on_all_processes(holds: bool) -> bool:
    """Whether `holds` is true on all processes; waits for all of them."""
    if jax.process_count() == 1:
        return holds
    everyone = set(range(jax.process_count()))
    name = f"agreement_{next(_meetings)}"
    ocp.multihost.sync_global_processes(name, timeout=_PATIENCE_SECONDS, processes=everyone)
    return bool(np.all(multihost_utils.process_allgather(np.int32(holds))))


def attempt(read: Callable[[], T]) -> tuple[T | None, str]:
    """The result of `read`, or None and the fault; None on all processes if it fails on one.

    `read` must not wait for other processes, since it may fail on one only.
    """
    value, fault = None, ""
    with _afterthoughts_unprinted():
        try:
            value = read()
        except Exception as error:  # Damaged files can raise any type.
            fault = f"{type(error).__name__}: {error}".split("\n")[0][:120]
        if fault:
            gc.collect()  # Frees partly read arrays before the next attempt.
    if on_all_processes(not fault):
        return value, ""
    return None, fault or "another process cannot read it"


@contextlib.contextmanager
def _afterthoughts_unprinted() -> Iterator[None]:
    """Suppresses messages of Orbax's unfinished coroutines when they are collected."""
    printing, sys.unraisablehook = sys.unraisablehook, lambda _: None
    log = logging.getLogger("asyncio")
    silent, log.disabled = log.disabled, True
    try:
        yield
    finally:
        sys.unraisablehook, log.disabled = printing, silent
