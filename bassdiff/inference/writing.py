"""Writes the files of one bass."""

from __future__ import annotations

import datetime
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.audio.io import write, write_blocks
from bassdiff.inference.grid import Grid
from bassdiff.inference.mix import Mix
from bassdiff.inference.outputs import Outputs
from bassdiff.inference.record import tags_of
from bassdiff.runtime.atomic import OpenFile, atomic_file

# Mix and bass files no longer add up to the mixdown if a file is softer by more than this.
AUDIBLE_GAIN_DB = -0.05
AUDIBLE_LIMITING_DB = 6.0


def write_bass(
    output: Outputs,
    mix: Mix,
    bass: np.ndarray,
    record: Mapping[str, Any],
    open_file: OpenFile,
    grid: Grid | None,
) -> None:
    """Writes the files of one bass, except for its picture.

    Args:
      output: Their names.
      mix: The mix.
      bass: `[N]` at its level in the mix.
      record: How it was made.
      open_file: Opens the files; from `atomic_files`.
      grid: Beats and bars, for the MIDI file; None for 120 bpm.

    Raises:
      InputError: A file cannot be written, or the mix can no longer be read.
    """
    # It is not needed to say that a mix cannot be used.
    from bassdiff.audio.mixdown import mixdown_blocks

    rate_hz = mix.sample_rate_hz
    gain_db = write(output.bass, bass, rate_hz, open_file, tags_of(record, mix.path))
    if gain_db < AUDIBLE_GAIN_DB:
        warnings.warn(
            f"{output.bass} is {-gain_db:.1f} dB softer than it was played, or it would clip; the "
            "mixdown has it at its level, and a .wav file would too",
            stacklevel=3,
        )
    together, limited_db = mixdown_blocks(mix.blocks, bass, rate_hz)
    write_blocks(output.mixdown, together, mix.channels, rate_hz, open_file)
    if limited_db > AUDIBLE_LIMITING_DB:
        warnings.warn(
            f"{output.mixdown} had peaks of {limited_db:.1f} dB too much, which were limited; give "
            "a mix with more headroom",
            stacklevel=3,
        )
    if output.midi:
        write_notes(bass, rate_hz, output.midi, open_file, grid)
    if output.record:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with open_file(output.record) as file:
            file.write(json.dumps({**record, "date": now}, indent=1).encode())


def write_notes(
    bass: np.ndarray,
    sample_rate_hz: int,
    path: Path,
    open_file: OpenFile = atomic_file,
    grid: Grid | None = None,
) -> int:
    """Writes the notes of a bass as a MIDI file; returns how many there are.

    Args:
      bass: `[N]` float.
      sample_rate_hz: Its rate.
      path: The file.
      open_file: Opens it; from `atomic_files`, for several that belong together.
      grid: Beats and bars, for a tempo map; None for 120 bpm.

    Raises:
      InputError: The file cannot be written.
    """
    from bassdiff.audio.transcription import transcribe
    from bassdiff.synthesis.midi import bass_track
    from bassdiff.synthesis.tempo_map import tempo_map

    notes = transcribe(bass, sample_rate_hz)
    score = None
    if grid is not None:
        beats = grid.beats_until(len(bass) / sample_rate_hz)
        score = tempo_map(beats, grid.first_bar, grid.beats_per_bar)
    with open_file(path) as file:
        bass_track(notes, score).write(file)
    return len(notes)
