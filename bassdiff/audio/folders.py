"""Which files of a folder are audio, by what people's folders really hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# What the reader can read, in small letters.
AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .caf .au .w64 .rf64 "
    ".m4a .m4b .aac .mp4 .mka .webm .wma .ac3 .eac3 .mp2 .tta .tak .wv .ape .dts .dsf .amr "
    ".mkv .mov .avi .3gp .flv".split()
)


def visible_files(folder: Path, suffixes: frozenset[str], deep: bool = False) -> list[Path]:
    """The files with one of some suffixes, in any case, sorted.

    Hidden files are none: file managers and other systems leave `._song.wav`, which holds no audio.

    Args:
      folder: Whose.
      suffixes: In small letters, with their dot.
      deep: Look into sub-folders too, but for hidden ones.
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
