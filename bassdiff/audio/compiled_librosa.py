"""Imports librosa under a lock, after removing damaged files from numba's cache.

    from bassdiff.audio.compiled_librosa import librosa

Numba compiles parts of librosa on import and keeps them in files. If two processes write these at
the same time, the parts may not match, and a damaged file ends every later process.
"""

import atexit
import contextlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.user_cache import user_cache

_PATIENCE_SECONDS, _LONGEST_SECONDS = 5.0, 300.0
_SUMS = "sums.json"
# Logged rather than warned: waiting must not become an error where warnings are errors.
_LOG = logging.getLogger("bassdiff")


def _folder() -> Path:
    """Numba's cache folder for this package."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    cache = None if chosen else user_cache()
    if chosen:
        root = Path(chosen)
        return root if root.name == "bassdiff" else root / "bassdiff"
    if cache:
        return cache / "numba" / "bassdiff"
    # Numba refuses to compile what it cannot cache, and librosa asks it to cache.
    passing = tempfile.TemporaryDirectory()
    atexit.register(passing.cleanup)
    os.environ.setdefault("XDG_CACHE_HOME", passing.name)
    return Path(passing.name) / "bassdiff"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds a lock on the folder; continues without it after a time limit."""
    lock = FileLock(folder / ".lock")
    try:
        try:
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout:
            _LOG.warning(
                "waiting for another process that compiles into %s, for at most %.0f s",
                folder,
                _LONGEST_SECONDS,
            )
            lock.acquire(timeout=_LONGEST_SECONDS)
    except (Timeout, OSError) as error:
        _LOG.warning("%s cannot be locked (%s); continuing without a lock", folder, error)
    try:
        yield
    finally:
        lock.release()


def sums(folder: Path) -> dict[str, int]:
    """Checksum of every file in numba's cache."""
    return {
        str(path.relative_to(folder)): zlib.crc32(path.read_bytes())
        for path in folder.glob("*/*.nb[ic]")
    }


def drop_damaged(folder: Path) -> None:
    """Deletes files that have changed since `remember`; numba compiles them again."""
    try:
        left = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        left = {}
    for name, checksum in sums(folder).items():
        if not isinstance(left, dict) or left.get(name) != checksum:
            (folder / name).unlink(missing_ok=True)


def remember(folder: Path) -> None:
    """Writes the checksums of the files in the folder."""
    with contextlib.suppress(OSError, InputError), atomic_file(folder / _SUMS) as file:
        file.write(json.dumps(sums(folder)).encode())


def _remember_what_was_added(folder: Path, before: dict[str, int]) -> None:
    with contextlib.suppress(OSError):
        if sums(folder) != before:
            with _alone(folder):
                remember(folder)


_HERE = _folder()
with contextlib.suppress(OSError):
    _HERE.mkdir(parents=True, exist_ok=True)
os.environ["NUMBA_CACHE_DIR"] = str(_HERE)
with _alone(_HERE):
    with contextlib.suppress(OSError):
        drop_damaged(_HERE)
    import librosa
    import librosa.beat
    import librosa.core.audio
    import librosa.core.pitch
    import librosa.util.utils

    remember(_HERE)
atexit.register(_remember_what_was_added, _HERE, sums(_HERE))

__all__ = ["librosa"]
