"""Synthesised bass sounds by name."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Timbre:
    """A bass sound.

    Attributes:
      wave: "saw", "pulse", "triangle", "sine", "fm", "string" or "organ".
      width: duty cycle of "pulse".
      detune: Detuning of a second oscillator, as a fraction of the frequency; 0 for none.
      sub: level of a sine at the note's frequency.
      cutoff_hz: the low-pass at rest, before the envelope opens it.
      sweep_octaves: how far the envelope opens it for the hardest note.
      sweep_seconds: Time constant of its decay.
      resonance: quality factor of the low-pass.
      attack_seconds: of the amplifier.
      decay_seconds: time constant from the peak to `sustain`.
      sustain: level of a held note, 0..1.
      release_seconds: time constant after a note.
      drive: gain into the soft clipper; 0 leaves it out.
      glide_seconds: time from one pitch to the next of tied notes.
      fm_ratio: frequency of the modulator, in carrier frequencies.
      fm_index: depth at a note's start; it decays with the sweep.
      brightness: Brightness of "string": 0 is a thumb near the neck, 1 a pick at the bridge.
    """

    wave: str
    width: float = 0.5
    detune: float = 0.0
    sub: float = 0.0
    cutoff_hz: float = 900.0
    sweep_octaves: float = 1.5
    sweep_seconds: float = 0.2
    resonance: float = 0.8
    attack_seconds: float = 0.004
    decay_seconds: float = 0.5
    sustain: float = 0.7
    release_seconds: float = 0.04
    drive: float = 0.0
    glide_seconds: float = 0.0
    fm_ratio: float = 1.0
    fm_index: float = 0.0
    brightness: float = 0.5


TIMBRES: dict[str, Timbre] = {
    "saw": Timbre("saw", cutoff_hz=400, sweep_octaves=2.0),
    "acid": Timbre(
        "saw",
        cutoff_hz=250,
        sweep_octaves=3.0,
        sweep_seconds=0.15,
        resonance=4.0,
        drive=2.0,
        glide_seconds=0.06,
    ),
    "reese": Timbre("saw", detune=0.006, sub=0.4, cutoff_hz=600, sweep_octaves=0.3, sustain=1.0),
    "square": Timbre("pulse", cutoff_hz=500, sweep_octaves=1.5, sub=0.2),
    "pulse": Timbre("pulse", width=0.22, cutoff_hz=700, sweep_octaves=2.0, sweep_seconds=0.1),
    "stab": Timbre(
        "pulse",
        width=0.4,
        cutoff_hz=200,
        sweep_octaves=4.0,
        sweep_seconds=0.07,
        decay_seconds=0.15,
        sustain=0.2,
    ),
    "triangle": Timbre("triangle", cutoff_hz=1200, sweep_octaves=0.5, drive=1.0),
    "sub": Timbre("sine", cutoff_hz=2000, sweep_octaves=0.0, drive=1.5, sustain=0.9),
    "boom": Timbre(
        "sine",
        cutoff_hz=3000,
        sweep_octaves=0.0,
        drive=3.0,
        decay_seconds=1.2,
        sustain=0.0,
        glide_seconds=0.08,
        release_seconds=0.1,
    ),
    "fm": Timbre("fm", fm_ratio=1.0, fm_index=2.5, cutoff_hz=4000, sustain=0.5),
    "fm bell": Timbre("fm", fm_ratio=2.0, fm_index=1.5, sweep_seconds=0.12, cutoff_hz=5000),
    "finger": Timbre("string", brightness=0.35, cutoff_hz=2500, sustain=1.0),
    "pick": Timbre("string", brightness=0.9, cutoff_hz=5000, sustain=1.0, drive=0.8),
    "upright": Timbre(
        "string", brightness=0.15, cutoff_hz=1200, decay_seconds=0.4, sustain=0.15, sub=0.2
    ),
    "muted": Timbre("string", brightness=0.4, cutoff_hz=900, decay_seconds=0.12, sustain=0.05),
    "organ": Timbre("organ", cutoff_hz=1500, sweep_octaves=0.3, sustain=1.0, decay_seconds=1.0),
}


def vary_timbre(timbre: Timbre, rng: np.random.Generator) -> Timbre:
    """A random variation: cutoff, sweep, width, decay, drive and detune change slightly."""
    return dataclasses.replace(
        timbre,
        width=float(np.clip(timbre.width + rng.normal(0.0, 0.05), 0.1, 0.5)),
        cutoff_hz=timbre.cutoff_hz * float(2.0 ** rng.normal(0.0, 0.35)),
        sweep_octaves=timbre.sweep_octaves * float(rng.uniform(0.7, 1.2)),
        sweep_seconds=timbre.sweep_seconds * float(2.0 ** rng.normal(0.0, 0.4)),
        decay_seconds=timbre.decay_seconds * float(2.0 ** rng.normal(0.0, 0.3)),
        drive=timbre.drive * float(rng.uniform(0.5, 1.3)),
        fm_index=timbre.fm_index * float(rng.uniform(0.6, 1.2)),
        brightness=float(np.clip(timbre.brightness + rng.normal(0.0, 0.12), 0.0, 1.0)),
    )
