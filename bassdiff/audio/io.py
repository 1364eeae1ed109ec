"""Reads, writes and resamples audio files and measures their loudness; numpy only.

Every fault of a file is an `InputError` of one sentence: the file, the fault, the remedy.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import av
import numpy as np
import pyloudnorm
import soundfile
import soxr

from bassdiff.audio import containers
from bassdiff.types import InputError

SAMPLE_RATE_HZ = 44100

_MIN_RATE_HZ, _MAX_RATE_HZ = 2_000, 768_000
# Float files in 16-bit scale reach 32768; beyond this the numbers are no audio.
_MAX_PEAK = 1e6
_BLOCK_SAMPLES = 1 << 16
# libsndfile's count for streams that do not say their length.
_UNKNOWN_NUM_SAMPLES = 1 << 60
# ffmpeg must not follow a file's references to other files or hosts.
_LOCAL_ONLY = {"protocol_whitelist": "file"}
# Durations in ffmpeg's formats include priming and rounding.
_FFMPEG_SLACK, _FFMPEG_SLACK_SECONDS = 0.01, 0.2
# An MP3's frame count includes the encoder's delay and padding, which a decoder drops.
_MP3_SLACK_SAMPLES = 4 * 1152
_WRITERS = {
    ".wav": ("WAV", "PCM_24"),
    ".flac": ("FLAC", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
# BS.1770-4: blocks below the absolute gate do not count, so a file of them is silence.
_GATE_LUFS = -70.0
_LOUDNESS_BLOCK_SECONDS = 0.4


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file's header says.

    Attributes:
      path: the file.
      sample_rate_hz: samples per second of each channel.
      channels: number of channels.
      num_samples: samples per channel; 0 where the header does not say.
    """

    path: Path
    sample_rate_hz: int
    channels: int
    num_samples: int


def probe(path: str | os.PathLike[str]) -> AudioInfo:
    """Reads an audio file's header.

    Args:
      path: a file of any format libsndfile or ffmpeg decodes.

    Returns:
      Its rate, channels and length. The length of ffmpeg's formats is an estimate.

    Raises:
      InputError: the file is missing, unreadable, empty, truncated or not audio.
    """
    return _open(Path(path))[0]


def read_mono(path: str | os.PathLike[str], sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Decodes an audio file, averages its channels and resamples it.

    Args:
      path: a file of any format libsndfile or ffmpeg decodes.
      sample_rate_hz: rate of the result.

    Returns:
      `[N]` float32, as stored (full scale is 1), N = round(samples · rate / file's rate).

    Raises:
      InputError: the file is missing, unreadable, empty, truncated, not audio, or has
        samples that are not finite.
    """
    info = probe(path)
    expected = min(_output_length(info.num_samples, info.sample_rate_hz, sample_rate_hz), 1 << 30)
    samples = np.empty(max(expected, 1), np.float32)
    filled = 0
    for block in blocks(path, sample_rate_hz):
        if filled + len(block) > len(samples):
            # Grows in place, so a header that promised too little costs no second copy.
            samples.resize((filled + len(block)) * 5 // 4, refcheck=False)
        samples[filled : filled + len(block)] = block
        filled += len(block)
    samples.resize(filled, refcheck=False)
    return samples


def blocks(
    path: str | os.PathLike[str],
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    block_samples: int = _BLOCK_SAMPLES,
) -> Iterator[np.ndarray]:
    """Streams what `read_mono` returns, in constant memory.

    Args:
      path: a file of any format libsndfile or ffmpeg decodes.
      sample_rate_hz: rate of the result.
      block_samples: length of each block at that rate; only the last one is shorter.

    Yields:
      `[block_samples]` float32.

    Raises:
      InputError: as `read_mono`; faults inside the file are raised when they are reached.
    """
    path = Path(path)
    info, decoded = _open(path)
    pending = np.empty(0, np.float32)
    for block in _resampled(_checked(path, decoded), info.sample_rate_hz, sample_rate_hz):
        pending = np.concatenate([pending, block])
        whole = len(pending) // block_samples * block_samples
        yield from pending[:whole].reshape(-1, block_samples)
        pending = pending[whole:]
    if len(pending):
        yield pending


def write(path: str | os.PathLike[str], samples: np.ndarray, sample_rate_hz: int) -> None:
    """Writes an audio file whole or not at all.

    A peak above full scale would clip, so such a signal is scaled as a whole to peak at 1.

    Args:
      path: where to; its suffix chooses wav or flac (24 bit), ogg (Vorbis) or mp3.
      samples: `[N]` or `[N, channels]` float, full scale is 1.
      sample_rate_hz: samples per second.

    Raises:
      InputError: the suffix is unknown, a sample is not finite, the format does not take
        this rate or channel count, the folder cannot be written or the disk is full.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise InputError(
            f"{path}: cannot write the format {path.suffix or 'without a suffix'!r}; "
            f"name the file {', '.join(_WRITERS)}."
        )
    container, subtype = _WRITERS[path.suffix.lower()]
    samples = np.asarray(samples, np.float32)
    if samples.ndim not in (1, 2) or not samples.size:
        raise InputError(
            f"{path}: samples of shape {samples.shape} are no audio; give [N] or [N, channels]."
        )
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: not written, for it has samples that are NaN or infinite.")
    samples = samples.reshape(len(samples), -1)
    peak = float(np.abs(samples).max())
    gain = np.float32(1 / max(1.0, peak))
    with atomic_file(path) as file:
        try:
            with soundfile.SoundFile(
                file, "w", sample_rate_hz, samples.shape[1], subtype, format=container
            ) as encoder:
                # libsndfile's Vorbis encoder overflows its stack on long single writes.
                for start in range(0, len(samples), _BLOCK_SAMPLES):
                    encoder.write(samples[start : start + _BLOCK_SAMPLES] * gain)
        except (soundfile.LibsndfileError, AssertionError) as error:
            raise InputError(
                f"{path}: {container} does not take {samples.shape[1]} channels at "
                f"{sample_rate_hz} Hz; write .wav instead."
            ) from error


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a file that appears under its name only once it is complete.

    Args:
      path: where to; an existing file is replaced in one step.

    Yields:
      A binary file to write to. It lies in the same folder under a temporary name, and is
      removed if the body raises.

    Raises:
      InputError: the folder is missing or cannot be written, or the disk is full.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file inside it.")
    temporary: str | None = None
    sink: _Sink | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w+b") as file:
            sink = _Sink(file)
            yield cast(BinaryIO, sink)
            sink.raise_fault()
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; the result gets what the user's umask gives.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise _write_fault(path, error) from error
    except BaseException as error:
        if sink is not None and sink.fault is not None:
            raise _write_fault(path, sink.fault) from error
        raise
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def resample(
    samples: np.ndarray, from_hz: int, to_hz: int, num_samples: int | None = None
) -> np.ndarray:
    """Changes the sample rate.

    Args:
      samples: `[N]` float.
      from_hz: rate of `samples`.
      to_hz: rate of the result.
      num_samples: length of the result, cut or padded with zeros; by default
        round(N · to_hz / from_hz).

    Returns:
      `[num_samples]` float32.
    """
    samples = np.asarray(samples, np.float32)
    wanted = _output_length(len(samples), from_hz, to_hz) if num_samples is None else num_samples
    if from_hz != to_hz and len(samples):
        samples = soxr.resample(samples, from_hz, to_hz)
    return np.pad(samples[:wanted], (0, max(0, wanted - len(samples))))


def loudness_lufs(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Integrated loudness after ITU-R BS.1770-4.

    Args:
      samples: `[N]` float. Below 0.4 s, the standard's block, the RMS level stands in.
      sample_rate_hz: samples per second.

    Returns:
      LUFS; -inf below the standard's gate of -70 LUFS, which is silence.
    """
    samples = np.asarray(samples, np.float64)
    if len(samples) < math.ceil(_LOUDNESS_BLOCK_SECONDS * sample_rate_hz):
        power = float(np.mean(samples**2)) if len(samples) else 0.0
        # The K filter's gain at 1 kHz cancels the formula's -0.691 dB.
        loudness = 10 * math.log10(power) if power > 0 else -math.inf
    else:
        meter = pyloudnorm.Meter(sample_rate_hz, block_size=_LOUDNESS_BLOCK_SECONDS)
        with np.errstate(divide="ignore", invalid="ignore"):
            loudness = float(meter.integrated_loudness(samples))
    return loudness if loudness >= _GATE_LUFS else -math.inf


def match_loudness(samples: np.ndarray, sample_rate_hz: int, target_lufs: float) -> np.ndarray:
    """Scales a signal to a loudness.

    Args:
      samples: `[N]` float.
      sample_rate_hz: samples per second.
      target_lufs: loudness of the result; peaks may exceed 1.

    Returns:
      `[N]` float32; silence comes back unchanged.
    """
    samples = np.asarray(samples, np.float32)
    loudness = loudness_lufs(samples, sample_rate_hz)
    if not math.isfinite(loudness):
        return samples
    return samples * np.float32(10 ** ((target_lufs - loudness) / 20))


class _Sink:
    """A file that remembers its OSError: libsndfile calls it from C, where exceptions get lost."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.fault: OSError | None = None
        self.seek, self.tell, self.read = file.seek, file.tell, file.read
        self.flush = file.flush

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.fault = error
            return 0

    def raise_fault(self) -> None:
        if self.fault is not None:
            raise self.fault


def _write_fault(path: Path, error: OSError) -> InputError:
    reason = (error.strerror or str(error)).lower()
    remedy = {
        "FileNotFoundError": "create the folder first",
        "NotADirectoryError": "name a file inside a folder",
        "PermissionError": "choose a folder you may write to",
    }.get(type(error).__name__, "free some space or choose another folder")
    return InputError(f"{path}: cannot be written ({reason}); {remedy}.")


def _output_length(num_samples: int, from_hz: int, to_hz: int) -> int:
    return (num_samples * to_hz + from_hz // 2) // from_hz


def _open(path: Path) -> tuple[AudioInfo, Iterator[np.ndarray]]:
    """A file's header and a generator of its mono blocks at its own rate."""
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
    try:
        header = soundfile.info(str(path))
    except (soundfile.LibsndfileError, TypeError):
        return _open_ffmpeg(path)
    if header.format == "RAW":
        # libsndfile guesses headerless formats from the suffix, whatever the content.
        raise _not_audio(path)
    num_samples = header.frames if header.frames < _UNKNOWN_NUM_SAMPLES else 0
    if not header.frames:
        raise _no_samples(path)
    info = _checked_info(AudioInfo(path, header.samplerate, header.channels, num_samples))
    promised = num_samples
    if header.format == "MP3":
        promised = (containers.promised_mp3_samples(path) or 0) - _MP3_SLACK_SAMPLES
    return info, _decode_libsndfile(path, promised)


def _decode_libsndfile(path: Path, promised_samples: int) -> Iterator[np.ndarray]:
    decoded = 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            while len(block := file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
                decoded += len(block)
                yield block.mean(axis=1)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: cannot be decoded beyond sample {decoded}, so it is truncated or damaged; "
            "export it again."
        ) from error
    if decoded < promised_samples:
        raise _short(path, promised_samples, decoded)


def _open_ffmpeg(path: Path) -> tuple[AudioInfo, Iterator[np.ndarray]]:
    demuxer = containers.ffmpeg_format(path)
    if demuxer is None:
        raise _not_audio(path)
    try:
        with av.open(str(path), format=demuxer, options=_LOCAL_ONLY) as container:
            if not container.streams.audio:
                raise InputError(f"{path}: has no audio track; name an audio file.")
            stream = container.streams.audio[0]
            seconds = 0.0
            if stream.duration is not None and stream.time_base is not None:
                seconds = float(stream.duration * stream.time_base)
            elif container.duration is not None:
                seconds = container.duration / av.time_base
            rate_hz = stream.codec_context.sample_rate
            channels = stream.codec_context.channels
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: is truncated or damaged ({demuxer} container); export it again as wav."
        ) from error
    info = _checked_info(AudioInfo(path, rate_hz, channels, round(max(0.0, seconds) * rate_hz)))
    return info, _decode_ffmpeg(info, demuxer)


def _decode_ffmpeg(info: AudioInfo, demuxer: str) -> Iterator[np.ndarray]:
    decoded = 0
    try:
        with av.open(str(info.path), format=demuxer, options=_LOCAL_ONLY) as container:
            planar = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                for part in planar.resample(frame):
                    block = part.to_ndarray()
                    decoded += block.shape[1]
                    yield block.mean(axis=0)
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(
            f"{info.path}: cannot be decoded beyond sample {decoded}, so it is truncated or "
            "damaged; export it again as wav."
        ) from error
    if (
        decoded
        < info.num_samples * (1 - _FFMPEG_SLACK) - _FFMPEG_SLACK_SECONDS * info.sample_rate_hz
    ):
        raise _short(info.path, info.num_samples, decoded)


def _checked(path: Path, decoded: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Passes blocks on until one has a sample that no audio has."""
    position = 0
    for block in decoded:
        bad = np.flatnonzero(~(np.abs(block) <= _MAX_PEAK))
        if len(bad):
            value = block[bad[0]]
            fault = f"is {value:.0e}" if np.isfinite(value) else "is NaN or infinite"
            raise InputError(
                f"{path}: sample {position + bad[0]} {fault}; repair it in an audio editor and "
                "export it again."
            )
        position += len(block)
        yield block
    if not position:
        raise _no_samples(path)


def _resampled(decoded: Iterator[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    if from_hz == to_hz:
        yield from decoded
        return
    stream = soxr.ResampleStream(from_hz, to_hz, num_channels=1, dtype="float32")
    num_in = num_out = 0
    for block in decoded:
        num_in += len(block)
        block = stream.resample_chunk(block)
        num_out += len(block)
        yield block
    rest = stream.resample_chunk(np.empty(0, np.float32), last=True)
    wanted = max(0, _output_length(num_in, from_hz, to_hz) - num_out)
    yield np.pad(rest[:wanted], (0, max(0, wanted - len(rest))))


def _checked_info(info: AudioInfo) -> AudioInfo:
    if not _MIN_RATE_HZ <= info.sample_rate_hz <= _MAX_RATE_HZ:
        raise InputError(
            f"{info.path}: a sample rate of {info.sample_rate_hz} Hz is outside {_MIN_RATE_HZ} to "
            f"{_MAX_RATE_HZ} Hz; export it again at {SAMPLE_RATE_HZ} Hz."
        )
    return info


def _not_audio(path: Path) -> InputError:
    return InputError(
        f"{path}: is not audio, or in a format that is not known here; export it as wav or flac."
    )


def _no_samples(path: Path) -> InputError:
    return InputError(f"{path}: has a header but no samples; export it again.")


def _short(path: Path, promised_samples: int, decoded: int) -> InputError:
    return InputError(
        f"{path}: the header says {promised_samples} samples but {decoded} follow, so it is "
        "truncated; export it again."
    )
