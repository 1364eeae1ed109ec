"""Estimates from the mix for choices that the musician left open: its tuning and its chords."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
from tqdm import tqdm

from bassdiff.audio.channels import to_mono
from bassdiff.audio.io import SAMPLE_RATE_HZ, resample
from bassdiff.inference.chords import NOTE_NAMES
from bassdiff.inference.control import AUTO, Control

_SHOWN_CHORDS = 12


def resolved(control: Control, wave: np.ndarray) -> Control:
    """The same with a tuning, and with chords where they are to be those of the mix.

    Args:
      control: Choices of the musician.
      wave: `[N]` the mix at 44.1 kHz.
    """
    # It takes longer to import than bad input to be refused.
    from bassdiff.audio.tuning import tuning_cents

    cents = control.tuning_cents
    if cents is None:
        cents = round(tuning_cents(wave), 1)
    control = dataclasses.replace(control, tuning_cents=cents)
    if control.chords == AUTO:
        control = dataclasses.replace(control, chords=heard_chords(wave, cents) or None)
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


def listened(
    control: Control, mix: np.ndarray, sample_rate_hz: int
) -> tuple[Control, list[tuple[float, float, str]]]:
    """Resolves the choices of a musician, and shows what was estimated.

    Args:
      control: Choices of the musician.
      mix: `[N, channels]` float32.
      sample_rate_hz: Its rate.

    Returns:
      The choices, and the chords of the mix where none were given: they are shown, not imposed.
    """
    wave = resample(to_mono(mix), sample_rate_hz, SAMPLE_RATE_HZ)
    known = resolved(control, wave)
    cents = known.tuning_cents or 0.0
    if cents and control.tuning_cents is None:
        what = "sharp" if cents > 0 else "flat"
        hz = 440.0 * 2.0 ** (cents / 1200.0)
        _say(f"the mix is {abs(cents):.0f} cents {what}: A = {hz:.1f} Hz")
    heard = [] if control.chords not in (None, AUTO) else heard_chords(wave, cents)
    if heard:
        shown = [f"{name} {start:.1f}" for start, _, name in heard[:_SHOWN_CHORDS]]
        more = ", ..." if len(heard) > _SHOWN_CHORDS else ""
        _say(f"chords of the mix, estimated, from seconds: {', '.join(shown)}{more}")
    return known, [] if control.chords == AUTO else heard


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
