"""Names of files that a set's own metadata gives."""

from __future__ import annotations

from pathlib import Path


def inside(song: Path, *names: str) -> Path:
    """A file of a song's folder.

    Args:
      song: The folder.
      *names: The folders and the file in it, as the metadata says.

    Raises:
      ValueError: It is elsewhere: what a stranger wrote may name any file.
    """
    path = song.joinpath(*names)
    if not path.resolve().is_relative_to(song.resolve()):
        raise ValueError(f"{path} is outside {song}")
    return path
