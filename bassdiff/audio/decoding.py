"""Decoders: any audio file as a stream of mono blocks at its own rate.

libsndfile reads wav, rf64, w64, flac, ogg, mp3, aiff, caf and au; ffmpeg, through PyAV, reads
m4a, webm, wma and the like. Every fault is an `InputError` that names file, fault and remedy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

from bassdiff.audio import containers
from bassdiff.runtime.errors import InputError

_MIN_RATE_HZ, _MAX_RATE_HZ = 2_000, 768_000
# Float files in 16-bit scale reach 32768; beyond this the numbers are no audio.
_MAX_PEAK = 1e6
_BLOCK_SAMPLES = 1 << 16
# libsndfile's count for streams that do not say their length.
_UNKNOWN_NUM_SAMPLES = 1 << 60
# ffmpeg must not follow a file's references to other files or hosts.
_LOCAL_ONLY = {"protocol_whitelist": "file"}
# Containers whose duration is stored; ffmpeg guesses that of the others from the bit rate.
_FFMPEG_EXACT = ("mov", "matroska", "wv", "ape")
# Stored durations include priming and rounding.
_FFMPEG_SLACK, _FFMPEG_SLACK_SECONDS = 0.01, 0.2
# An MP3's frame count includes the encoder's delay and padding, which a decoder drops.
_MP3_SLACK_SAMPLES = 4 * 1152


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file's header says.

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


def open_audio(path: Path) -> tuple[AudioInfo, Iterator[np.ndarray]]:
    """Opens an audio file of any known format.

    Args:
      path: the file.

    Returns:
      Its header, and its samples: `[n, channels]` float32 blocks, all of them finite.

    Raises:
      InputError: at once for what the header shows, from the blocks for what lies inside.
    """
    _check_file(path)
    try:
        header = soundfile.info(str(path))
    except (soundfile.LibsndfileError, TypeError):
        info, blocks = _open_ffmpeg(path)
    else:
        # libsndfile guesses headerless formats from the suffix, whatever the content.
        if header.format == "RAW":
            raise _not_audio(path)
        if not header.frames:
            raise _no_samples(path)
        promised = header.frames if header.frames < _UNKNOWN_NUM_SAMPLES else 0
        if header.format == "FLAC" and not promised:
            # Where such a stream ends, libsndfile sees an error.
            info, blocks = _open_ffmpeg(path)
        else:
            if header.format == "MP3":
                promised = containers.promised_mp3_samples(path) or 0
            info = AudioInfo(path, header.samplerate, header.channels, promised)
            slack = _MP3_SLACK_SAMPLES if header.format == "MP3" else 0
            blocks = _decode_libsndfile(path, promised - slack)
    if not _MIN_RATE_HZ <= info.sample_rate_hz <= _MAX_RATE_HZ:
        raise InputError(
            f"{path}: a sample rate of {info.sample_rate_hz} Hz is outside {_MIN_RATE_HZ} to "
            f"{_MAX_RATE_HZ} Hz; export it again at 44100 Hz."
        )
    return info, _checked(path, blocks)


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name an audio file inside it.")
        if not path.is_file():
            state = "is not a regular file" if path.exists() else "there is no such file"
            raise InputError(f"{path}: {state}; check the path.")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path}: the file is empty (0 bytes); export it again.")
        fault = containers.truncation(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: cannot be read ({reason}); check its permissions.") from error
    if fault:
        raise InputError(f"{path}: {fault}, so it is truncated; export it again.")


def _decode_libsndfile(path: Path, promised_samples: int) -> Iterator[np.ndarray]:
    decoded = 0
    try:
        with _mute():
            file = soundfile.SoundFile(str(path))
        with file:
            while len(block := _read_block(file)):
                decoded += len(block)
                yield block
    except soundfile.LibsndfileError as error:
        raise _damaged(path, decoded) from error
    if decoded < promised_samples:
        raise _short(path, promised_samples, decoded)


def _read_block(file: soundfile.SoundFile) -> np.ndarray:
    with _mute():
        return file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)


@contextlib.contextmanager
def _mute() -> Iterator[None]:
    """Keeps the MP3 decoder's own remarks, which it prints from C, off the terminal."""
    try:
        kept = os.dup(2)
    except OSError:
        # There is no terminal to spare.
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _open_ffmpeg(path: Path) -> tuple[AudioInfo, Iterator[np.ndarray]]:
    demuxer = containers.ffmpeg_format(path)
    if demuxer is None:
        raise _not_audio(path)
    try:
        with av.open(str(path), format=demuxer, options=_LOCAL_ONLY) as container:
            streams = container.streams.audio
            if not streams:
                raise InputError(f"{path}: has no audio track; name an audio file.")
            stream = streams[0]
            if stream.codec_context is None:
                raise InputError(f"{path}: its codec is not known here; export it as wav or flac.")
            seconds = (container.duration or 0) / av.time_base
            if stream.duration is not None and stream.time_base is not None:
                seconds = float(stream.duration * stream.time_base)
            rate_hz, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path}: is truncated or damaged ({demuxer} container); export it again as wav."
        ) from error
    num_samples = round(max(0.0, seconds) * rate_hz) if demuxer in _FFMPEG_EXACT else 0
    slack = round(_FFMPEG_SLACK * num_samples + _FFMPEG_SLACK_SECONDS * rate_hz)
    info = AudioInfo(path, rate_hz, channels, num_samples)
    return info, _decode_ffmpeg(path, demuxer, num_samples - slack)


def _decode_ffmpeg(path: Path, demuxer: str, promised_samples: int) -> Iterator[np.ndarray]:
    decoded = 0
    try:
        with av.open(str(path), format=demuxer, options=_LOCAL_ONLY) as container:
            planar = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                for part in planar.resample(frame):
                    block = part.to_ndarray().T
                    decoded += len(block)
                    yield block
    except (av.error.FFmpegError, ValueError) as error:
        raise _damaged(path, decoded) from error
    if decoded < promised_samples:
        raise _short(path, promised_samples, decoded)


def _checked(path: Path, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Passes blocks `[n, channels]` on; stops at what is no audio."""
    position = 0
    for block in blocks:
        bad = np.flatnonzero(~(np.abs(block) <= _MAX_PEAK).all(axis=1))
        if len(bad):
            value = np.abs(block[bad[0]]).max()
            fault = f"is {value:.0e}" if np.isfinite(value) else "is NaN or infinite"
            raise InputError(
                f"{path}: sample {position + bad[0]} {fault}; repair it in an audio editor and "
                "export it again."
            )
        position += len(block)
        yield block.astype(np.float32, copy=False)
    if not position:
        raise _no_samples(path)


def _not_audio(path: Path) -> InputError:
    return InputError(
        f"{path}: is not audio, or in a format that is not known here; export it as wav or flac."
    )


def _no_samples(path: Path) -> InputError:
    return InputError(f"{path}: has a header but no samples; export it again.")


def _damaged(path: Path, decoded: int) -> InputError:
    return InputError(
        f"{path}: cannot be decoded beyond sample {decoded}, so it is truncated or damaged; "
        "export it again."
    )


def _short(path: Path, promised_samples: int, decoded: int) -> InputError:
    return InputError(
        f"{path}: the header says at least {promised_samples} samples but {decoded} follow, "
        "so it is truncated; export it again."
    )
