"""Multitrack recordings of the user."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bassdiff.data.datasets.base import SongBuilder, SourceConfig
from bassdiff.data.datasets.rules import Reading, Track, assemble, tracks_by_hash
from bassdiff.runtime.text_files import read_text
from bassdiff.synthesis.annotation import FILE_NAME, Annotation, parse_annotation
from bassdiff.synthesis.stems import stem_files


class StemFolders(SongBuilder):
    """Any folder of songs as `SONG/bass.wav`, `SONG/drums.flac`, ...; a tenth held out by hash.

    >>> config = SourceConfig(name="my_songs", folder="/songs")
    >>> StemFolders(config=config, data_dir="/data").info.full_name
    'stem_folders/my_songs/1.0.0'
    """

    name = "stem_folders"
    DESCRIPTION = "Multitrack songs of the user."
    BUILDER_CONFIGS: ClassVar[list[SourceConfig]] = []

    def _tracks(self, folder: Path | None) -> list[Track]:
        assert folder is not None
        songs = [
            path for path in sorted(folder.iterdir()) if path.is_dir() and len(stem_files(path))
        ]
        return tracks_by_hash(
            songs, _read, lambda song: (*stem_files(song).values(), song / FILE_NAME)
        )


def _read(song: Path) -> Reading:
    notes = song / FILE_NAME
    known = parse_annotation(read_text(notes), str(notes)) if notes.is_file() else Annotation()
    files = {name: [path] for name, path in stem_files(song).items()}
    return assemble(song.name, files, known)
