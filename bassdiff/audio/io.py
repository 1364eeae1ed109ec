"""Reads and writes audio files.

Every fault of a file is an `InputError` of one sentence: the file, the fault, the remedy.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
import soundfile

from bassdiff.audio.decoding import AudioInfo, open_audio
from bassdiff.audio.resampling import output_length, resample, resampled_blocks
from bassdiff.runtime.atomic import OpenFile, atomic_file, check_writable
from bassdiff.runtime.errors import InputError

SAMPLE_RATE_HZ = 44100

_BLOCK_SAMPLES = 1 << 16
# libsndfile's SFC_SET_ADD_PEAK_CHUNK, for which soundfile has no name.
_ADD_PEAK_CHUNK = 0x1050
_WRITERS = {
    ".wav": ("WAV", "PCM_24"),
    ".flac": ("FLAC", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


def probe(path: str | os.PathLike[str]) -> AudioInfo:
    """Reads an audio file's header.

    Args:
      path: a file of any format libsndfile or ffmpeg decodes.

    Returns:
      Its rate, channels and, where the header says for certain, its length.

    Raises:
      InputError: the file is missing, unreadable, empty, truncated or not audio.
    """
    return open_audio(Path(path))[0]


def read_mono(path: str | os.PathLike[str], sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Decodes an audio file, averages its channels and resamples it.

    Args:
      path: a file of any format libsndfile or ffmpeg decodes.
      sample_rate_hz: rate of the result.

    Returns:
      `[N]` float32, as stored (full scale is 1), N = samples · rate / file's rate, rounded half up.

    Raises:
      InputError: the file is missing, unreadable, empty, truncated, not audio, or has
        samples that are not finite.
    """
    info = probe(path)
    expected = min(output_length(info.num_samples, info.sample_rate_hz, sample_rate_hz), 1 << 26)
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


def read(path: str | os.PathLike[str], max_samples: int | None = None) -> np.ndarray:
    """Decodes an audio file as it is.

    Args:
      path: a file of any format libsndfile or ffmpeg decodes.
      max_samples: decoding stops once there are more, so that a file of unknown length
        cannot fill the memory.

    Returns:
      `[N, channels]` float32 at the file's own rate, which `probe` returns.

    Raises:
      InputError: as `read_mono`.
    """
    info = probe(path)
    # A header may promise more than there is, or than is wanted.
    expected = min(max(info.num_samples, 1), (max_samples or 1 << 26) + 1, 1 << 26)
    samples = np.empty((expected, info.channels), np.float32)
    filled = 0
    for block in read_blocks(path, max_samples):
        if filled + len(block) > len(samples):
            samples.resize(((filled + len(block)) * 5 // 4, info.channels), refcheck=False)
        samples[filled : filled + len(block)] = block
        filled += len(block)
    samples.resize((filled, info.channels), refcheck=False)
    return samples


def read_blocks(
    path: str | os.PathLike[str], max_samples: int | None = None
) -> Iterator[np.ndarray]:
    """Streams what `read` returns: `[n, channels]` float32 blocks.

    Raises:
      InputError: as `read_mono`; faults inside the file are raised when they are reached.
    """
    filled = 0
    for block in open_audio(Path(path))[1]:
        yield block
        filled += len(block)
        if max_samples is not None and filled > max_samples:
            return


def read_channels(path: str | os.PathLike[str], max_seconds: float | None = None) -> np.ndarray:
    """Decodes the beginning of an audio file, or all of it, and resamples it to 44.1 kHz.

    Args:
      path: a file of any format libsndfile or ffmpeg decodes.
      max_seconds: how much to read; all when `None`.

    Returns:
      `[channels, N]` float32, as stored (full scale is 1).

    Raises:
      InputError: as `read_mono`.
    """
    rate_hz = probe(path).sample_rate_hz
    limit = None if max_seconds is None else round(max_seconds * rate_hz)
    channels = read(path, limit)[:limit].T
    return np.stack([resample(channel, rate_hz, SAMPLE_RATE_HZ) for channel in channels])


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
    info, decoded = open_audio(path)
    pending = np.empty(0, np.float32)
    mono = (block.mean(axis=1, dtype=np.float32) for block in decoded)
    for block in resampled_blocks(mono, info.sample_rate_hz, sample_rate_hz):
        pending = np.concatenate([pending, block])
        whole = len(pending) // block_samples * block_samples
        yield from pending[:whole].reshape(-1, block_samples)
        pending = pending[whole:]
    if len(pending):
        yield pending


def check_target(path: str | os.PathLike[str], sample_rate_hz: int, channels: int) -> None:
    """Checks, before hours of work, that `write` can be expected to write there.

    Args:
      path: the audio file to be.
      sample_rate_hz: samples per second.
      channels: how many.

    Raises:
      InputError: the suffix is unknown, the format does not take this rate or channel count,
        or the folder is missing or cannot be written.
    """
    path = Path(path)
    # os.path: unlike Path's, its tests swallow a name that is too long, which opening reports.
    if os.path.isdir(path):
        raise InputError(
            f"{path}: is a folder; name a file inside it, such as {path / 'bass.wav'}."
        )
    if path.suffix.lower() not in _WRITERS:
        raise InputError(
            f"{path}: cannot write the format {path.suffix or 'without a suffix'!r}; "
            f"name the file {', '.join(_WRITERS)}."
        )
    check_writable(path)
    _encode(io.BytesIO(), path, [np.zeros((1, channels), np.float32)], channels, sample_rate_hz)


def write(
    path: str | os.PathLike[str],
    samples: np.ndarray,
    sample_rate_hz: int,
    open_file: OpenFile = atomic_file,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> float:
    """Writes an audio file whole or not at all.

    A peak above full scale would clip. A wav file is then written in floats, which hold it; in
    another format, the signal is scaled as a whole to peak at 1.

    Args:
      path: where to; its suffix chooses wav or flac (24 bit), ogg (Vorbis) or mp3.
      samples: `[N]` or `[N, channels]` float, full scale is 1.
      sample_rate_hz: samples per second.
      open_file: opens the file; from `atomic_files`, for several that belong together.
      tags: title, software, license, comment or others that libsndfile knows.

    Returns:
      The gain that it was written with, in dB: 0, or less where it would have clipped.

    Raises:
      InputError: the suffix is unknown, a sample is not finite, the format does not take
        this rate or channel count, the folder cannot be written or the disk is full.
    """
    path = Path(path)
    samples = np.asarray(samples, np.float32)
    if samples.ndim not in (1, 2) or not samples.size:
        raise InputError(
            f"{path}: samples of shape {samples.shape} are not audio; give [N] or [N, channels]."
        )
    if not all_finite(samples):
        raise InputError(f"{path}: not written, for it has samples that are NaN or infinite.")
    samples = samples.reshape(len(samples), -1)
    check_target(path, sample_rate_hz, samples.shape[1])
    peak = max(1.0, float(samples.max()), -float(samples.min()))
    is_float = path.suffix.lower() == ".wav" and peak > 1.0
    peak = 1.0 if is_float else peak
    channels, subtype = samples.shape[1], "FLOAT" if is_float else ""
    with open_file(path) as file:
        scaled = (samples[i : i + _BLOCK_SAMPLES] / np.float32(peak) for i in _starts(samples))
        _encode(file, path, scaled, channels, sample_rate_hz, subtype, tags)
    return -20.0 * math.log10(peak)


def write_blocks(
    path: str | os.PathLike[str],
    blocks: Iterable[np.ndarray],
    channels: int,
    sample_rate_hz: int,
    open_file: OpenFile = atomic_file,
) -> None:
    """Writes an audio file, whole or not at all, whose samples come in blocks.

    Args:
      path: as of `write`.
      blocks: `[n, channels]` float32, finite and within full scale.
      channels: how many.
      sample_rate_hz: samples per second.
      open_file: as of `write`.

    Raises:
      InputError: the suffix is unknown, the format does not take this rate or channel count,
        the folder cannot be written or the disk is full.
    """
    path = Path(path)
    check_target(path, sample_rate_hz, channels)
    parts = (block[i : i + _BLOCK_SAMPLES] for block in blocks for i in _starts(block))
    with open_file(path) as file:
        _encode(file, path, parts, channels, sample_rate_hz)


def _starts(samples: np.ndarray) -> range:
    # libsndfile's Vorbis encoder overflows its stack on long single writes.
    return range(0, len(samples), _BLOCK_SAMPLES)


def _encode(
    file: BinaryIO,
    path: Path,
    blocks: Iterable[np.ndarray],
    channels: int,
    sample_rate_hz: int,
    subtype: str = "",
    tags: Mapping[str, str] = MappingProxyType({}),
) -> None:
    container, usual = _WRITERS[path.suffix.lower()]
    subtype = subtype or usual
    try:
        with soundfile.SoundFile(
            file, "w", sample_rate_hz, channels, subtype, format=container
        ) as encoder:
            # Files of floats would hold the time of day, so that no two were the same.
            soundfile._snd.sf_command(encoder._file, _ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)
            for name, value in tags.items():
                # Names of files need not be text.
                setattr(encoder, name, value.encode(errors="backslashreplace").decode())
            for block in blocks:
                encoder.write(block)
    except (soundfile.LibsndfileError, AssertionError) as error:
        raise InputError(
            f"{path}: {container} does not take {channels} channels at {sample_rate_hz} Hz; "
            "write .wav instead."
        ) from error


def all_finite(samples: np.ndarray) -> bool:
    """Whether no sample is NaN or infinite, without an array of answers."""
    # A sum holds on to either, and in double precision overflows by no float32.
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite(np.sum(samples, dtype=np.float64)))
