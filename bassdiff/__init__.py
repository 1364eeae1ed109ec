"""bassdiff listens to a music mix and plays a bass line that belongs to it."""

from __future__ import annotations

from typing import Any

__all__ = ["InputError", "__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the heavy rooms only when they are asked for, so that `--help` answers at once."""
    if name == "load":
        from bassdiff.inference.generator import load

        return load
    if name == "InputError":
        from bassdiff.runtime.errors import InputError

        return InputError
    raise AttributeError(f"module 'bassdiff' has no attribute {name!r}")
