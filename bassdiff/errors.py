"""What goes wrong through no fault of the program; apart from the types, which need JAX."""


class InputError(ValueError):
    """Bad input, usage or configuration.

    The message is one sentence that names the thing and its remedy; the command
    line prints it without a traceback and exits with 2.
    """


class GateFailed(Exception):
    """An evaluation fell short of what was asked of it; the command line exits with 3."""


class SilentSong(InputError):
    """A song without a bass, or with nothing else: a job over many songs leaves it out."""
