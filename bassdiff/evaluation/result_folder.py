"""Reads an evaluation folder: tables of results, and clips with their basses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, read_mono
from bassdiff.evaluation.clips import MIX
from bassdiff.metrics.table import Table, parse_table
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text

# In the order of a report.
TASKS = (
    *("music", "matching", "distances", "memorisation", "style", "longform", "codec"),
    *("ablation", "sweep", "control"),
)
_REMEDY = "make it with `bassdiff evaluate music --out DIR`"


@dataclass(frozen=True)
class PlayedClip:
    """A clip of an evaluation folder: a mix, and the bass of each system.

    Attributes:
      name: Unique name, also of its folder.
      song: The song's name.
      start_seconds: Start within the song.
      seconds: Length.
      folder: Folder of its audio files.
    """

    name: str
    song: str
    start_seconds: float
    seconds: float
    folder: Path

    def systems(self) -> list[str]:
        """Names of the systems with a bass for this clip, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.flac") if path.stem != MIX)

    def read(self, name: str, max_seconds: float) -> np.ndarray:
        """Reads the beginning of the mix, or of a system's bass.

        Args:
          name: A system, or `MIX`.
          max_seconds: Longest result.

        Returns:
          `[N]` float32 at 44.1 kHz, at the level at which basses are added to mixes.

        Raises:
          InputError: If the file is missing or is not audio.
        """
        return read_mono(self.folder / f"{name}.flac")[: round(max_seconds * SAMPLE_RATE_HZ)]


@dataclass(frozen=True)
class EvaluationFolder:
    """The content of an evaluation folder, except audio.

    Attributes:
      about: Weights, data, settings and version behind the results.
      tables: One or more tables by file stem, in the order of `TASKS`. A task can have several,
        such as `distances` with different embedders.
      clips: The clips, in order; may be empty.
    """

    about: dict[str, Any]
    tables: dict[str, Table]
    clips: list[PlayedClip]


def read_folder(folder: Path) -> EvaluationFolder:
    """Reads an evaluation folder.

    Raises:
      InputError: If it has no `about.json` or no results, or a file in it is unreadable.
    """
    if not (folder / "about.json").is_file():
        raise InputError(f"{folder}: holds no about.json, so it is not an evaluation; {_REMEDY}.")
    about = _read_json(folder / "about.json")
    if not isinstance(about, dict):
        raise InputError(f"{folder / 'about.json'}: is not a JSON object; {_REMEDY}.")
    paths = [
        path
        for task in TASKS
        for path in (folder / f"{task}.json", *sorted(folder.glob(f"{task}-*.json")))
        if path.is_file()
    ]
    tables = {path.stem: parse_table(_read_text(path), str(path)) for path in paths}
    if not tables:
        names = ", ".join(f"{task}.json" for task in TASKS)
        raise InputError(f"{folder}: holds none of the results {names}; {_REMEDY}.")
    has_clips = (folder / "clips.json").is_file()
    return EvaluationFolder(about, tables, read_clips(folder) if has_clips else [])


def read_clips(folder: Path) -> list[PlayedClip]:
    """Reads the list of an evaluation folder's clips.

    Raises:
      InputError: If the list is missing or unreadable.
    """
    path = folder / "clips.json"
    if not path.is_file():
        raise InputError(f"{folder}: holds no clips.json and so no clips; {_REMEDY}.")
    try:
        return [
            PlayedClip(
                name=str(clip["name"]),
                song=str(clip["song"]),
                start_seconds=float(clip["start_seconds"]),
                seconds=float(clip["seconds"]),
                folder=folder / "clips" / _file_name(clip["name"]),
            )
            for clip in _read_json(path)
        ]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not a list of clips; {_REMEDY}.") from error


def _file_name(name: object) -> str:
    """A name without folders; ValueError for others, which could lead anywhere."""
    if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name:
        raise ValueError(name)
    return name


def _read_text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, InputError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {_REMEDY}.") from error


def _read_json(path: Path) -> Any:
    try:
        return parse_json(_read_text(path))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not JSON ({error}); {_REMEDY}.") from error
