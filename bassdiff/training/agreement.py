"""What the processes of a job decide together: one that went its own way would hang the others."""

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

# A process that has waited this long for the others fails instead of waiting for ever.
_PATIENCE_SECONDS = 600
# All processes make the same calls, so they count alike; a barrier's name is good for once.
_meetings = itertools.count()


def on_all_processes(holds: bool) -> bool:
    """Whether `holds` is true on all processes; none goes on before all have come."""
    if jax.process_count() == 1:
        return holds
    everyone = set(range(jax.process_count()))
    name = f"agreement_{next(_meetings)}"
    ocp.multihost.sync_global_processes(name, timeout=_PATIENCE_SECONDS, processes=everyone)
    return bool(np.all(multihost_utils.process_allgather(np.int32(holds))))


def attempt(read: Callable[[], T]) -> tuple[T | None, str]:
    """What `read` returns, or None and what went wrong; None on all processes if on one.

    `read` must not itself wait for other processes, since it may fail in one alone.
    """
    value, fault = None, ""
    with _afterthoughts_unprinted():
        try:
            value = read()
        except Exception as error:  # What damage makes a library raise can be of any type.
            fault = f"{type(error).__name__}: {error}".split("\n")[0][:120]
        if fault:
            gc.collect()  # Arrays that were half way here would crowd out those tried next.
    if on_all_processes(not fault):
        return value, ""
    return None, fault or "another process cannot read it"


@contextlib.contextmanager
def _afterthoughts_unprinted() -> Iterator[None]:
    """Keeps quiet what Orbax's unfinished coroutines say when they are cleared away."""
    printing, sys.unraisablehook = sys.unraisablehook, lambda _: None
    log = logging.getLogger("asyncio")
    silent, log.disabled = log.disabled, True
    try:
        yield
    finally:
        sys.unraisablehook, log.disabled = printing, silent
