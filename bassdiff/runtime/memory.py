"""Gives memory back to the system."""

from __future__ import annotations

import contextlib
import ctypes


def return_freed() -> None:
    """Returns to the system what this process has freed and its C library keeps for later.

    Between stages that hold different large arrays, glibc keeps up to as much as these took, in
    pieces that the next stage cannot use. Other C libraries have no such call; nothing happens.
    """
    # Windows has no library of that name.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
