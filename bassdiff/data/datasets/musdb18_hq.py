"""MUSDB18-HQ."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar

from bassdiff.data.datasets.archives import Archive
from bassdiff.data.datasets.base import SongBuilder
from bassdiff.data.datasets.rules import Reading, Track, assemble
from bassdiff.runtime.errors import InputError

STEMS = ("bass", "drums", "other", "vocals")
# The songs of train/ that the set's own loader, the package `musdb`, holds out.
VALIDATION = frozenset(
    {
        "ANiMAL - Rockshow",
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)


class Musdb18Hq(SongBuilder):
    """`train/` (without 14 songs for validation) and `test/`, four stems to a song."""

    name = "musdb18_hq"
    DESCRIPTION = "150 songs of many genres, mixed from bass, drums, vocals and other."
    HOMEPAGE = "https://sigsep.github.io/datasets/musdb.html"
    LICENSE = "For educational and non-commercial use; each song under a licence of its own."
    CITATION = """@misc{musdb18-hq,
  author = {Rafii, Zafar and Liutkus, Antoine and St{\\"o}ter, Fabian-Robert and
            Mimilakis, Stylianos Ioannis and Bittner, Rachel},
  title = {{MUSDB18-HQ} - an uncompressed version of {MUSDB18}},
  year = {2019},
  doi = {10.5281/zenodo.3338373},
}"""
    MANUAL_DOWNLOAD_INSTRUCTIONS: ClassVar[str] = (
        "Download musdb18hq.zip from https://zenodo.org/records/3338373, which is checked and "
        "unpacked; or unpack it: the folder holds train/SONG/ and test/SONG/, each with "
        "mixture.wav and four stems."
    )
    ARCHIVE = Archive("musdb18hq.zip", 22_656_664_047, "12d4f2ecd55245a4688754dd76363103")

    def _tracks(self, folder: Path | None) -> list[Track]:
        assert folder is not None
        tracks = []
        for part in ("train", "test"):
            if not (folder / part).is_dir():
                raise InputError(f"{folder}: there is no {part}/ in it; name MUSDB18-HQ's folder.")
            for song in sorted(path for path in (folder / part).iterdir() if path.is_dir()):
                held_out = part == "train" and song.name in VALIDATION
                files = tuple(song / f"{stem}.wav" for stem in STEMS)
                read = functools.partial(_read, song)
                tracks.append(Track(song.name, "validation" if held_out else part, read, files))
        return tracks


def _read(song: Path) -> Reading:
    # The mixture is the sum of the stems and is not read.
    return assemble(song.name, {stem: [song / f"{stem}.wav"] for stem in STEMS})
