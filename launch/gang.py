"""Runs a job of several processes on this machine, as a JobSet does on many: all or none.

    python -m launch.gang --processes 2 -- bassdiff train diffusion --config ... --workdir ...

When one process fails, the others are ended too. If its exit code asks for a restart (42, or 127 to
255: ended by a signal), all of them are started again and continue from their last checkpoint; any
other code ends the gang with that code.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from bassdiff.runtime.errors import EXIT_RETRY

POLL_SECONDS = 0.05
# A process that fails takes others down with it, within moments and in any order.
SETTLE_SECONDS = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the gang and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--restarts", type=int, default=10, help="at most")
    parser.add_argument(
        "--grace-seconds", type=float, default=30.0, help="from SIGTERM to SIGKILL, as in a cluster"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args(argv)
    command = [word for i, word in enumerate(arguments.command) if i or word != "--"]
    if not command or arguments.processes < 1:
        parser.error("name a command after --, and 1 process or more")
    for attempt in range(arguments.restarts + 1):
        code, is_ended = run_once(command, arguments.processes, arguments.grace_seconds)
        print(f"gang: attempt {attempt + 1} ended with {code}", file=sys.stderr, flush=True)
        if is_ended or not wants_restart(code):
            break
    return code


def wants_restart(code: int) -> bool:
    """Whether a cluster starts a job again that ended with this exit code."""
    return code == EXIT_RETRY or 127 <= code <= 255


def _told_by_itself(code: int) -> tuple[bool, bool]:
    """Sorts exit codes by cause: a defect, an orderly end, being ended by another process."""
    return wants_restart(code), code != EXIT_RETRY


def run_once(command: Sequence[str], num_processes: int, grace_seconds: float) -> tuple[int, bool]:
    """Starts all processes and waits until all are done or one has failed and the rest are ended.

    Returns:
      0 if none failed. Otherwise an exit code of the processes that failed at about the same time:
      one that a restart would not mend, if there is one, else 42, else any. And whether the gang
      itself was asked to end.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            command,
            env={
                **os.environ,
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(num_processes),
                "JAX_PROCESS_ID": str(number),
            },
        )
        for number in range(num_processes)
    ]
    asked: list[float] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        asked.append(time.monotonic())
        for process in processes:
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not _failures(processes) and any(process.poll() is None for process in processes):
            time.sleep(POLL_SECONDS)
            if asked and time.monotonic() > asked[0] + grace_seconds:
                for process in processes:
                    process.kill()
        if _failures(processes):
            time.sleep(SETTLE_SECONDS)
        return min(_failures(processes), key=_told_by_itself, default=0), bool(asked)
    finally:
        _end(processes, grace_seconds)
        for number, handler in before.items():
            signal.signal(number, handler)


def _failures(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Exit codes but 0, as a shell gives them: of what a signal ended, 128 and its number."""
    codes = [process.poll() or 0 for process in processes]
    return [128 - code if code < 0 else code for code in codes if code]


def _end(processes: Sequence[subprocess.Popen[bytes]], grace_seconds: float) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace_seconds
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
