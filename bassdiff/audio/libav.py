"""Decodes with libav: m4a, webm, ogg, wma, video and the like, without encoder delay.

The container states where the sound begins and ends; the decoder gives the number of samples.
Encoder delay and padding are removed. Sound that starts after the picture keeps its offset.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from bassdiff.audio import faults
from bassdiff.audio.libsndfile import AudioInfo
from bassdiff.audio.window import Window
from bassdiff.runtime.errors import InputError

# Containers and streams with sound; none that names other files, and no picture or text.
_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,iff,ircam,loas,matroska,mlp,"
    "mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nist,nut,ogg,oma,qcp,rm,shn,sox,tak,truehd,tta,voc,w64,wav,"
    "webm,wtv,wv,xwma"
)
# Tags need not be text. PyAV 19 takes them as they are, and knows this word no more.
_TAGS: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_OPTIONS = {"protocol_whitelist": "none", "format_whitelist": _DEMUXERS}
# Containers whose duration is stored; libav guesses that of the others from the bit rate.
_EXACT = ("mov", "matroska", "wv", "ape", "tta", "tak", "wav", "avi", "caf", "aiff", "flv")
# Stored durations include priming and rounding.
_SLACK, _SLACK_SECONDS = 0.01, 0.2
# A stored end is rounded to a millisecond; a difference below that is not a truncation.
_ROUNDING_SECONDS = 0.001
# Samples before the sound where the container does not give their number: the first block of a
# transform lacks the one that it overlaps with. For MP3, LAME's delay is added.
_DELAY = {"aac": 1024, "ac3": 256, "eac3": 256, "mp3": 1105, "mp2": 481, "mp1": 481}
# Windows Media: the frame that libav's own encoder drops.
_WMA_FRAME = 2048
# Held back while decoding, so that an end within it can be cut: the longest Vorbis block.
LONGEST_FRAME = 8192
# The tag that holds the duration of a stream in a Matroska file.
_LENGTH = re.compile(r"(\d{1,3}):(\d\d):(\d\d(?:\.\d{1,9})?)")
_LATEST_SECONDS = 3600


def identify(path: Path, window: Callable[[], Window]) -> str:
    """Libav's name for the format of a file.

    Raises:
      InputError: It is not audio, or it is a playlist.
    """
    try:
        with window() as source, _open(source, None) as container:
            return str(container.format.name.split(",")[0])
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise faults.not_audio(path) from error


def open_libav(
    path: Path,
    demuxer: str,
    window: Callable[[], Window],
) -> tuple[AudioInfo, Iterator[np.ndarray]]:
    """Opens the sound of a container.

    Args:
      path: The file, for messages.
      demuxer: libav's name for its format.
      window: Opens the bytes to decode.

    Returns:
      Its header, and its samples: `[n, channels]` float32 blocks.

    Raises:
      InputError: At once for what the header shows, from the blocks for what lies inside.
    """
    try:
        with window() as source, _open(source, demuxer) as container:
            stream = _choose(path, container)
            first = next(_frames(container, stream), None)
            if first is None:
                raise faults.no_samples(path)
            frame, _ = first
            rate_hz, layout = frame.sample_rate, frame.layout
            end = _stored_end(container, stream)
            seconds = 0 if end is None else end - _seconds(stream.start_time, stream.time_base)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: is truncated or damaged ({demuxer} container); export it again as wav."
        ) from error
    num_samples = round(max(0, seconds) * rate_hz)
    info = AudioInfo(path, rate_hz, layout.nb_channels, num_samples)
    return info, _decode(path, demuxer, window, (rate_hz, layout.name))


def _open(source: Window, demuxer: str | None) -> Any:
    return av.open(source, format=demuxer, options=_OPTIONS, **_TAGS)


def _choose(path: Path, container: Any) -> Any:
    """The stream that is marked as the default one, or the first."""
    if not container.streams.audio:
        raise InputError(f"{path}: has no audio track; name an audio file.")
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    if not streams:
        raise InputError(f"{path}: its codec is not known here; export it as wav or flac.")
    default = (s for s in streams if s.disposition & av.stream.Disposition.default)
    return next(default, streams[0])


def _seconds(ticks: int | None, time_base: Fraction | None) -> Fraction:
    return Fraction(0) if ticks is None or time_base is None else ticks * time_base


def _stored_end(container: Any, stream: Any) -> Fraction | None:
    """When the sound ends on the container's clock, in seconds; None where that is not stored."""
    if container.format.name.split(",")[0] not in _EXACT:
        return None
    if stream.duration is not None:
        start = _seconds(stream.start_time, stream.time_base)
        return start + _seconds(stream.duration, stream.time_base)
    if written := _LENGTH.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = (Fraction(part) for part in written.groups())
        return 3600 * hours + 60 * minutes + seconds
    if container.duration is None or len(container.streams.audio) + len(_pictures(container)) > 1:
        return None
    return Fraction(container.duration, av.time_base)


def _pictures(container: Any) -> list[Any]:
    attached = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & attached]


def _frames(container: Any, stream: Any) -> Iterator[tuple[Any, bool]]:
    """Decoded frames, and whether the container states the encoder delay."""
    is_told: bool | None = None
    for packet in container.demux(stream):
        if is_told is None and packet.size:
            is_told = packet.has_sidedata("skip_samples")
        for frame in packet.decode():
            yield frame, bool(is_told)


def _place(container: Any, stream: Any, frame: Any, is_told: bool) -> int:
    """Samples of silence before a stream's first frame; negative: to drop from it."""
    others = [s for s in (*_pictures(container), *container.streams.audio) if s is not stream]
    starts = [_seconds(s.start_time, s.time_base) for s in others if s.start_time is not None]
    begin = _seconds(frame.pts, frame.time_base)
    late = begin - min([begin, *starts])
    if late >= _ROUNDING_SECONDS:
        return round(late * frame.sample_rate) if late < _LATEST_SECONDS else 0
    codec = stream.codec_context.name.removesuffix("float")
    if codec.startswith("wmav") and _is_libav_made(container, stream):
        return _WMA_FRAME
    return 0 if is_told else -_DELAY.get(codec, 0)


def _is_libav_made(container: Any, stream: Any) -> bool:
    tags = {**container.metadata, **stream.metadata}
    return any(str(value).startswith("Lavf") for value in tags.values())


def _decode(
    path: Path, demuxer: str, window: Callable[[], Window], wanted: tuple[int, str]
) -> Iterator[np.ndarray]:
    decoded, (rate_hz, _) = 0, wanted
    try:
        with window() as source, _open(source, demuxer) as container:
            stream = _choose(path, container)
            frames = _frames(container, stream)
            first, is_told = next(frames)
            place = _place(container, stream, first, is_told) * rate_hz // first.sample_rate
            end = _stored_end(container, stream)
            kept = None
            if end is not None:
                begin = _seconds(first.pts, first.time_base)
                kept = round((end - begin) * rate_hz) + place
            blocks = placed(uniform(_all(first, frames), wanted), place)
            for block in ended(blocks, lambda total: _cut(total, kept, rate_hz)):
                decoded += len(block)
                yield block
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise faults.damaged(path, decoded) from error
    if kept is not None and demuxer != "wav":
        promised = kept - round(_SLACK * kept + _SLACK_SECONDS * rate_hz)
        if decoded < promised:
            raise faults.short(path, promised, decoded)


def _all(first: Any, frames: Iterator[tuple[Any, bool]]) -> Iterator[Any]:
    yield first
    for frame, _ in frames:
        yield frame


def _cut(total: int, kept: int | None, rate_hz: int) -> int:
    if kept is None or not _ROUNDING_SECONDS * rate_hz < total - kept < LONGEST_FRAME:
        return total
    return kept


def uniform(frames: Iterator[Any], wanted: tuple[int, str]) -> Iterator[np.ndarray]:
    """Frames as `[n, channels]` float32 of one rate and layout."""
    now = None
    resampler: Any = None
    for frame in frames:
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        if kind != now:
            if resampler is not None:
                yield from (part.to_ndarray().T for part in resampler.resample(None))
            same = kind == (*wanted, "fltp")
            resampler = None if same else av.AudioResampler("fltp", wanted[1], wanted[0])
            now = kind
        frame.pts = None
        parts = [frame] if resampler is None else resampler.resample(frame)
        yield from (part.to_ndarray().T for part in parts)
    if resampler is not None:
        yield from (part.to_ndarray().T for part in resampler.resample(None))


def placed(blocks: Iterator[np.ndarray], silence: int) -> Iterator[np.ndarray]:
    """Blocks after samples of silence, or without their first ones where it is negative."""
    for block in blocks:
        while silence > 0:
            num = min(silence, LONGEST_FRAME)
            yield np.zeros((num, block.shape[1]), np.float32)
            silence -= num
        dropped = min(-silence, len(block))
        silence += dropped
        if dropped < len(block):
            yield block[dropped:]


def ended(blocks: Iterator[np.ndarray], keep: Callable[[int], int]) -> Iterator[np.ndarray]:
    """Blocks without the end of the last ones.

    Args:
      blocks: `[n, channels]`.
      keep: From how many samples there are to how many to keep, a longest frame less at most.
    """
    held: list[np.ndarray] = []
    total = given = 0
    for block in blocks:
        held.append(block)
        total += len(block)
        while total - given - len(held[0]) >= LONGEST_FRAME:
            given += len(held[0])
            yield held.pop(0)
    left = keep(total) - given
    for block in held:
        if left > 0:
            yield block[:left]
        left -= len(block)
