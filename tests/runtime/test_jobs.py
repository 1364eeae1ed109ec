import os
import signal
import subprocess
import sys
import time

import jax
import pytest

from bassdiff.runtime import jobs
from bassdiff.runtime.errors import InputError, Preempted


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XLA_FLAGS": "", **environment},
    )


WAITS = """
import time
from bassdiff.runtime.jobs import Watchdog
with Watchdog() as watchdog:
    watchdog.expect("waiting for a friend", {allowed})
    time.sleep({taken})
    watchdog.expect("the rest", 60.0)
print("done")
"""


def test_what_takes_too_long_ends_the_process_with_42_and_says_where_it_hung():
    ended = run(WAITS.format(allowed=0.2, taken=30))
    assert ended.returncode == 42
    assert "bassdiff: waiting for a friend did not end in time" in ended.stderr
    # The line of the sleep, among the tracebacks of all threads.
    assert 'File "<string>", line 6' in ended.stderr


def test_what_comes_in_time_is_left_alone():
    ended = run(WAITS.format(allowed=20, taken=0.5))
    assert (ended.returncode, ended.stdout) == (0, "done\n")


def test_a_watchdog_that_is_not_needed_any_more_does_not_bite():
    with jobs.Watchdog() as watchdog:
        watchdog.expect("something", 0.3)
    time.sleep(0.5)


def test_a_resumable_job_that_is_asked_to_end_says_that_it_goes_on():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted, match="continues"), jobs.resumable_job():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "JAX_NUM_PROCESSES and JAX_PROCESS_ID must be whole numbers"),
        ({"JAX_NUM_PROCESSES": "two", "JAX_PROCESS_ID": "0"}, "must be whole numbers"),
        ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "2"}, "choose a number from 0 to 1"),
    ],
)
def test_a_job_that_is_described_badly_is_refused(monkeypatch, variables, words):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words), jobs.distributed_job():
        pass


def test_one_process_is_a_job_too():
    ended = run(
        "from bassdiff.runtime.jobs import agree, distributed_job, first_process_first\n"
        "with distributed_job():\n"
        "    import jax\n"
        "    agree('configuration', 'x')\n"
        "    with first_process_first('songs'):\n"
        "        print(jax.process_count())\n"
    )
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr


def test_a_defect_of_one_of_several_is_told_even_if_jax_cannot_start():
    ended = run(
        "import os, socket\n"
        "with socket.socket() as probe:\n"
        "    probe.bind(('127.0.0.1', 0))\n"
        "    address = '127.0.0.1:%d' % probe.getsockname()[1]\n"
        "os.environ['JAX_COORDINATOR_ADDRESS'] = address\n"
        "from bassdiff.runtime.jobs import distributed_job\n"
        "with distributed_job():\n"
        "    import jax\n"
        "    jax.devices()\n",
        JAX_NUM_PROCESSES="1",
        JAX_PROCESS_ID="0",
        JAX_PLATFORMS="nothing",
    )
    assert ended.returncode == 1
    assert "nothing" in ended.stderr


def test_who_is_asked_to_end_in_the_loop_is_told_and_lives_on():
    before = signal.getsignal(signal.SIGTERM)
    with jobs.end_requests() as is_asked:
        assert not is_asked()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        assert is_asked()
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_one_process_raises_is_passed_on():
    ended = run(
        "from bassdiff.runtime.jobs import distributed_job\n"
        "with distributed_job():\n"
        "    raise KeyError('mine')\n"
    )
    assert ended.returncode == 1
    assert "KeyError: 'mine'" in ended.stderr


def test_what_the_program_itself_does_wrong_is_not_blamed_on_another_process():
    failed, is_lost_peer = jax.errors.JaxRuntimeError, jobs.is_lost_peer
    assert is_lost_peer(failed("UNKNOWN: Gloo all-reduce failed: Connection closed by peer"))
    assert not is_lost_peer(failed("RESOURCE_EXHAUSTED: Out of memory"))
    assert not is_lost_peer(KeyError("mine"))
