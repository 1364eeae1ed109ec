"""The grid of a song from a tempo, from the tempo map of a MIDI file, or from the mix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bassdiff.inference.chord_files import MIDI_SUFFIXES
from bassdiff.inference.grid import Grid, beats_of, steady_grid
from bassdiff.runtime.errors import InputError

# The tempo that is estimated from the mix.
HEARD = "auto"
# Beats a minute, a MIDI file with a tempo map, or `auto`.
Tempo: TypeAlias = float | str | Path


def given_grid(
    tempo: Tempo | None, first_beat_seconds: float = 0.0, meter: str | None = None
) -> Grid | None:
    """The beats and bars that were given; None if they are to be heard, or are not known.

    Args:
      tempo: Beats a minute, a MIDI file, or `auto`.
      first_beat_seconds: When bar 1 begins.
      meter: Such as `4/4`; None for that of the file, or 4/4.

    Raises:
      InputError: One is out of range, or the file has no tempo map that can be used.
    """
    if tempo is None or tempo == HEARD:
        return None
    if isinstance(tempo, (str, Path)):
        if Path(tempo).suffix.lower() not in MIDI_SUFFIXES:
            raise InputError(
                f"{str(tempo)!r} is not a tempo; give beats a minute, a MIDI file, or auto"
            )
        return _midi_grid(Path(tempo), first_beat_seconds, meter)
    return steady_grid(tempo, first_beat_seconds, meter or "4/4")


def heard_grid(
    wave: np.ndarray, changes_seconds: Sequence[float], meter: str | None = None
) -> Grid | None:
    """The beats and bars of a mix; None where no pulse is heard.

    Args:
      wave: `[N]` at 44.1 kHz.
      changes_seconds: When chords change.
      meter: If it is known.
    """
    # It brings scipy, which takes longer to import than bad input to be refused.
    from bassdiff.audio.beats import estimate_beats

    found = estimate_beats(wave, changes_seconds, beats_of(meter) if meter else None)
    if found is None:
        return None
    return Grid(found.seconds, found.first_bar, found.beats_per_bar)


def _midi_grid(path: Path, first_beat_seconds: float, meter: str | None) -> Grid:
    from bassdiff.synthesis.midi import parse_midi

    score = parse_midi(path)
    signatures = {(one.numerator, one.denominator) for one in score.time_signature_changes}
    if meter is None and len(signatures) > 1:
        raise InputError(
            f"{path}: its meter changes, and bars of several lengths are not counted; give times "
            "in seconds, or --meter"
        )
    numerator, denominator = next(iter(signatures), (4, 4))
    if meter is not None:
        numerator, denominator = beats_of(meter), int(meter.partition("/")[2])
    ticks = score.resolution * 4.0 / denominator
    changes, _ = score.get_tempo_changes()
    # Beyond the last change the tempo stays.
    last = int(score.time_to_tick(float(changes[-1])) / ticks) + 2
    beats = [float(score.tick_to_time(round(number * ticks))) for number in range(last + 1)]
    return Grid(first_beat_seconds + np.asarray(beats), 0, numerator)
