import os
import subprocess
import sys

import pytest

HEAR = """
import numpy as np
from bassdiff.metrics.notes import onset_times, beat_agreement
envelope = np.tile(np.r_[np.full(3, 6.0), np.zeros(40)], 20)
assert len(onset_times(envelope)) > 4
assert beat_agreement(envelope, envelope).beat_f1 == 1.0
"""


def hear(cache, count):
    """Exit codes of so many processes that hear a bass at once."""
    cache.mkdir(exist_ok=True)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen([sys.executable, "-c", HEAR], env=environment) for _ in range(count)
    ]
    return [process.wait(300) for process in processes]


@pytest.mark.faults
def test_processes_that_compile_at_once_leave_a_cache_that_works(tmp_path):
    assert hear(tmp_path, 4) == [0] * 4
    assert hear(tmp_path, 1) == [0]


@pytest.mark.faults
def test_a_damaged_file_is_compiled_anew(tmp_path):
    assert hear(tmp_path, 1) == [0]
    kept = sorted((tmp_path / "bassdiff").glob("*/*.nb[ic]"))
    assert len(kept) > 10
    for number, path in enumerate(kept):
        content = bytearray(path.read_bytes())
        content[len(content) // 2 :: 7] = b"x" * len(content[len(content) // 2 :: 7])
        path.write_bytes((bytes(content), b"", b"junk")[number % 3])
    assert hear(tmp_path, 1) == [0]
    # And whole again, so that the next one finds all it needs.
    assert {path.name for path in kept} <= {
        path.name for path in (tmp_path / "bassdiff").glob("*/*.nb[ic]")
    }


def test_only_what_changed_is_dropped(tmp_path):
    from bassdiff.audio.compiled_librosa import drop_damaged, remember

    (tmp_path / "core").mkdir()
    whole, damaged, strange = (tmp_path / "core" / f"{name}.nbc" for name in "wds")
    whole.write_bytes(b"whole")
    damaged.write_bytes(b"whole")
    remember(tmp_path)
    damaged.write_bytes(b"whol?")
    strange.write_bytes(b"left by a process that was killed")
    drop_damaged(tmp_path)
    assert list((tmp_path / "core").iterdir()) == [whole]
    (tmp_path / "sums.json").write_bytes(b"[1")
    drop_damaged(tmp_path)
    assert not list((tmp_path / "core").iterdir())
