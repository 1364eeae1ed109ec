"""A stretch of a file, as if it were a file of its own."""

from __future__ import annotations

import io
import os
from pathlib import Path


class Window(io.RawIOBase):
    """Reads `head`, and then bytes `start` to `end` of a file.

    Decoders take it in place of a path, so they do not see the file's name and cannot open another
    file through it.

    Args:
      path: The file.
      start: Its first byte that is read.
      end: The byte after the last one; the file's end when None.
      head: Bytes that come first, in place of a header that cannot be used as it is.
    """

    def __init__(self, path: Path, start: int = 0, end: int | None = None, head: bytes = b""):
        super().__init__()
        self._file = path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        self._start, self._head = start, head
        self._size = len(head) + max(0, min(size, size if end is None else end) - start)
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position, counted from the first byte of the stretch."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves as any file does."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Reads at most `size` bytes."""
        left = max(0, self._size - self._position)
        size = left if size is None or size < 0 else min(size, left)
        data = self._head[self._position : self._position + size]
        if len(data) < size:
            self._file.seek(self._start + self._position + len(data) - len(self._head))
            data += self._file.read(size - len(data))
        self._position += len(data)
        return data

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Reads into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()
