"""One performance: reads a mix, generates the bass and writes its files."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from bassdiff import __version__
from bassdiff.audio.decoding import AudioInfo
from bassdiff.audio.io import check_target, probe, read, write
from bassdiff.diffusion.settings import check_overrides
from bassdiff.inference.analysis import listened
from bassdiff.inference.chords import segments
from bassdiff.inference.control import Control
from bassdiff.inference.inputs import MAX_SECONDS, Draft, Style, check_length, check_seed
from bassdiff.inference.record import hashes, make_record, tags_of
from bassdiff.runtime.atomic import OpenFile, atomic_file, atomic_files, check_writable
from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from bassdiff.inference.generator import BassGenerator

# Mix and bass files no longer add up to the mixdown if a file is softer by more than this.
AUDIBLE_GAIN_DB = -0.05
AUDIBLE_LIMITING_DB = 6.0
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
    words: Mapping[str, Any],
    overwrite: bool = False,
    expected_weights: Mapping[str, str] | None = None,
) -> None:
    """Plays one bass per element of `outputs`, with seeds `seed`, `seed + 1`, ...

    The request is checked completely before anything is generated, and no file appears before all
    are written.

    Args:
      mix_path: The mix.
      outputs: The files to write.
      weights: The name or folder of the weights.
      adapter: An adapter of these weights, or None.
      styles: References of sound.
      draft: A bass to start from.
      control: Choices of the musician.
      seed: The seed of the first bass.
      overrides: Settings that replace the weights' own.
      words: The options that were given, for the record.
      overwrite: Whether files that are there already may be replaced.
      expected_weights: Fingerprints that the weights must have; None if any will do.

    Raises:
      InputError: If anything that was given, a setting or an output cannot be used.
    """
    info = probe(mix_path)
    control = control or Control()
    recordings = [style.recording for style in styles] + ([draft.bass] if draft else [])
    files = [Path(recording) for recording in recordings if isinstance(recording, (str, Path))]
    files = [mix_path, *files, *control.files()]
    check_outputs(outputs, files, info, overwrite)
    check_seed(seed + len(outputs) - 1)
    if info.num_samples:
        check_length(str(mix_path), info.num_samples, info.sample_rate_hz)
    mix = read(mix_path, max_samples=round(MAX_SECONDS * info.sample_rate_hz))
    check_length(str(mix_path), len(mix), info.sample_rate_hz)
    check_overrides(overrides)
    for file in files:
        if file not in control.files():
            probe(file)
    if draft is not None:
        draft.check_fits(len(mix) / info.sample_rate_hz)
    # What plays takes a second to import: most of what may be wrong is said before.
    from bassdiff.inference.conditioning import section_starts
    from bassdiff.inference.generator import load
    from bassdiff.pretrained.release import LICENCE, released

    section_starts(styles, overrides.get("grounding"), len(mix) / info.sample_rate_hz)
    generator = load(weights, adapter)
    about_weights = {"name": Path(weights).name, **generator.fingerprints}
    if weights in released():
        about_weights["licence"] = LICENCE
    if expected_weights is not None and expected_weights != about_weights:
        raise InputError(
            f"the weights {weights} are not those that the bass was made with; give those, or "
            "leave out --like"
        )
    control, estimated = listened(control, mix, info.sample_rate_hz)
    settings = dataclasses.replace(generator.defaults, **overrides)
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
    heard, digests = control.described(), hashes(files)
    if estimated:
        heard["estimated_chords"] = estimated
    seconds = len(mix) / info.sample_rate_hz
    pictured = mix.mean(axis=1) if any(output.picture for output in outputs) else mix
    with atomic_files() as open_file:
        for number, (output, bass) in enumerate(zip(outputs, basses, strict=True)):
            is_last = number + 1 == len(outputs)
            record = make_record(
                words,
                digests,
                __version__,
                about_weights,
                dataclasses.asdict(settings),
                heard,
                seed + number,
                bass,
            )
            _write(output, mix, bass, info.sample_rate_hz, record, mix_path, open_file, is_last)
            if output.picture:
                # matplotlib takes a second to import, which --no-plot saves.
                from bassdiff.inference.picture import draw
                from bassdiff.inference.picture_marks import Marks

                region = draft.free_seconds if draft else control.notes_region
                marks = Marks(
                    control.bars(seconds),
                    control.chord_segments() or (segments(estimated) if estimated else []),
                    None if region is None or region[0] is None else (region[0], region[1]),
                )
                draw(pictured, bass, info.sample_rate_hz, output.picture, open_file, marks)


def _write(
    output: Outputs,
    mix: np.ndarray,
    bass: np.ndarray,
    sample_rate_hz: int,
    record: Mapping[str, Any],
    mix_path: Path,
    open_file: OpenFile,
    is_last: bool,
) -> None:
    """Writes the files of one bass, except for its picture; the last one uses the mix up."""
    from bassdiff.audio.mixdown import mixdown

    gain_db = write(output.bass, bass, sample_rate_hz, open_file, tags_of(record, mix_path))
    if gain_db < AUDIBLE_GAIN_DB:
        warnings.warn(
            f"{output.bass} is {-gain_db:.1f} dB softer than it was played, or it would clip; the "
            "mixdown has it at its level, and a .wav file would too",
            stacklevel=3,
        )
    together, limited_db = mixdown(mix, bass, sample_rate_hz, in_place=is_last)
    write(output.mixdown, together, sample_rate_hz, open_file)
    if limited_db > AUDIBLE_LIMITING_DB:
        warnings.warn(
            f"{output.mixdown} had peaks of {limited_db:.1f} dB too much, which were limited; give "
            "a mix with more headroom",
            stacklevel=3,
        )
    if output.midi:
        write_notes(bass, sample_rate_hz, output.midi, open_file)
    if output.record:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with open_file(output.record) as file:
            file.write(json.dumps({**record, "date": now}, indent=1).encode())


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
