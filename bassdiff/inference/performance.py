"""One performance: reads a mix, plays the bass, writes what a musician wants to have."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from bassdiff.audio.decoding import AudioInfo
from bassdiff.audio.io import check_target, probe, read, write
from bassdiff.inference.control import Control
from bassdiff.inference.inputs import MAX_SECONDS, Draft, Style, check_length, check_seed
from bassdiff.runtime.atomic import OpenFile, atomic_file, atomic_files, check_writable
from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from bassdiff.inference.generator import BassGenerator

# A softer file is not the sum of its parts any more, which whoever adds them must know.
AUDIBLE_GAIN_DB = -0.05
AUDIBLE_LIMITING_DB = 6.0


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The files of one bass: itself, the mix with it, and if wanted a picture and its notes."""

    bass: Path
    mixdown: Path
    picture: Path | None
    midi: Path | None = None

    def paths(self) -> list[Path]:
        """All of them."""
        return [path for path in (self.bass, self.mixdown, self.picture, self.midi) if path]


def check_outputs(outputs: list[Outputs], inputs: list[Path], info: AudioInfo) -> None:
    """Checks that the files can be written and destroy nothing.

    Args:
      outputs: What is to be written.
      inputs: Files that must stay as they are.
      info: The mix's header: the mixdown has its rate and channels.

    Raises:
      InputError: If a file cannot be written, replaces an input, or is named twice.
    """
    paths = [path for output in outputs for path in output.paths()]
    for path in paths:
        # Not resolve: a link in a loop is none of its business.
        if os.path.realpath(path) in map(os.path.realpath, inputs):
            raise InputError(f"{path} is an input and would be overwritten; choose another name")
        if paths.count(path) > 1:
            raise InputError(f"{path} is to be two files at once; choose another name for one")
    for output in outputs:
        check_target(output.bass, info.sample_rate_hz, 1)
        check_target(output.mixdown, info.sample_rate_hz, info.channels)
        for path in filter(None, (output.picture, output.midi)):
            check_writable(path)


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
    if variations < 1:
        raise InputError(f"{variations} variations cannot be played; ask for at least 1")
    outputs = []
    for number in range(1, variations + 1):
        tail = f"-{number}" if variations > 1 else ""
        own = _renamed(bass, tail)
        mixed = _renamed(mixdown, tail) if mixdown else _renamed(own, "-mixdown")
        picture = own.with_suffix(".png") if plot else None
        notes = own.with_suffix(".mid") if midi else None
        outputs.append(Outputs(own, mixed, picture, notes))
    return outputs


def perform(
    mix_path: Path,
    outputs: list[Outputs],
    weights: str,
    adapter: str | None,
    styles: Sequence[Style],
    draft: Draft | None,
    control: Control | None,
    seed: int,
    overrides: Mapping[str, Any],
) -> None:
    """Plays one bass per element of `outputs`, with seeds `seed`, `seed + 1`, ...

    Everything that can be wrong with the request is checked first, and files appear only when
    all the playing and writing is done.

    Raises:
      InputError: If anything that was given, a setting or an output cannot be used.
    """
    info = probe(mix_path)
    recordings = [style.recording for style in styles] + ([draft.bass] if draft else [])
    files = [Path(recording) for recording in recordings if isinstance(recording, (str, Path))]
    check_outputs(outputs, [mix_path, *files], info)
    check_seed(seed + len(outputs) - 1)
    if info.num_samples:
        check_length(str(mix_path), info.num_samples, info.sample_rate_hz)
    mix = read(mix_path, max_samples=round(MAX_SECONDS * info.sample_rate_hz))
    check_length(str(mix_path), len(mix), info.sample_rate_hz)
    # What plays takes a second to import: whatever is wrong with the request is said before.
    from bassdiff.audio.mixdown import mixdown
    from bassdiff.inference.generator import load

    generator = load(weights, adapter)
    basses = [
        _play(
            generator,
            mix,
            info.sample_rate_hz,
            label,
            style=styles or None,
            draft=draft,
            control=control,
            seed=seed + number,
            **overrides,
        )
        for number, label in enumerate(_labels(len(outputs)))
    ]
    with atomic_files() as open_file:
        for output, bass in zip(outputs, basses, strict=True):
            gain_db = write(output.bass, bass, info.sample_rate_hz, open_file)
            if gain_db < AUDIBLE_GAIN_DB:
                warnings.warn(
                    f"{output.bass} is {-gain_db:.1f} dB softer than it was played, or it would "
                    "clip; the mixdown has it at its level, and a .wav file would too",
                    stacklevel=2,
                )
            together, limited_db = mixdown(mix, bass, info.sample_rate_hz)
            write(output.mixdown, together, info.sample_rate_hz, open_file)
            if limited_db > AUDIBLE_LIMITING_DB:
                warnings.warn(
                    f"{output.mixdown} had peaks of {limited_db:.1f} dB too much, which were "
                    "limited; give a mix with more headroom",
                    stacklevel=2,
                )
            if output.picture:
                from bassdiff.inference.picture import draw

                draw(mix.mean(axis=1), bass, info.sample_rate_hz, output.picture, open_file)
            if output.midi:
                write_notes(bass, info.sample_rate_hz, output.midi, open_file)


def write_notes(
    bass: np.ndarray, sample_rate_hz: int, path: Path, open_file: OpenFile = atomic_file
) -> int:
    """Writes the notes of a bass as a MIDI file; returns how many there are.

    Args:
      bass: `[N]` float.
      sample_rate_hz: Its rate.
      path: The file.
      open_file: Opens it; from `atomic_files`, for several that belong together.

    Raises:
      InputError: The file cannot be written.
    """
    from bassdiff.audio.transcription import transcribe
    from bassdiff.synthesis.midi import bass_track

    notes = transcribe(bass, sample_rate_hz)
    with open_file(path) as file:
        bass_track(notes).write(file)
    return len(notes)


def _play(
    generator: BassGenerator, mix: np.ndarray, sample_rate_hz: int, label: str, **how: Any
) -> np.ndarray:
    with tqdm(desc=label, unit="step", total=1) as bar:

        def show(stage: str, done: int, total: int) -> None:
            if stage == "playing":
                bar.total = total
                bar.update(done - bar.n)
            else:
                bar.set_postfix_str("" if done else stage)

        return generator.generate(mix, sample_rate_hz, progress=show, **how)


def _labels(count: int) -> list[str]:
    return ["playing"] if count == 1 else [f"playing {i + 1} of {count}" for i in range(count)]


def _renamed(path: Path, tail: str) -> Path:
    return path.with_name(f"{path.stem}{tail}{path.suffix}")
