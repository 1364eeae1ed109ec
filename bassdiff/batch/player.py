"""One device that plays: it encodes mixes, samples groups of songs and decodes basses.

Every device has a copy of the network and a program of its own, rather than a share of one over all
devices: none waits for another, and a song's bytes do not depend on how many there are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from bassdiff.batch.grouping import rows_of
from bassdiff.diffusion.generation import frame_bucket
from bassdiff.inference.generator import BassGenerator, Heard
from bassdiff.pretrained.judge import load_judges
from bassdiff.pretrained.release import Weights

# What XLA says of a song that does not fit, which is no fault of the others.
_NO_MEMORY = "RESOURCE_EXHAUSTED"


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A mix as latents, its waveform let go.

    Attributes:
      heard: The rest of what was heard.
      latents: `[T, C']` normalised.
      vectors: `[windows, E]` what the judges hear in it; empty without judges.
    """

    heard: Heard
    latents: np.ndarray
    vectors: np.ndarray

    @property
    def kind(self) -> tuple[Any, ...]:
        """What songs have in common that are played together."""
        return frame_bucket(len(self.latents)), self.heard.sampling.program


class Player:
    """A generator on one device.

    Attributes:
      generator: The generator.
      busy_seconds: Time in which the device had something to do.
    """

    def __init__(self, weights: Weights, device: jax.Device, judges: str = "") -> None:
        """Puts weights on a device, and those of judges if they are named."""
        self._device = device
        self.busy_seconds = 0.0
        with jax.default_device(device):
            self.generator = BassGenerator(weights, [device])
            self._panel = load_judges(judges) if judges else None

    def rows_of(self, kind: tuple[Any, ...]) -> int:
        """How many songs of a kind are played at once."""
        return rows_of(kind[0], self._device.platform)

    def encode(self, heard: Heard) -> Encoded:
        """A mix as latents.

        Raises:
          MemoryError: It does not fit the device.
        """
        with self._busy():
            (latents,) = self.generator.mix_codec.encode_all([heard.wave], [heard.gain])
            vectors = np.zeros((0, 0), np.float32)
            if self._panel is not None:
                vectors = self._panel.mix_vectors(heard.wave)
        return Encoded(heard.forgotten(), latents, vectors)

    def play(self, songs: Sequence[Encoded]) -> list[np.ndarray]:
        """Latents `[T, C]` of basses to songs of one kind, as many as are played at once or fewer.

        Each is what it would be in any other company, to the last bit.

        Raises:
          MemoryError: They do not fit the device.
        """
        sampler = self.generator.sampler
        requests = [sampler.request_for(song.heard, song.latents) for song in songs]
        rows = self.rows_of(songs[0].kind)
        with self._busy():
            return sampler.sample(requests, songs[0].heard.sampling, rows=rows)

    def decode(self, latents: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`[T, C]` each to basses `[2048 T]` at 44.1 kHz.

        Raises:
          MemoryError: They do not fit the device.
        """
        with self._busy():
            return self.generator.bass_codec.decode_all(latents)

    def score(self, song: Encoded, wave: np.ndarray) -> float:
        """How well a bass fits its mix: the mean cosine of what the judges hear, -1 to 1.

        Args:
          song: The mix.
          wave: `[>= song.heard.length]` the bass at 44.1 kHz.
        """
        assert self._panel is not None, "a player without judges"
        if not np.all(np.isfinite(wave)):
            return float("nan")
        with self._busy():
            vectors = self._panel.bass_vectors(wave[: song.heard.length])
        return float(np.mean(np.sum(song.vectors * vectors, axis=1)))

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        """The device at work."""
        begun = time.monotonic()
        try:
            with jax.default_device(self._device):
                yield
        except jax.errors.JaxRuntimeError as error:
            if not str(error).startswith(_NO_MEMORY):
                raise
            raise MemoryError("the song does not fit the device's memory; play a part of it") from (
                error
            )
        finally:
            self.busy_seconds += time.monotonic() - begun
