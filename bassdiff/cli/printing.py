"""What commands say on standard output."""

from __future__ import annotations

import os
import sys


def keep_streams() -> None:
    """Opens the null device for standard streams that were closed.

    Python has None for them, which progress bars cannot write to, and what is meant for a closed
    stream would be written to the next file that is opened.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        mode = "w" if number else "r"
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def say(text: str) -> None:
    """Prints a text, in whatever encoding there is.

    Whoever reads it, as `head` does, may stop before its end.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        # Python flushes it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
