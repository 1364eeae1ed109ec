"""A mix that is played to, read from its file as often as it is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bassdiff.audio.channels import channels_lufs, mono_and_level
from bassdiff.audio.source import AudioSource
from bassdiff.inference.inputs import check_length


@dataclasses.dataclass
class Mix:
    """A mix, or a part of one.

    Attributes:
      path: Its file.
      source: The same, to be read.
      mono: `[N]` float32 as one signal; empty once it was taken.
      level_lufs: The loudness of all channels.
      first: The first of its samples in the file.
      last: The one after its last.
    """

    path: Path
    source: AudioSource
    mono: np.ndarray
    level_lufs: float
    first: int
    last: int

    @classmethod
    def read(cls, path: Path, source: AudioSource) -> Mix:
        """Reads all of a file.

        Raises:
          InputError: It cannot be read, or is too short or too long.
        """
        mono, level_lufs = mono_and_level(source)
        check_length(str(path), len(mono), source.info.sample_rate_hz)
        return cls(path, source, mono, level_lufs, 0, len(mono))

    @property
    def sample_rate_hz(self) -> int:
        """Its rate."""
        return self.source.info.sample_rate_hz

    @property
    def channels(self) -> int:
        """How many it has."""
        return self.source.info.channels

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.last - self.first) / self.sample_rate_hz

    def part(self, start_seconds: float, end_seconds: float) -> Mix:
        """A part of a mix that is no part itself, of a few minutes."""
        first, last = (round(x * self.sample_rate_hz) for x in (start_seconds, end_seconds))
        channels = np.concatenate([*self.source.blocks(first, last)])
        level_lufs = channels_lufs(channels, self.sample_rate_hz)
        return dataclasses.replace(
            self, mono=self.mono[first:last], level_lufs=level_lufs, first=first, last=last
        )

    def blocks(self) -> Iterator[np.ndarray]:
        """Its samples: `[n, channels]` float32 blocks."""
        return self.source.blocks(self.first, self.last)

    def taken(self) -> np.ndarray:
        """Its `mono`, which is let go: of an hour, it takes much memory."""
        mono, self.mono = self.mono, np.empty(0, np.float32)
        return mono
