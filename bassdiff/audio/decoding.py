"""Any audio file as a stream of blocks at its own rate; its content decides which library reads it.

libsndfile reads wav, rf64, w64, flac, aiff, caf and au; libav reads the rest: mp3, ogg, m4a, webm,
wma, video. Every fault is an `InputError` that names file, fault and remedy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bassdiff.audio import containers, faults, riff
from bassdiff.audio.libsndfile import AudioInfo, open_libsndfile
from bassdiff.audio.window import Window
from bassdiff.runtime.errors import InputError

_MIN_RATE_HZ, _MAX_RATE_HZ = 2_000, 768_000
# Float files in 16-bit scale reach 32768; larger values are not audio.
_MAX_PEAK = 1e6
_LIBSNDFILE = ("wav", "w64", "aiff", "caf", "au", "flac")


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
        info, blocks = _open(path)
    except OSError as error:
        raise _unreadable(path, error) from error
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
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    reason = (error.strerror or str(error)).lower()
    return InputError(f"{path}: cannot be read ({reason}); check its permissions.")


def _open(path: Path) -> tuple[AudioInfo, Iterator[np.ndarray]]:
    base = containers.id3_bytes(path)
    kind = containers.kind(path, base)
    if fault := containers.truncation(path, base):
        raise faults.truncated(path, fault)
    wav = riff.parse(path, base) if kind == "wav" else None
    if kind in _LIBSNDFILE and not (wav and wav.is_mpeg):
        header = wav.clean_header if wav else b""
        start = wav.start if wav and header else base
        # Bytes, for a name need not be text.
        plain = os.fsencode(path) if not start and not header else None
        opened = open_libsndfile(path, lambda: plain or Window(path, start, head=header))
        if opened:
            return opened
    # Libav takes longer to import than a wav file takes to read.
    from bassdiff.audio import libav, mp3, ogg

    if kind == "ogg":
        return ogg.open_ogg(path, base)
    if wav and wav.is_mpeg:
        stream = partial(Window, path, wav.start, wav.end)
        return mp3.open_mpeg(path, stream, wav.fact_samples)
    whole = partial(Window, path, base if kind else 0)
    kind = kind or libav.identify(path, whole)
    return mp3.open_mpeg(path, whole) if kind == "mp3" else libav.open_libav(path, kind, whole)


def _checked(path: Path, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Passes blocks `[n, channels]` on; raises an error at values that are not audio."""
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
        raise faults.no_samples(path)
