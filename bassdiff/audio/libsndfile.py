"""Decodes with libsndfile: wav, flac, aiff and similar formats, Ogg Vorbis and Opus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from bassdiff.audio import faults
from bassdiff.audio.window import Window

_BLOCK_SAMPLES = 1 << 16
# libsndfile's count for streams of unknown length.
_UNKNOWN_NUM_SAMPLES = 1 << 60


@dataclass(frozen=True)
class AudioInfo:
    """The header of an audio file.

    Attributes:
      path: the file.
      sample_rate_hz: samples per second of each channel.
      channels: number of channels.
      num_samples: samples per channel; 0 where the header does not say for certain.
    """

    path: Path
    sample_rate_hz: int
    channels: int
    num_samples: int


def open_libsndfile(
    path: Path, source: Callable[[], bytes | Window]
) -> tuple[AudioInfo, Iterator[np.ndarray]] | None:
    """Opens a file if libsndfile knows what is inside.

    Args:
      path: The file, for messages.
      source: Returns a name, or a part of a file, to decode.

    Returns:
      Its header, and its samples: `[n, channels]` float32 blocks; None if it is unknown.

    Raises:
      InputError: At once for what the header shows, from the blocks for what lies inside.
    """
    try:
        with soundfile.SoundFile(source()) as file:
            rate_hz, channels, kind = file.samplerate, file.channels, file.format
            num_samples = file.frames
    except (soundfile.LibsndfileError, TypeError, ValueError):
        return None
    # libsndfile guesses headerless formats from the suffix and ignores the content.
    if kind in ("RAW", "MP3") or (kind == "FLAC" and num_samples >= _UNKNOWN_NUM_SAMPLES):
        # libsndfile reports an error at the end of a FLAC stream of unknown length.
        return None
    if not num_samples:
        raise faults.no_samples(path)
    promised = num_samples if num_samples < _UNKNOWN_NUM_SAMPLES else 0

    def decoded() -> Iterator[np.ndarray]:
        count = 0
        try:
            with soundfile.SoundFile(source()) as file:
                while len(block := file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
                    count += len(block)
                    yield block
        except soundfile.LibsndfileError as error:
            raise faults.damaged(path, count) from error
        if count < promised:
            raise faults.short(path, promised, count)

    return AudioInfo(path, rate_hz, channels, promised), decoded()
