"""Errors that are not defects of the program, and their exit codes."""

EXIT_DEFECT = 1
EXIT_INPUT = 2
EXIT_GATE = 3
EXIT_SOME_FAILED = 4
# Clusters restart a job that ends with this code, or that a signal ended (127 to 255).
EXIT_RETRY = 42
EXIT_INTERRUPTED = 130


class InputError(ValueError):
    """Bad input, usage or configuration.

    The message is one sentence that names the thing and its remedy; the command
    line prints it without a traceback and exits with 2.
    """


class GateFailed(Exception):
    """An evaluation did not pass its gate; the command line exits with 3."""


class SomeFailed(Exception):
    """Some songs of a job failed; the command line exits with 4."""


class UnusableSong(InputError):
    """A song that a job over many songs leaves out, such as one without a bass or a damaged one."""


class Preempted(Exception):
    """The job was asked to end and saved its work; the command line exits with 42."""


def printable(text: str) -> str:
    r"""A text as one line without signs that steer a terminal: names of files may hold any.

    >>> print(printable(chr(27) + "[2J" + chr(10) + "a.wav"))
    \x1b[2J\na.wav
    """
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def exit_code(error: BaseException) -> int:
    """The exit code of a process that ends with `error`.

    >>> exit_code(InputError("no such file")), exit_code(Preempted()), exit_code(KeyError())
    (2, 42, 1)
    """
    for kind, code in (
        (InputError, EXIT_INPUT),
        (GateFailed, EXIT_GATE),
        (SomeFailed, EXIT_SOME_FAILED),
        (Preempted, EXIT_RETRY),
        (KeyboardInterrupt, EXIT_INTERRUPTED),
    ):
        if isinstance(error, kind):
            return code
    return EXIT_DEFECT
