"""One performance: reads a mix, generates the bass and writes its files."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bassdiff import __version__
from bassdiff.audio.io import probe
from bassdiff.audio.source import AudioSource
from bassdiff.diffusion.settings import check_overrides
from bassdiff.inference.analysis import in_loop, listened, loop_seconds
from bassdiff.inference.appearance import appearance
from bassdiff.inference.chords import segments
from bassdiff.inference.control import Control
from bassdiff.inference.inputs import MAX_SECONDS, Draft, Style, Task, check_length, check_seed
from bassdiff.inference.mix import Mix
from bassdiff.inference.outputs import Outputs, check_outputs
from bassdiff.inference.progress import Progress, shown_progress
from bassdiff.inference.record import hashes, make_record
from bassdiff.inference.tempo import HEARD
from bassdiff.inference.writing import write_bass
from bassdiff.runtime.atomic import atomic_files
from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from bassdiff.inference.generator import BassGenerator


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
    loop_bars: int | None = None,
    *,
    generator: BassGenerator | None = None,
    progress: Progress | None = None,
    name_of: Callable[[Path], str] = str,
    rows: int | None = None,
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
      loop_bars: How many bars, from bar 1 on, are a loop to play to; None for all of the mix.
      generator: The weights if they are loaded already.
      progress: As of `BassGenerator.generate`; None for a progress bar. What it raises ends the
        work, within a step of the sampler and before a file is written.
      name_of: What the record calls a file.
      rows: How many basses are played at once, idle ones included; None for one. A job of many
        songs plays several, which rounds differently.

    Raises:
      InputError: If anything that was given, a setting or an output cannot be used.
    """
    source = AudioSource(mix_path, round(MAX_SECONDS * probe(mix_path).sample_rate_hz))
    info = source.info
    control = control or Control()
    recordings = [style.recording for style in styles] + ([draft.bass] if draft else [])
    files = [Path(recording) for recording in recordings if isinstance(recording, (str, Path))]
    files = [mix_path, *files, *control.files()]
    check_outputs(outputs, files, info, overwrite)
    check_seed(seed + len(outputs) - 1)
    if info.num_samples:
        check_length(str(mix_path), info.num_samples, info.sample_rate_hz)
    mix = Mix.read(mix_path, source)
    if loop_bars and control.bpm != HEARD:
        loop_seconds(control, loop_bars, mix.seconds)
    check_overrides(overrides)
    for file in files:
        if file not in control.files():
            probe(file)
    if draft is not None:
        draft.check_fits(mix.seconds)
    # What plays takes a second to import: most of what may be wrong is said before.
    from bassdiff.inference.conditioning import section_starts
    from bassdiff.inference.generator import load
    from bassdiff.pretrained.release import described

    section_starts(styles, overrides.get("grounding"), mix.seconds)
    generator = generator or load(weights, adapter, rows)
    about_weights = described(weights, generator.fingerprints)
    if expected_weights is not None and expected_weights != about_weights:
        raise InputError(
            f"the weights {weights} are not those that the bass was made with; give those, or "
            "leave out --like"
        )
    control, estimated = listened(control, mix.mono, mix.sample_rate_hz)
    if loop_bars:
        bounds, control, estimated = in_loop(control, estimated, loop_bars, mix.seconds)
        mix = mix.part(*bounds)
    settings = generator.settings(**overrides)
    pictured = None
    if any(output.picture for output in outputs):
        pictured = appearance(mix.mono, mix.sample_rate_hz, is_bass=False)
    basses = []
    for number, label in enumerate(_labels(len(outputs))):
        is_last = number + 1 == len(outputs)
        task = Task(
            mix.taken() if is_last else mix.mono,
            mix.sample_rate_hz,
            styles or None,
            draft,
            seed + number,
            settings,
            control,
            loops=bool(loop_bars),
            level_lufs=mix.level_lufs,
            takes_over=is_last,
        )
        with contextlib.nullcontext(progress) if progress else shown_progress(label) as show:
            heard = [generator.hear(task)]
            # With it the mix, which is not needed while the bass is played.
            del task
            basses += generator.play(heard, show)
    about_mix = {**control.described(), **estimated.described()}
    digests = {name_of(Path(path)): digest for path, digest in hashes(files).items()}
    grid = control.grid or estimated.grid
    with atomic_files() as open_file:
        for number, output in enumerate(outputs):
            bass = basses.pop(0)
            record = make_record(
                words,
                digests,
                __version__,
                about_weights,
                dataclasses.asdict(settings),
                about_mix,
                seed + number,
                bass,
                rows,
            )
            write_bass(output, mix, bass, record, open_file, grid)
            if output.picture and pictured is not None:
                # matplotlib takes a second to import, which --no-plot saves.
                from bassdiff.inference.picture import draw
                from bassdiff.inference.picture_marks import Marks

                region = draft.free_seconds if draft else control.notes_region
                marks = Marks(
                    grid.bars_until(mix.seconds) if grid else [],
                    control.chord_segments()
                    or (segments(estimated.chords) if estimated.chords else []),
                    None if region is None or region[0] is None else (region[0], region[1]),
                )
                shown = appearance(bass, mix.sample_rate_hz, is_bass=True)
                draw(pictured, shown, output.picture, open_file, marks)


def _labels(count: int) -> list[str]:
    return ["playing"] if count == 1 else [f"playing {i + 1} of {count}" for i in range(count)]
