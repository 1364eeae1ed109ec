import threading

import pytest

from bassdiff.app.jobs import Cancelled, Jobs
from bassdiff.runtime.errors import InputError


@pytest.fixture
def jobs():
    line = Jobs(most=3, most_of_one=2)
    yield line
    line.close()


class Gate:
    """Work that reports until it is let through."""

    def __init__(self):
        self.begun, self.open, self.ended = threading.Event(), threading.Event(), []

    def __call__(self, job):
        self.begun.set()
        for step in range(10_000):
            try:
                job.report("playing", step, 10_000)
            except Cancelled:
                self.ended.append("cancelled")
                raise
            if self.open.wait(0.005):
                return "played"
        return "never let through"


def test_one_runs_at_a_time_first_come_first_served(jobs):
    first, second = Gate(), Gate()
    jobs_ = [jobs.submit("a", first), jobs.submit("b", second)]
    assert first.begun.wait(5) and not second.begun.is_set()
    assert [jobs.ahead(job) for job in jobs_] == [0, 1]
    first.open.set()
    assert jobs_[0].future.result(5) == "played"
    assert second.begun.wait(5)
    second.open.set()
    assert jobs_[1].future.result(5) == "played"


def test_a_running_job_ends_at_its_next_step_and_a_waiting_one_never_runs(jobs):
    running, waiting = Gate(), Gate()
    first, second = jobs.submit("a", running), jobs.submit("b", waiting)
    assert running.begun.wait(5)
    assert jobs.cancel("b") == 1 and second.done
    assert not first.done
    assert jobs.cancel("a") == 1
    with pytest.raises(Cancelled):
        first.future.result(5)
    assert running.ended == ["cancelled"]
    assert not waiting.begun.is_set()


def test_there_are_limits_for_each_and_for_all(jobs):
    gates = [Gate() for _ in range(4)]
    jobs.submit("a", gates[0])
    jobs.submit("a", gates[1])
    with pytest.raises(InputError, match="2 jobs of yours"):
        jobs.submit("a", gates[2])
    jobs.submit("b", gates[2])
    with pytest.raises(InputError, match="3 jobs are waiting"):
        jobs.submit("c", gates[3])
    jobs.cancel("a")
    for gate in gates:
        gate.open.set()


def test_time_left_is_that_of_the_steps_before(jobs, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("bassdiff.app.jobs.time.monotonic", lambda: now[0])
    left = []

    def work(job):
        # Compiling takes long, and is not a step.
        for step, lasted in ((1, 30.0), (2, 2.0), (3, 2.0), (4, 2.0)):
            now[0] += lasted
            job.report("playing", step, 10)
            left.append(job.progress.seconds_left)

    jobs.submit("a", work).future.result(5)
    assert left == [None, 16.0, 14.0, 12.0]


def test_an_error_is_that_of_the_job_alone(jobs):
    def fail(job):
        raise InputError("bad")

    failed = jobs.submit("a", fail)
    with pytest.raises(InputError, match="bad"):
        failed.future.result(5)
    assert jobs.submit("a", lambda job: "fine").future.result(5) == "fine"
