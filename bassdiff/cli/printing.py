"""What commands say on standard output."""

from __future__ import annotations

import os
import sys


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
