"""MoisesDB."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import ClassVar

from bassdiff.data.datasets.archives import Archive
from bassdiff.data.datasets.base import SongBuilder
from bassdiff.data.datasets.paths import inside
from bassdiff.data.datasets.rules import Reading, Track, assemble, tracks_by_hash
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text

METADATA = "data.json"


class MoisesDb(SongBuilder):
    """MoisesDB: songs by UUID, files of a stem folder summed, a tenth held out by hash."""

    name = "moisesdb"
    DESCRIPTION = "240 songs of twelve genres in up to eleven stems, each of one or more sources."
    HOMEPAGE = "https://music.ai/research/"
    LICENSE = "CC BY-NC-SA 4.0, for non-commercial research."
    CITATION = """@misc{pereira2023moisesdb,
  title = {MoisesDB: A dataset for source separation beyond 4-stems},
  author = {Pereira, Igor and Ara{\\'u}jo, Felipe and Korzeniowski, Filip and Vogl, Richard},
  year = {2023},
  eprint = {2307.15913},
  archivePrefix = {arXiv},
}"""
    MANUAL_DOWNLOAD_INSTRUCTIONS: ClassVar[str] = (
        "Ask for moisesdb.zip at https://music.ai/research/, which is unpacked; or unpack it: the "
        "folder holds moisesdb_v0.1/UUID/data.json and a folder of wav files for every stem."
    )
    # Neither size nor checksum is published.
    ARCHIVE = Archive("moisesdb.zip")

    def _tracks(self, folder: Path | None) -> list[Track]:
        assert folder is not None
        root = folder / "moisesdb_v0.1"
        root = root if root.is_dir() else folder
        songs = sorted(path.parent for path in root.glob(f"*/{METADATA}"))
        if not songs:
            raise InputError(f"{root}: there is no UUID/{METADATA} in it; name MoisesDB's folder.")
        return tracks_by_hash(
            songs, _read, lambda song: (song / METADATA, *sorted(song.glob("*/*.*")))
        )


def _read(song: Path) -> Reading:
    files: dict[str, list[Path]] = defaultdict(list)
    try:
        for stem in parse_json(read_text(song / METADATA))["stems"]:
            for track in stem["tracks"]:
                path = inside(song, stem["stemName"], f"{track['id']}.{track['extension']}")
                if path not in files[stem["stemName"]]:
                    files[stem["stemName"]].append(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{song / METADATA}: is not valid MoisesDB metadata; unpack it again."
        ) from error
    return assemble(song.name, files)
