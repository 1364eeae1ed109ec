"""One song of a job, and which part of the job plays it."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from typing import Any

from bassdiff.inference.chord_files import has_bars
from bassdiff.runtime.errors import InputError

# An id is a part of file names, to which suffixes are added.
_MAX_ID_BYTES = 200


@dataclasses.dataclass(frozen=True)
class Item:
    """One song to play to.

    Attributes:
      id: Its name among all songs, which its files have too.
      mix: Path or URL of the mix.
      styles: Paths or URLs of bass recordings whose sound to take; several are blended.
      seed: Of the noise; None for one that the id decides.
      settings: Fields of `Sampling` by name.
      control: Fields of `Control` by name: chords, a key and the like; files by path or URL.
    """

    id: str
    mix: str
    styles: tuple[str, ...] = ()
    seed: int | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    control: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Part:
    """One of `count` parts of a manifest, counted from 0. An id decides which part has a song."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        """As people count: `part 1 of 4`."""
        return f"part {self.index + 1} of {self.count}"

    def has(self, song_id: str) -> bool:
        """Whether the song is in this part, whatever the order or number of the others."""
        return zlib.crc32(song_id.encode()) % self.count == self.index


def control_files(control: Mapping[str, Any]) -> list[str]:
    """Which fields of a song's control name a file to read."""
    return [
        name
        for name in ("chords", "notes")
        if name in control and (name == "notes" or not has_bars(control[name]))
    ]


def is_url(name: str) -> bool:
    """Whether a name says how to reach it, as `s3://bucket/song.wav` does."""
    return "://" in name


def check_id(song_id: Any) -> str:
    """An id that file names may be made of.

    Raises:
      InputError: It is not text, too long, or would lead out of the folder.
    """
    if isinstance(song_id, int) and not isinstance(song_id, bool):
        song_id = str(song_id)
    if (
        not isinstance(song_id, str)
        or not song_id.isprintable()
        or "\\" in song_id
        or not {"", ".", ".."}.isdisjoint(song_id.split("/"))
        or len(song_id.encode()) > _MAX_ID_BYTES
    ):
        raise InputError(
            f"the id {song_id!r} cannot be a file's name; use up to {_MAX_ID_BYTES} bytes of "
            "letters and digits, with / for folders"
        )
    return song_id
