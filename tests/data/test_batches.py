import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grain
import numpy as np
import pytest

from bassdiff.data.batches import local_batches


class Noise(grain.transforms.RandomMap):
    """Index to noise of its own."""

    def random_map(self, index, rng):
        return {"index": np.int32(index), "noise": rng.random(8)}


def dataset():
    return grain.MapDataset.range(64).seed(3).shuffle().repeat(10).random_map(Noise())


def indices(first_index, num_batches, share=(0, 1)):
    batches = local_batches(dataset(), 8, first_index, share)
    return np.stack([next(batches)["index"] for _ in range(num_batches)])


@pytest.mark.parametrize("count", [2, 4, 8])
def test_global_batches_do_not_depend_on_the_number_of_processes(count):
    alone = indices(0, 4)
    shares = [indices(0, 4, (part, count)) for part in range(count)]
    assert all(share.shape == (4, 8 // count) for share in shares)
    np.testing.assert_array_equal(np.concatenate(shares, axis=1), alone)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_an_epoch_loses_and_repeats_nothing(count):
    shares = [indices(0, 8, (part, count)) for part in range(count)]
    assert sorted(np.concatenate(shares, axis=None)) == list(range(64))


def test_a_stream_continues_at_any_example_with_any_number_of_processes():
    alone = indices(0, 5)
    np.testing.assert_array_equal(indices(24, 2), alone[3:])
    halves = [indices(24, 2, (part, 2)) for part in range(2)]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), alone[3:])


class Slow(grain.transforms.Map):
    """Storage that takes its time to answer."""

    def map(self, index):
        time.sleep(0.03)
        return {"index": np.int32(index)}


def test_rows_are_read_side_by_side():
    """A batch takes as long as a few reads, not as long as all of its rows one by one."""
    batches = local_batches(grain.MapDataset.range(1000).map(Slow()), 128, 0, (0, 1))
    started = time.perf_counter()
    np.testing.assert_array_equal(next(batches)["index"], np.arange(128))
    assert time.perf_counter() - started < 0.25 * 128 * 0.03
    batches.close()


READS = """
import sys, time
import numpy as np
from test_batches import dataset
from bassdiff.data.batches import local_batches

if __name__ == "__main__":
    batches = local_batches(dataset(), 8, 16, (0, 2), num_workers=2)
    np.savez(sys.argv[1], *[next(batches)["noise"] for _ in range(12)])
    if sys.argv[2:]:
        print("read", flush=True)
        sys.stdin.readline()
        for _ in range(100):
            next(batches)
    import multiprocessing

    workers = multiprocessing.active_children()
    batches.close()
    assert [worker.exitcode for worker in workers] == [0, 0]
"""


def start(tmp_path, *words):
    """A process that reads by workers, and its folder's marker in their command lines."""
    script = tmp_path / "reads.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{READS}")
    command = [sys.executable, script, tmp_path / "read.npz", *words]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, **pipes, text=True)


def test_workers_read_what_threads_read_in_the_same_order(tmp_path):
    process = start(tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    batches = local_batches(dataset(), 8, 16, (0, 2))
    with np.load(tmp_path / "read.npz") as read:
        for name in read.files:
            np.testing.assert_array_equal(read[name], next(batches)["noise"])


def children(process):
    """The processes that a process has started, by Linux's own account."""
    found = []
    for tasks in Path(f"/proc/{process.pid}/task").glob("*/children"):
        found += tasks.read_text().split()
    return [number for number in found if b"spawn_main" in cmdline(number)]


def cmdline(number):
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells of children")
def test_workers_of_a_process_that_was_killed_end_too(tmp_path):
    process = start(tmp_path, "stay")
    assert process.stdout.readline() == "read\n"
    workers = children(process)
    assert len(workers) == 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(b"spawn_main" in cmdline(number) for number in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells of children")
def test_a_worker_that_is_killed_ends_the_job_which_may_go_on(tmp_path):
    process = start(tmp_path, "stay")
    assert process.stdout.readline() == "read\n"
    os.kill(int(children(process)[0]), signal.SIGKILL)
    _, errors = process.communicate("go on\n", timeout=60)
    assert process.returncode == 1
    assert "Preempted: a process that reads data was killed" in errors
