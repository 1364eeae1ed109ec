import queue
import threading
import time

from bassdiff.batch.workers import Budget, Workers


def collected(workers_done):
    return workers_done.get(timeout=10)


def test_tasks_are_run_and_errors_handed_on():
    done = queue.Queue()
    workers = Workers(2, lambda task, clock: 6 // task, lambda *pair: done.put(pair))
    for task in (1, 2, 0):
        workers.submit(task)
    results = dict(collected(done) for _ in range(3))
    assert (results[1], results[2]) == (6, 3)
    assert isinstance(results[0], ZeroDivisionError)
    workers.close(10)


def test_a_task_that_hangs_is_given_up_and_the_others_go_on():
    done, hang = queue.Queue(), threading.Event()

    def run(task, clock):
        return hang.wait() if task == "hangs" else task

    workers = Workers(1, run, lambda *pair: done.put(pair), limit_seconds=0.2)
    workers.submit("hangs")
    workers.submit("next")
    time.sleep(0.3)
    workers.give_up_late()
    results = dict(collected(done) for _ in range(2))
    assert isinstance(results["hangs"], TimeoutError)
    assert results["next"] == "next"
    hang.set()
    workers.close(10)
    assert done.empty()


def test_waiting_for_others_is_not_counted():
    done = queue.Queue()

    def run(task, clock):
        with clock.paused():
            time.sleep(0.3)
        return clock.seconds

    workers = Workers(1, run, lambda *pair: done.put(pair), limit_seconds=0.2)
    workers.submit("waits")
    time.sleep(0.25)
    workers.give_up_late()
    assert collected(done)[1] < 0.2
    workers.close(10)


def test_a_budget_is_not_exceeded_but_by_one_that_is_alone():
    budget, order, shares = Budget(10.0), [], {}

    def take(amount):
        (shares[amount],) = budget.take(amount)
        order.append(amount)

    take(6.0)
    threads = [threading.Thread(target=take, args=(amount,)) for amount in (30.0, 3.0)]
    for thread in threads:
        thread.start()
    threads[1].join(5)
    assert order == [6.0, 3.0]
    shares[6.0].give_back()
    time.sleep(0.05)
    assert order == [6.0, 3.0]
    # Twice is once.
    shares[6.0].give_back()
    time.sleep(0.05)
    assert order == [6.0, 3.0]
    shares[3.0].give_back()
    threads[0].join(5)
    assert order[-1] == 30.0


def test_rounding_blocks_nobody():
    budget = Budget(1.0)
    for share in budget.take(0.1, 0.1, 0.1):
        share.give_back()
    budget.take(2.0)


def test_a_task_that_is_given_up_frees_what_it_holds():
    done, hang, budget = queue.Queue(), threading.Event(), Budget(1.0)

    def run(task, clock):
        (share,) = budget.take(5.0)
        clock.if_late.append(share.give_back)
        hang.wait()
        share.give_back()

    workers = Workers(1, run, lambda *pair: done.put(pair), limit_seconds=0.1)
    workers.submit("hangs")
    time.sleep(0.2)
    workers.give_up_late()
    budget.take(5.0)[0].give_back()
    hang.set()
    workers.close(10)
