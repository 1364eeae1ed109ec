"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

from bassdiff.runtime.errors import InputError

# Opens a file for writing.
OpenFile: TypeAlias = Callable[[str | os.PathLike[str]], AbstractContextManager[BinaryIO]]

_SPACE, _RIGHTS = "free some space or choose another folder", "choose a folder you may write to"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "name a file inside a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "name a file that no link leads in a circle to",
}


def check_writable(path: str | os.PathLike[str]) -> None:
    """Checks, before hours of work, that `atomic_file` can be expected to write there.

    Raises:
      InputError: the folder is missing or cannot be written, or the path is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise write_fault(path, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))
    # os.path: unlike Path's, its tests swallow a name that is too long, which opening reports.
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder; name a file inside a folder.")
    try:
        os.stat(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        # Such as a name that is too long.
        raise write_fault(path, error) from error
    # Permissions are not enough: root may write everywhere, but some file systems refuse.
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        if error.errno == errno.ENOENT:
            error = OSError(errno.EACCES, "no file can be made there")
        raise write_fault(path, error) from error


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Checks, before hours of work, that `make_folder` and then files in it can be expected.

    Raises:
      InputError: it, or the folder that it would be made in, is a file or cannot be written.
    """
    folder = Path(folder)
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(p))
    if not there.is_dir():
        kind = "a link to nothing" if there.is_symlink() and not there.exists() else "a file"
        raise InputError(f"{folder}: cannot be made a folder ({there} is {kind}); choose another.")
    check_writable(there / "index.html")


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Makes a folder and those around it, unless it is there.

    Raises:
      InputError: it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{folder}: cannot be made a folder ({reason}); choose another") from error


@contextlib.contextmanager
def atomic_files() -> Iterator[OpenFile]:
    """Several files that appear together, or none of them.

    Yields:
      A function that opens `path` for writing, under a temporary name in the same folder. When the
      body ends, all files take their names and replace existing ones. If it raises, none does.

    Raises:
      InputError: a folder is missing or cannot be written, or the disk is full.
    """
    complete: dict[Path, Path] = {}

    @contextlib.contextmanager
    def open_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
        # Follows a link to its file, since replacing the link would separate the two.
        path = Path(os.path.realpath(path))
        temporary = path.with_name(f".{secrets.token_hex(8)}.part")
        sink: _Sink | None = None
        try:
            if path.exists() and not path.is_file():
                kind = "is a folder" if path.is_dir() else "is a device"
                raise InputError(f"{path}: {kind}; name a file inside a folder.")
            complete[temporary] = path
            with temporary.open("x+b") as file:
                sink = _Sink(file)
                yield cast(BinaryIO, sink)
                sink.flush()
                sink.raise_fault()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_fault(path, error) from error
        except BaseException as error:
            if sink is not None and sink.fault is not None:
                raise write_fault(path, sink.fault) from error
            raise

    try:
        yield open_file
        for temporary, path in complete.items():
            try:
                temporary.replace(path)
            except OSError as error:
                raise write_fault(path, error) from error
    finally:
        for temporary in complete:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """One file that appears under its name only once it is complete; see `atomic_files`."""
    with atomic_files() as open_file, open_file(path) as file:
        yield file


class _Sink:
    """A file that remembers its OSError: libsndfile calls it from C, where exceptions get lost."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.fault: OSError | None = None
        self.tell, self.read = file.tell, file.read

    def write(self, data: bytes) -> int:
        return self._guarded(self._file.write, data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        # Seeking first writes what is buffered.
        return self._guarded(self._file.seek, offset, whence)

    def flush(self) -> None:
        self._guarded(self._file.flush)

    def raise_fault(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except OSError as error:
            self.fault = error
            return 0


def path_fault(error: OSError) -> InputError | None:
    """What to say of a file that the system refuses; None if it is of another kind."""
    if error.filename is None or error.errno not in _REMEDIES or error.errno == errno.ENOENT:
        return None
    reason = (error.strerror or str(error)).lower()
    path = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    return InputError(f"{path}: cannot be used ({reason}); {_REMEDIES[error.errno]}.")


def write_fault(path: Path, error: OSError) -> InputError:
    """The error of a file that cannot be written, with its remedy."""
    reason = (error.strerror or str(error)).lower()
    remedy = _REMEDIES.get(error.errno or 0, "choose another place")
    return InputError(f"{path}: cannot be written ({reason}); {remedy}.")
