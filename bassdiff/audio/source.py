"""An audio file that is read several times over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bassdiff.audio.io import probe, read_blocks
from bassdiff.runtime.errors import InputError

# Values of all channels that are held: six minutes of stereo.
_HELD_VALUES = 1 << 25


class AudioSource:
    """Streams an audio file as often as is wanted: a short one is decoded once, and held.

    Attributes:
      info: Its rate and channels, and its length where the header says it.
    """

    def __init__(self, path: str | os.PathLike[str], max_samples: int) -> None:
        """Reads the header.

        Args:
          path: A file of any format libsndfile or ffmpeg decodes.
          max_samples: Decoding stops once there are more, so that a file of unknown length
            cannot go on for ever.

        Raises:
          InputError: As `io.probe`.
        """
        self.info = probe(path)
        self._path, self._max_samples = Path(path), max_samples
        self._held: list[np.ndarray] | None = None
        self._num_samples: int | None = None

    def blocks(self, first: int = 0, last: int | None = None) -> Iterator[np.ndarray]:
        """Streams the samples from `first` to before `last`: `[n, channels]` float32 blocks.

        Raises:
          InputError: As `io.read`, or the file has changed since it was read before.
        """
        start = 0
        for block in self._all_blocks():
            part = block[max(first - start, 0) : None if last is None else max(last - start, 0)]
            start += len(block)
            if len(part):
                yield part

    def _all_blocks(self) -> Iterator[np.ndarray]:
        if self._held is not None:
            yield from self._held
            return
        held, count = [], 0
        for block in read_blocks(self._path, self._max_samples):
            count += len(block)
            if count * self.info.channels <= _HELD_VALUES:
                held.append(block)
            else:
                held.clear()
            yield block
        if self._num_samples not in (None, count):
            raise InputError(f"{self._path} changed while it was being read; try again")
        self._num_samples = count
        if held:
            self._held = held
