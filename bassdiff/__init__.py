"""bassdiff listens to a music mix and plays a bass line that belongs to it.

generator = bassdiff.load()
bass = generator.generate(mix, sample_rate_hz, style="my_bass.wav")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bassdiff.diffusion.settings import Sampling
    from bassdiff.inference.control import Control
    from bassdiff.inference.generator import BassGenerator, load
    from bassdiff.inference.inputs import Style, Task, continuation, edit, retimbre, variation
    from bassdiff.runtime.errors import InputError

__version__ = "0.1.0"
_HOMES = {
    "BassGenerator": "inference.generator",
    "Control": "inference.control",
    "InputError": "runtime.errors",
    "Sampling": "diffusion.settings",
    "Style": "inference.inputs",
    "Task": "inference.inputs",
    "continuation": "inference.inputs",
    "edit": "inference.inputs",
    "load": "inference.generator",
    "retimbre": "inference.inputs",
    "variation": "inference.inputs",
}
__all__ = [
    "BassGenerator",
    "Control",
    "InputError",
    "Sampling",
    "Style",
    "Task",
    "__version__",
    "continuation",
    "edit",
    "load",
    "retimbre",
    "variation",
]


def __getattr__(name: str) -> Any:
    """Import the heavy rooms only when they are asked for, so that `--help` answers at once."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"bassdiff.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'bassdiff' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
