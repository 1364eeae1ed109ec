"""One process of a small training job that can be told to fail: `worker.py WORKDIR [OPTIONS]`.

A fault is KIND@STEP:PROCESS. It happens once, not again after a restart.
"""

import argparse
import os
import runpy
import signal
import sys
import time
from pathlib import Path

from bassdiff.runtime.errors import exit_code
from bassdiff.runtime.jobs import agree, distributed_job


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--fsdp", type=int, default=1)
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--step-seconds", type=float, default=5.0)
    parser.add_argument("--config", default="")
    arguments = parser.parse_args()
    try:
        with distributed_job(start_seconds=60, heartbeat_seconds=10, shutdown_seconds=10):
            run(arguments)
    except Exception as error:
        print(f"worker: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(exit_code(error))


def run(arguments):
    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    from bassdiff.training.loop import train
    from bassdiff.training.schedule import Schedule

    shared = runpy.run_path(str(Path(__file__).with_name("conftest.py")))

    # As a user's configuration file may differ from host to host.
    agree("configuration", arguments.config.format(process=jax.process_index()))
    faults = [Fault(word, arguments.workdir) for word in arguments.fault]
    reached = multihost_utils.reached_preemption_sync_point

    def after(step):
        for fault in faults:
            fault.strike(step, jax.process_index())
        # Real steps last long enough for a signal to be noticed, which takes about a second.
        time.sleep(0.7 * any(fault.kind == "term" and fault.mark.exists() for fault in faults))
        return reached(step)

    # The loop asks this after every step, on every process.
    multihost_utils.reached_preemption_sync_point = after
    misses_one = any(word == f"skip:{jax.process_index()}" for word in arguments.fault)
    state = train(
        shared["Regression"](),
        shared["make_rows"](),
        arguments.workdir,
        Schedule(
            num_steps=arguments.steps - misses_one,
            checkpoint_every=4,
            log_every=2,
            validate_every=1000,
            step_seconds=arguments.step_seconds,
            start_seconds=60.0,
        ),
        seed=5,
        batch_size=16,
        mesh_shape=(-1, arguments.fsdp),
        progress=False,
    )
    whole = multihost_utils.process_allgather(state, tiled=True)
    if jax.process_index() == 0:
        leaves = jax.tree.leaves(whole)
        np.savez(arguments.workdir / "final.npz", *[np.asarray(leaf) for leaf in leaves])


class Fault:
    """What goes wrong, when and where."""

    def __init__(self, word, workdir):
        self.kind, _, rest = word.partition("@")
        self.step, self.process = (int(n) for n in rest.split(":")) if rest else (-1, -1)
        self.mark = workdir / f"fault-{word.replace('@', '-').replace(':', '-')}"

    def strike(self, step, process):
        if (step, process) != (self.step, self.process) or self.mark.exists():
            return
        self.mark.parent.mkdir(parents=True, exist_ok=True)
        self.mark.touch()
        if self.kind == "raise":
            raise RuntimeError("this process has a defect")
        if self.kind == "hang":
            time.sleep(3600)
        number = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}[self.kind]
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
