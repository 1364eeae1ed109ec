"""Finds the audio files of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Suffixes of formats that can be read, in lower case.
AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .caf .au .w64 .rf64 "
    ".m4a .m4b .aac .mp4 .mka .webm .wma .ac3 .eac3 .mp2 .tta .tak .wv .ape .dts .dsf .amr "
    ".mkv .mov .avi .3gp .flv".split()
)


def visible_files(folder: Path, suffixes: frozenset[str], deep: bool = False) -> list[Path]:
    """The files with one of some suffixes, in any case, sorted.

    Hidden files are left out: macOS writes files such as `._song.wav`, which hold no audio.

    Args:
      folder: The folder.
      suffixes: Suffixes in lower case, with their dot.
      deep: Look into sub-folders too, except for hidden ones.
    """

    def found(where: Path) -> Iterator[Path]:
        for path in where.iterdir():
            if path.name.startswith("."):
                continue
            if path.is_dir():
                if deep:
                    yield from found(path)
            elif path.suffix.lower() in suffixes:
                yield path

    return sorted(found(folder))
