"""The files of one bass: their names, and whether they can be written."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from bassdiff.audio.decoding import AudioInfo
from bassdiff.audio.io import check_target
from bassdiff.runtime.atomic import check_writable
from bassdiff.runtime.errors import InputError

MAX_VARIATIONS = 1000


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The files of one bass: itself, the mix with it, how it was made, a picture and its notes."""

    bass: Path
    mixdown: Path
    picture: Path | None
    midi: Path | None = None
    record: Path | None = None

    def paths(self) -> list[Path]:
        """All of them."""
        return [
            path for path in (self.bass, self.mixdown, self.picture, self.midi, self.record) if path
        ]


def check_outputs(
    outputs: list[Outputs], inputs: list[Path], info: AudioInfo, overwrite: bool
) -> None:
    """Checks that the files can be written and destroy nothing.

    Args:
      outputs: The files to write.
      inputs: Files that must stay as they are.
      info: The mix's header: the mixdown has its rate and channels.
      overwrite: Whether existing files may be replaced.

    Raises:
      InputError: If a file cannot be written, replaces an input or an existing file, or is named
        twice.
    """
    paths = [path for output in outputs for path in output.paths()]
    for path in paths:
        # `Path.resolve` fails on a link that leads to itself.
        if os.path.realpath(path) in map(os.path.realpath, inputs):
            raise InputError(f"{path} is an input and would be overwritten; choose another name")
        if paths.count(path) > 1:
            raise InputError(f"{path} would be two files at once; choose another name for one")
    for output in outputs:
        check_target(output.bass, info.sample_rate_hz, 1)
        check_target(output.mixdown, info.sample_rate_hz, info.channels)
        for path in filter(None, (output.picture, output.midi, output.record)):
            check_writable(path)
    for path in paths:
        if path.is_file() and not overwrite:
            raise InputError(f"{path} is there already; give --overwrite, or another --out")


def name_outputs(
    bass: Path, mixdown: Path | None, plot: bool, variations: int, midi: bool = False
) -> list[Outputs]:
    """The files of every variation: numbered from 1 if there are several.

    Raises:
      InputError: If `variations` is not positive, or a path names no file.
    """
    for path in filter(None, (bass, mixdown)):
        if not path.name:
            raise InputError(f"{path}: names no file; name one, such as bass.wav")
    if not 1 <= variations <= MAX_VARIATIONS:
        raise InputError(f"{variations} variations cannot be played; ask for 1 to {MAX_VARIATIONS}")
    outputs = []
    for number in range(1, variations + 1):
        tail = f"-{number}" if variations > 1 else ""
        own = _renamed(bass, tail)
        mixed = _renamed(mixdown, tail) if mixdown else _renamed(own, "-mixdown")
        picture = own.with_suffix(".png") if plot else None
        notes = own.with_suffix(".mid") if midi else None
        outputs.append(Outputs(own, mixed, picture, notes, own.with_suffix(".json")))
    return outputs


def _renamed(path: Path, tail: str) -> Path:
    return path.with_name(f"{path.stem}{tail}{path.suffix}")
