import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.faults
HEAR = """
import numpy as np
from bassdiff.metrics.notes import onset_times, beat_agreement
envelope = np.tile(np.r_[np.full(3, 6.0), np.zeros(40)], 20)
assert len(onset_times(envelope)) > 4
assert beat_agreement(envelope, envelope).beat_f1 == 1.0
"""


def hear(cache, count):
    """Exit codes of so many processes that hear a bass at once."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen([sys.executable, "-c", HEAR], env=environment) for _ in range(count)
    ]
    return [process.wait(300) for process in processes]


def test_processes_that_compile_at_once_leave_a_cache_that_works(tmp_path):
    assert hear(tmp_path, 4) == [0] * 4
    assert hear(tmp_path, 1) == [0]
