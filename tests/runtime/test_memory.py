import ctypes
import os
import platform
from pathlib import Path

import numpy as np
import pytest

from bassdiff.runtime.memory import return_freed


def held_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def no_library(name):
    raise OSError("not found")


@pytest.mark.parametrize("library", [lambda name: object(), no_library])
def test_without_the_call_nothing_happens(monkeypatch, library):
    monkeypatch.setattr(ctypes, "CDLL", library)
    return_freed()


if platform.libc_ver()[0] == "glibc":

    def test_what_was_freed_is_returned():
        # Small enough for the heap, with some left alive in between, which keep it from shrinking.
        blocks = [np.ones(8 << 10, np.uint8) for _ in range(25_000)]
        kept = blocks[::100]
        del blocks
        before = held_mb()
        return_freed()
        assert held_mb() < before - 100.0
        assert len(kept) == 250
