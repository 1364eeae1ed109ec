"""Ogg files of one or several streams, one after another."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bassdiff.audio.libav import open_libav
from bassdiff.audio.libsndfile import AudioInfo, open_libsndfile
from bassdiff.audio.window import Window
from bassdiff.runtime.errors import InputError

_HEADER_BYTES = 27
_BEGINS = 2


def open_ogg(path: Path, base: int) -> tuple[AudioInfo, Iterator[np.ndarray]]:
    """Opens an Ogg file.

    Args:
      path: A file that begins with OggS at `base`.
      base: Bytes before it, such as a tag's.

    Returns:
      Its first header, and its samples: `[n, channels]` float32 blocks of all of its streams.

    Raises:
      InputError: At once for what the header shows, from the blocks for what lies inside.
    """
    starts = links(path, base)
    parts = [
        partial(Window, path, start, end)
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]
    opened = [open_libsndfile(path, part) or open_libav(path, "ogg", part) for part in parts]
    infos = [info for info, _ in opened]
    info = infos[0]
    kinds = {(part.sample_rate_hz, part.channels) for part in infos}
    if len(kinds) > 1:
        raise InputError(
            f"{path}: its parts differ in sample rate or channels; export it again as one."
        )
    is_known = all(part.num_samples for part in infos)
    num_samples = sum(part.num_samples for part in infos) if is_known else 0
    blocks = itertools.chain.from_iterable(blocks for _, blocks in opened)
    return dataclasses.replace(info, num_samples=num_samples), blocks


def links(path: Path, base: int = 0) -> list[int]:
    """Where the streams that follow one another begin, in bytes."""
    starts, position, is_head = [base], base, True
    with path.open("rb") as file:
        while True:
            file.seek(position)
            header = file.read(_HEADER_BYTES)
            if len(header) < _HEADER_BYTES or header[:4] != b"OggS":
                return starts
            begins = bool(header[5] & _BEGINS)
            if begins and not is_head:
                starts.append(position)
            is_head = begins
            position += _HEADER_BYTES + header[26] + sum(file.read(header[26]))
