"""MP3 and MP2 as blocks of samples: every frame of every stream in a file, without its padding."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from bassdiff.audio import faults
from bassdiff.audio.libav import LONGEST_FRAME, ended, placed, uniform
from bassdiff.audio.libsndfile import AudioInfo
from bassdiff.audio.mpeg import Frame, frames
from bassdiff.audio.window import Window
from bassdiff.runtime.errors import InputError

_CODECS = {1: "mp1float", 2: "mp2float", 3: "mp3float"}


def open_mpeg(
    path: Path, window: Callable[[], Window], fact_samples: int = 0
) -> tuple[AudioInfo, Iterator[np.ndarray]]:
    """Opens a stream of MPEG audio frames.

    Args:
      path: The file, for messages.
      window: Opens the stream.
      fact_samples: The length that the fact chunk of a wav file says is inside; 0 without one.

    Returns:
      Its header, and its samples: `[n, channels]` float32 blocks.

    Raises:
      InputError: At once if there is no frame, from the blocks for what lies inside.
    """
    with window() as file:
        first = next(frames(file), None)
    if first is None:
        raise faults.not_audio(path)
    # A count of frames is not to be relied on.
    return AudioInfo(path, first.rate_hz, first.channels, 0), _decode(path, window, fact_samples)


def _decode(path: Path, window: Callable[[], Window], fact_samples: int) -> Iterator[np.ndarray]:
    decoded, wanted = 0, None
    try:
        with window() as file:
            for stream in _streams(frames(file)):
                head = next(stream)
                wanted = wanted or (head.rate_hz, "mono" if head.channels == 1 else "stereo")
                for block in _decode_stream(path, head, stream, wanted, fact_samples):
                    decoded += len(block)
                    yield block
    except (av.error.FFmpegError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise faults.damaged(path, decoded) from error


def _streams(all_frames: Iterator[Frame]) -> Iterator[Iterator[Frame]]:
    """Parts of one file that were encoded independently."""
    count, before = 0, None

    def number(frame: Frame) -> int:
        nonlocal count, before
        kind = (frame.layer, frame.rate_hz)
        count += bool(frame.tag) or kind != before
        before = kind
        return count

    return (stream for _, stream in itertools.groupby(all_frames, number))


def _decode_stream(
    path: Path, head: Frame, rest: Iterator[Frame], wanted: tuple[int, str], fact_samples: int
) -> Iterator[np.ndarray]:
    codec: Any = av.CodecContext.create(_CODECS[head.layer], "r")
    num_frames, num_bytes, is_whole = 0, len(head.data), True

    def decoded() -> Iterator[Any]:
        nonlocal num_frames, num_bytes, is_whole
        # An encoder's own frame holds no sound.
        for frame in rest if head.tag else itertools.chain([head], rest):
            num_frames += 1
            num_bytes = frame.position + len(frame.data) - head.position
            is_whole = is_whole and not frame.after_junk
            yield from codec.decode(av.Packet(frame.data))

    skipped, dropped = head.usual_delay, 0
    if head.tag and head.tag.delay is not None:
        skipped = head.tag.delay + head.decoder_delay
        dropped = max(0, head.tag.padding - head.decoder_delay)
    scale = wanted[0] / head.rate_hz

    def kept(total: int) -> int:
        if fact_samples and not head.tag:
            # Some count what comes before the sound, which then is too long for the frames.
            is_counted = fact_samples + skipped > num_frames * head.num_samples
            fact = fact_samples - skipped if is_counted else fact_samples
            return fact if total - LONGEST_FRAME < fact < total else total
        return total - round(dropped * scale)

    yield from ended(placed(uniform(decoded(), wanted), -round(skipped * scale)), kept)
    tag = head.tag
    if tag is None or tag.num_frames <= num_frames:
        return
    # The count is wrong where all bytes are there; without theirs, it may count itself.
    if tag.num_bytes and is_whole and num_bytes + len(head.data) > tag.num_bytes:
        return
    if tag.num_bytes or tag.num_frames > num_frames + 1:
        samples = head.num_samples
        raise faults.short(path, tag.num_frames * samples, num_frames * samples)
