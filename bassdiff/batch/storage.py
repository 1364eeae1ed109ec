"""Where results go: a folder, or an object store by fsspec; every file whole and once.

A file is made in a folder of the job's own, and then takes its name: locally by renaming, which no
reader can see half done, and on object stores by one upload, which appears when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import filelock
import fsspec
from fsspec.implementations.local import LocalFileSystem

from bassdiff.batch.item import is_url
from bassdiff.batch.patience import Patience
from bassdiff.runtime.atomic import check_folder, make_folder, write_fault
from bassdiff.runtime.errors import InputError

Result = TypeVar("Result")

_BLOCK_BYTES = 1 << 20


class Storage:
    """The folder of a job, into which several processes may write under names of their own.

    Attributes:
      url: The folder's path or URL.
      scratch: A local folder for what is being made.
    """

    def __init__(self, url: str, writer: str, patience: Patience) -> None:
        """Opens a folder, and clears what its writer has left when it was killed.

        Args:
          url: Path or URL.
          writer: Who writes, such as "part 1 of 4"; one process at a time for each.
          patience: For a store that does not answer.

        Raises:
          InputError: It cannot be written, or a process of this name is at work already.
        """
        self._patience = patience
        try:
            self._fs, self._root = fsspec.url_to_fs(url if is_url(url) else os.path.abspath(url))
        except (ImportError, ValueError) as error:
            raise InputError(
                f"{url}: cannot be reached ({error}); install bassdiff[s3] or bassdiff[gcs], or "
                "name a folder"
            ) from error
        self.url = url.rstrip("/")
        self.is_local = isinstance(self._fs, LocalFileSystem)
        # What has been appended to a remote file, which can only be written as a whole.
        self._appended: dict[str, bytes] = {}
        name = writer.replace(" ", "-")
        if self.is_local:
            check_folder(self._root)
            make_folder(self._root)
            # On the same disk, so that renaming is all it takes to publish.
            self.scratch = Path(self._root) / f".{name}"
        else:
            digest = hashlib.sha256(self.url.encode()).hexdigest()[:16]
            self.scratch = Path(tempfile.gettempdir()) / f"bassdiff-{os.getuid()}-{digest}-{name}"
        make_folder(self.scratch)
        self._lock = filelock.FileLock(self.scratch / "lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(
                f"{url}: {writer} is being written by another process; wait for it, or end it"
            ) from None
        self._clear()

    def close(self) -> None:
        """Leaves nothing but results."""
        self._clear()
        self._lock.release()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _clear(self) -> None:
        for path in self.scratch.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != "lock":
                path.unlink(missing_ok=True)

    def publish(self, name: str, make: Callable[[Path], None]) -> str:
        """Makes a file and lets it appear under its name, in place of one that was there.

        Args:
          name: Below the folder, with `/` between folders.
          make: Writes the file at the path it is given, which has the name's suffix.

        Returns:
          The file's SHA-256.

        Raises:
          InputError: The disk is full or cannot be written.
          StoreUnavailable: The store did not take it for long.
        """
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            path = Path(folder) / posixpath.basename(name)
            make(path)
            with path.open("rb") as file:
                digest = _sha256(file)
            target = self._path(name)
            if self.is_local:
                self._rename(path, Path(target))
            else:
                self._send(name, lambda: self._fs.put_file(str(path), target))
        return digest

    def _send(self, name: str, upload: Callable[[], None]) -> None:
        try:
            self._patience(self.full(name), upload)
        except (OSError, NotImplementedError) as error:
            raise InputError(
                f"{self.full(name)}: cannot be written ({type(error).__name__}: {error}); choose "
                "a place that you may write to"
            ) from error

    def _rename(self, path: Path, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            # The name lasts, too, when the machine goes down.
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise write_fault(target, error) from error

    def read(self, name: str, read: Callable[[BinaryIO], Result]) -> Result:
        """What `read` makes of a file; begun again if the store fails on the way.

        Raises:
          FileNotFoundError: There is no such file.
          StoreUnavailable: The store did not answer for long.
        """

        def opened() -> Result:
            with self._fs.open(self._path(name), "rb") as file:
                return read(file)

        return self._patience(self.full(name), opened)

    def digest(self, name: str) -> str | None:
        """The SHA-256 of a file that was published; None if there is none."""
        try:
            return self.read(name, _sha256)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def remove(self, name: str) -> None:
        """Deletes a file or a folder, if there is one."""
        path = self._path(name)

        def delete() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm(path, recursive=True)
            if self.is_local and os.path.lexists(path):
                raise OSError(f"{path}: files vanish or appear while they are deleted")

        self._patience(self.full(name), delete)

    def count(self, folder: str, end: str) -> int:
        """How many files in a folder have names that end so."""

        def found() -> int:
            self._fs.invalidate_cache()
            with contextlib.suppress(FileNotFoundError):
                return sum(x.endswith(end) for x in self._fs.ls(self._path(folder), detail=False))
            return 0

        return self._patience(self.full(folder), found)

    def append(self, name: str, text: str) -> None:
        """Adds lines at the end of a file; they last when this returns.

        Raises:
          InputError: The disk is full or cannot be written.
          StoreUnavailable: The store did not take it for long.
        """
        path, data = self._path(name), text.encode()
        if self.is_local:
            try:
                with open(path, "ab") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise write_fault(Path(path), error) from error
            return
        self._appended[name] = whole = self._appended.get(name, b"") + data
        self._send(name, lambda: self._fs.pipe_file(path, whole))

    def names(self, start: str, end: str) -> list[str]:
        """The files directly in the folder whose names begin and end so, sorted."""

        def found() -> list[str]:
            self._fs.invalidate_cache()
            # Not `exists`, which for some stores is false whatever went wrong.
            with contextlib.suppress(FileNotFoundError):
                return [posixpath.basename(path) for path in self._fs.ls(self._root, detail=False)]
            return []

        listed = self._patience(self.url, found)
        return sorted(name for name in listed if name.startswith(start) and name.endswith(end))

    def lines(self, name: str) -> Iterator[bytes]:
        """The complete lines of a file; what a process that was killed left without end is none."""
        with self._patience(self.full(name), lambda: self._fs.open(self._path(name), "rb")) as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name)

    def full(self, name: str) -> str:
        """The path or URL of a file."""
        return posixpath.join(self.url, name)


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
