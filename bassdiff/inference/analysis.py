"""Estimates from the mix for what the musician left open: its tuning, its chords and its beats."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from typing import Any

import numpy as np
from tqdm import tqdm

from bassdiff.audio.channels import to_mono
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.resampling import resample
from bassdiff.inference.chords import NOTE_NAMES
from bassdiff.inference.control import AUTO, Control
from bassdiff.inference.grid import Grid
from bassdiff.inference.tempo import HEARD, heard_grid
from bassdiff.runtime.errors import InputError

_SHOWN_CHORDS = 12
# A mix may be this much shorter than its bars: files are cut by hand.
_LOOP_SLACK_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Chords and beats that were heard in a mix and are shown, but were not asked for.

    Attributes:
      chords: (start seconds, end seconds, name).
      grid: Beats and bars; None where no pulse is heard, or where they were given.
    """

    chords: list[tuple[float, float, str]]
    grid: Grid | None

    def described(self) -> dict[str, Any]:
        """They as plain values, for a record."""
        chords = {"estimated_chords": self.chords} if self.chords else {}
        tempo = {"estimated_tempo": self.grid.described()} if self.grid else {}
        return {**chords, **tempo}


def resolved(control: Control, wave: np.ndarray) -> Control:
    """The same with a tuning, and with the chords and the beats of the mix where asked for.

    Args:
      control: Choices of the musician.
      wave: `[N]` the mix at 44.1 kHz.

    Raises:
      InputError: Beats were asked for, and none are heard.
    """
    # It takes longer to import than bad input to be refused.
    from bassdiff.audio.tuning import tuning_cents

    cents = control.tuning_cents
    if cents is None:
        cents = round(tuning_cents(wave), 1)
    control = dataclasses.replace(control, tuning_cents=cents)
    is_to_be_heard = control.bpm == HEARD and control.beats is None
    chords = heard_chords(wave, cents) if control.chords == AUTO or is_to_be_heard else []
    if control.chords == AUTO:
        control = dataclasses.replace(control, chords=chords or None)
    if is_to_be_heard:
        grid = heard_grid(wave, [start for start, _, _ in chords], control.meter)
        if grid is None:
            raise InputError("no pulse is heard in the mix; give --bpm a number, or a MIDI file")
        control = dataclasses.replace(control, beats=grid)
    return control


def heard_chords(wave: np.ndarray, cents: float) -> list[tuple[float, float, str]]:
    """The chords of a mix by name; none if it has no pitch.

    Args:
      wave: `[N]` at 44.1 kHz.
      cents: How far it is from A = 440 Hz.
    """
    from bassdiff.audio.chord_estimation import NO_CHORD, estimate_chords

    found = estimate_chords(wave, cents)
    if all(label == NO_CHORD for _, _, label in found):
        return []
    names = [*NOTE_NAMES, *(f"{name}m" for name in NOTE_NAMES), "N"]
    return [(start, end, names[label]) for start, end, label in found]


def listened(control: Control, mix: np.ndarray, sample_rate_hz: int) -> tuple[Control, Estimates]:
    """Resolves the choices of a musician, and shows what was estimated.

    Args:
      control: Choices of the musician.
      mix: `[N, channels]` float32.
      sample_rate_hz: Its rate.

    Returns:
      The choices, and what is heard where none were given: it is shown, not imposed.

    Raises:
      InputError: See `resolved`.
    """
    # It brings scipy, which takes longer to import than bad input to be refused.
    from bassdiff.audio.low_voice import NOTICED, low_line

    wave = resample(to_mono(mix), sample_rate_hz, SAMPLE_RATE_HZ)
    if low_line(wave) > NOTICED:
        warnings.warn(
            "a bass seems to play in the mix already, and a second one is played beside it; take "
            "it out first, as the page on control says",
            stacklevel=2,
        )
    known = resolved(control, wave)
    cents = known.tuning_cents or 0.0
    if cents and control.tuning_cents is None:
        what = "sharp" if cents > 0 else "flat"
        hz = 440.0 * 2.0 ** (cents / 1200.0)
        _say(f"the mix is {abs(cents):.0f} cents {what}: A = {hz:.1f} Hz")
    found = estimated(control, known, wave)
    if found.chords:
        shown = [f"{name} {start:.1f}" for start, _, name in found.chords[:_SHOWN_CHORDS]]
        more = ", ..." if len(found.chords) > _SHOWN_CHORDS else ""
        _say(f"chords of the mix, estimated, from seconds: {', '.join(shown)}{more}")
    grid = found.grid or (known.grid if control.bpm == HEARD else None)
    if grid:
        _say(
            f"tempo of the mix, estimated: {grid.bpm:.1f} bpm; bars are a guess: "
            f"{grid.beats_per_bar} beats each, the first at {grid.bar_seconds(0):.2f} s"
        )
    # What is heard and asked for is among the choices.
    return known, Estimates([], found.grid) if control.chords == AUTO else found


def estimated(control: Control, known: Control, wave: np.ndarray) -> Estimates:
    """Chords and beats of a mix, where none were given.

    Args:
      control: Choices of the musician.
      known: The same, `resolved`.
      wave: `[N]` the mix at 44.1 kHz.
    """
    cents = known.tuning_cents or 0.0
    chords = [] if control.chords not in (None, AUTO) else heard_chords(wave, cents)
    changes = [chord[0] for chord in known.chord_segments() or chords]
    return Estimates(chords, None if known.grid else heard_grid(wave, changes, control.meter))


def in_loop(
    control: Control, estimates: Estimates, num_bars: int, seconds: float
) -> tuple[tuple[float, float], Control, Estimates]:
    """Cuts what is known of a song to a loop that begins with bar 1.

    Args:
      control: Choices, with beats and bars.
      estimates: What was heard.
      num_bars: Bars of the loop.
      seconds: Length of the song.

    Returns:
      From when until when the loop is, in seconds; and what is known of it.

    Raises:
      InputError: Bars are not known, or the song has fewer.
    """
    start, end = loop_seconds(control, num_bars, seconds)
    within = [
        (max(a - start, 0.0), min(b, end) - start, name)
        for a, b, name in estimates.chords
        if b > start and a < end
    ]
    return (start, end), control.cut(start, end), Estimates(within, None)


def loop_seconds(control: Control, num_bars: int, seconds: float) -> tuple[float, float]:
    """From when until when a loop is, in seconds.

    Raises:
      InputError: Bars are not known, or the song has fewer.
    """
    grid = control.grid
    if grid is None:
        raise InputError("--loop counts bars and needs a tempo; give --bpm, or --bpm auto")
    start, end = grid.bar_seconds(0), grid.bar_seconds(num_bars)
    if end > seconds + _LOOP_SLACK_SECONDS:
        raise InputError(
            f"{num_bars} bars from {start:.2f} s end at {end:.2f} s and the mix lasts "
            f"{seconds:.2f} s; ask for fewer, or check the tempo"
        )
    return start, min(end, seconds)


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
