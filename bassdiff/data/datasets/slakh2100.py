"""Slakh2100."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from pathlib import Path
from typing import ClassVar

from bassdiff.data.datasets.archives import Archive
from bassdiff.data.datasets.base import SongBuilder
from bassdiff.data.datasets.paths import inside
from bassdiff.data.datasets.rules import Reading, Track, assemble
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_yaml
from bassdiff.runtime.text_files import read_text
from bassdiff.synthesis import midi
from bassdiff.synthesis.annotation import Annotation

METADATA = "metadata.yaml"
SPLITS = ("train", "validation", "test")
# Classes with another name here; these are not transposed.
CLASSES = {"percussive": "percussion"}


class Slakh2100(SongBuilder):
    """Slakh2100 with its own splits; stems are summed by instrument class.

    `omitted/`, which holds duplicates, is ignored. Beats come from the MIDI file that was rendered.
    """

    name = "slakh2100"
    DESCRIPTION = "Songs of the Lakh MIDI set, rendered stem by stem on sampled instruments."
    HOMEPAGE = "http://www.slakh.com/"
    LICENSE = "CC BY 4.0"
    CITATION = """@inproceedings{manilow2019cutting,
  title = {Cutting Music Source Separation Some {Slakh}: A Dataset to Study the Impact of
           Training Data Quality and Quantity},
  author = {Manilow, Ethan and Wichern, Gordon and Seetharaman, Prem and Le Roux, Jonathan},
  booktitle = {IEEE Workshop on Applications of Signal Processing to Audio and Acoustics},
  year = {2019},
}"""
    MANUAL_DOWNLOAD_INSTRUCTIONS: ClassVar[str] = (
        "Download slakh2100_flac_redux.tar.gz from https://zenodo.org/records/4599666, which is "
        "checked and unpacked; or unpack it: the folder holds train/, validation/ and test/ with "
        "TrackNNNNN/metadata.yaml in them."
    )
    ARCHIVE = Archive(
        "slakh2100_flac_redux.tar.gz", 104_322_767_708, "f4b71b6c45ac9b506f59788456b3f0c4"
    )
    BITS = 16

    def _tracks(self, folder: Path | None) -> list[Track]:
        assert folder is not None
        tracks = []
        for split in SPLITS:
            if not (folder / split).is_dir():
                raise InputError(f"{folder}: there is no {split}/ in it; name Slakh2100's folder.")
            for song in sorted((folder / split).glob("Track*")):
                files = (song / METADATA, song / "all_src.mid", *sorted(song.glob("stems/*.flac")))
                tracks.append(Track(song.name, split, functools.partial(_read, song), files))
        return tracks


def _read(song: Path) -> Reading:
    files: dict[str, list[Path]] = defaultdict(list)
    try:
        metadata = parse_yaml(read_text(song / METADATA))
        for stem, facts in metadata["stems"].items():
            # Stems that could not be rendered have no file and are not in the mix.
            if facts["audio_rendered"]:
                name = facts["inst_class"].lower().replace(" ", "_")
                path = inside(song, metadata["audio_dir"], f"{stem}.flac")
                files[CLASSES.get(name, name)].append(path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{song / METADATA}: is not valid Slakh metadata; unpack it again."
        ) from error
    changes: tuple[str, ...] = ()
    try:
        beats = midi.parse_midi(song / "all_src.mid").get_beats()
    except InputError as error:
        beats, changes = (), (f"beats are unknown ({error})",)
    reading = assemble(song.name, files)
    seconds = len(reading.stems.bass) / reading.stems.sample_rate_hz
    known = Annotation(tuple(float(beat) for beat in beats if beat < seconds))
    stems = dataclasses.replace(reading.stems, annotation=known)
    return Reading(stems, (*reading.changes, *changes))
