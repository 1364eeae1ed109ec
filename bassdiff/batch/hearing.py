"""What is heard in a song before it is played to, on CPUs whatever plays.

Readers have no share in the accelerator, and with Ray they are on machines of their own: so styles
and lines are encoded on a CPU everywhere, which rounds alike.
"""

from __future__ import annotations

import jax

from bassdiff.diffusion.settings import Sampling
from bassdiff.inference.conditioning import Preparation
from bassdiff.inference.hearing import Heard, hear
from bassdiff.inference.inputs import Task
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import Weights
from bassdiff.runtime.errors import InputError


class Hearing:
    """Hears tasks; may be called by several threads at once."""

    def __init__(self, weights: Weights, defaults: Sampling) -> None:
        """Puts the bass codec on a CPU.

        Args:
          weights: Of which this is the codec.
          defaults: Settings where a task has none.

        Raises:
          InputError: JAX may use no CPU.
        """
        try:
            self._device = jax.local_devices(backend="cpu")[0]
        except RuntimeError as error:
            raise InputError(
                "JAX_PLATFORMS leaves out the CPU, by which songs are read; add it, as in cuda,cpu"
            ) from error
        self._defaults = defaults
        with jax.default_device(self._device):
            self._preparation = Preparation(Codec(weights.bass_codec))

    def __call__(self, task: Task) -> Heard:
        """Reads and checks all that a task brings.

        Raises:
          InputError: Something of it cannot be used.
        """
        with jax.default_device(self._device):
            return hear(task, self._defaults, self._preparation)
