"""The verb `completion`: a script by which a shell completes options."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bassdiff.cli.printing import say

_SHELLS = ("bash", "zsh", "fish")


def completion(arguments: argparse.Namespace) -> None:
    """Prints a script by which bash, zsh or fish complete the options of bassdiff."""
    import shtab

    say(shtab.complete(arguments.parser(), arguments.shell))


def completion_words(
    parser: Callable[[], argparse.ArgumentParser],
) -> Callable[[argparse.ArgumentParser], None]:
    """Adds the options of `completion`.

    Args:
      parser: Makes the parser of the whole command line.
    """

    def words(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("shell", choices=_SHELLS, help="the shell that reads the script")
        sub.set_defaults(parser=parser)

    return words
