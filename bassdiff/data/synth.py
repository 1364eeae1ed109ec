"""Synthesised bass timbres: one voice, vectorised over the whole song.

An oscillator with a continuous phase runs through a low-pass that follows an envelope, an
amplifier and a soft clipper. What moves slowly (pitch, envelopes, cutoff) is computed at a
control rate and interpolated. The moving low-pass is a bank of fixed ones, faded into each
other, because recursive filters cannot be vectorised over changing coefficients.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import scipy.signal

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data.score import Note, Part

CONTROL_SAMPLES = 16
# Below this gap the player is taken to slide to the next note rather than to strike it.
LEGATO_SECONDS = 0.02
# Fades the voice out before it is struck again, short enough not to be heard.
RELEASE_BEFORE_STRIKE_SECONDS = 0.004
FILTER_LOWEST_HZ = 80.0
FILTER_OCTAVES = 0.75
FILTER_COUNT = 10
CHUNK_SAMPLES = 1 << 15


@dataclasses.dataclass(frozen=True)
class Timbre:
    """A bass sound.

    Attributes:
      wave: "saw", "pulse", "triangle", "sine", "fm", "string" or "organ".
      width: duty cycle of "pulse".
      detune: of a second oscillator, as a fraction of the frequency; 0 for none.
      sub: level of a sine at the note's frequency.
      cutoff_hz: the low-pass at rest, before the envelope opens it.
      sweep_octaves: how far the envelope opens it for the hardest note.
      sweep_seconds: time constant of its way back.
      resonance: quality factor of the low-pass.
      attack_seconds: of the amplifier.
      decay_seconds: time constant from the peak to `sustain`.
      sustain: level of a held note, 0..1.
      release_seconds: time constant after a note.
      drive: gain into the soft clipper; 0 leaves it out.
      glide_seconds: time from one pitch to the next of legato notes.
      fm_ratio: frequency of the modulator, in carrier frequencies.
      fm_index: depth at a note's start; it decays with the sweep.
      brightness: of "string": 0 a thumb near the neck, 1 a pick at the bridge.
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
    """A near relative: cutoff, sweep, width, decay, drive and level of detail move a little."""
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


def play_voice(parts: Sequence[Part], timbre: Timbre, num_samples: int) -> np.ndarray:
    """Plays a bass line with one voice: the newest note, the lowest of several at once.

    Args:
      parts: notes and bends; times count from the first sample.
      timbre: the sound.
      num_samples: length of the result.

    Returns:
      `[num_samples]` float32 at `SAMPLE_RATE_HZ`, about ±1 at full velocity.
    """
    notes = one_voice([note for part in parts for note in part.notes])
    if not notes:
        return np.zeros(num_samples, np.float32)
    bends = sorted(bend for part in parts for bend in part.bends)
    line = _Line(notes, bends, timbre, num_samples)
    cycles = np.cumsum(np.repeat(line.frequency_hz / SAMPLE_RATE_HZ, CONTROL_SAMPLES))
    audio = _oscillator(timbre, line, cycles)
    if timbre.wave != "string":
        audio = _moving_lowpass(audio, line.cutoff_hz, timbre.resonance)
    if timbre.sub:
        audio = audio + np.float32(timbre.sub) * _sine(cycles)
    audio *= _interpolated(line.level)
    if timbre.drive:
        gain = np.float32(1.0 + timbre.drive)
        audio = np.tanh(audio * gain) / np.tanh(gain)
    return audio[:num_samples].astype(np.float32)


def one_voice(notes: Sequence[Note]) -> list[Note]:
    """The line one voice can play: each note ends where the next one starts."""
    by_start: dict[float, Note] = {}
    for note in sorted(notes, key=lambda note: (note.start_seconds, note.pitch)):
        by_start.setdefault(note.start_seconds, note)
    line = list(by_start.values())
    return [
        note._replace(end_seconds=min(note.end_seconds, following.start_seconds))
        for note, following in itertools.pairwise(line)
    ] + line[-1:]


class _Line:
    """Pitch, level and cutoff of a line at the control rate."""

    def __init__(self, notes: list[Note], bends: list, timbre: Timbre, num_samples: int):
        steps = -(-num_samples // CONTROL_SAMPLES) + 1
        time = np.arange(steps) * (CONTROL_SAMPLES / SAMPLE_RATE_HZ)
        starts = np.array([note.start_seconds for note in notes])
        ends = np.array([note.end_seconds for note in notes])
        pitches = np.array([note.pitch for note in notes], float)
        velocities = np.array([note.velocity for note in notes]) / 127.0
        gaps = np.concatenate([[np.inf], starts[1:] - ends[:-1]])
        legato = (gaps < LEGATO_SECONDS) & (timbre.glide_seconds > 0.0)
        current = np.searchsorted(starts, time, side="right") - 1
        sounding = current >= 0
        current = np.maximum(current, 0)
        # A legato note goes on with the envelopes of the note it is tied to.
        struck = np.maximum.accumulate(np.where(legato, 0, np.arange(len(notes))))

        age = np.maximum(time - starts[current], 0.0)
        self.age = np.maximum(time - starts[struck][current], 0.0)
        came_from = np.where(legato, np.roll(pitches, 1), pitches)[current]
        glide = np.exp(-age / max(timbre.glide_seconds / 3.0, 1e-4))
        pitch = pitches[current] + (came_from - pitches[current]) * glide
        if bends:
            pitch += np.interp(
                time, [b.start_seconds for b in bends], [b.semitones for b in bends], left=0.0
            )
        self.frequency_hz = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
        self.velocity = velocities[current]

        after = np.maximum(time - ends[current], 0.0)
        following = np.append(np.where(legato[1:], np.inf, starts[1:]), np.inf)[current]
        self.level = (
            sounding
            * self.velocity**1.5
            * np.minimum(self.age / timbre.attack_seconds, 1.0)
            * (timbre.sustain + (1.0 - timbre.sustain) * np.exp(-self.age / timbre.decay_seconds))
            * np.exp(-after / timbre.release_seconds)
            * np.clip((following - time) / RELEASE_BEFORE_STRIKE_SECONDS, 0.0, 1.0)
        )
        self.sweep = np.exp(-self.age / timbre.sweep_seconds)
        # Higher notes open the filter, as on most instruments.
        self.cutoff_hz = (
            timbre.cutoff_hz
            * (self.frequency_hz / 65.0) ** 0.5
            * 2.0 ** (timbre.sweep_octaves * self.sweep * self.velocity)
        )


def _interpolated(control: np.ndarray) -> np.ndarray:
    """From the control rate to the sample rate, `[M] -> [M * CONTROL_SAMPLES]` float32."""
    now = control.astype(np.float32)
    change = np.append(np.diff(now), np.float32(0.0))
    ramp = np.arange(CONTROL_SAMPLES, dtype=np.float32) / CONTROL_SAMPLES
    return (now[:, None] + change[:, None] * ramp).ravel()


def _oscillator(timbre: Timbre, line: _Line, cycles: np.ndarray) -> np.ndarray:
    match timbre.wave:
        case "sine":
            return _sine(cycles)
        case "triangle":
            return (4.0 * np.abs(cycles % 1.0 - 0.5) - 1.0).astype(np.float32)
        case "saw":
            return _doubled(_saw, cycles, timbre.detune)
        case "pulse":
            return _doubled(
                lambda phase: 0.7 * (_saw(phase) - _saw(phase + timbre.width)),
                cycles,
                timbre.detune,
            )
        case "fm":
            depth = _interpolated(timbre.fm_index * line.velocity * (0.15 + line.sweep))
            modulator = depth * _sine(cycles * timbre.fm_ratio) / np.float32(2.0 * np.pi)
            return _sine(cycles % 1.0 + modulator)
        case "organ":
            drawbars = {1: 0.6, 2: 0.5, 3: 0.3, 4: 0.15}
            return sum(np.float32(a) * _sine(cycles * n) for n, a in drawbars.items())
        case "string":
            return _string(timbre, line, cycles)
    raise ValueError(f"unknown wave {timbre.wave!r}")


def _sine(cycles: np.ndarray) -> np.ndarray:
    return np.sin((cycles % 1.0).astype(np.float32) * np.float32(2.0 * np.pi))


def _saw(cycles: np.ndarray) -> np.ndarray:
    """Sawtooth as the difference of a parabola, whose aliases are far weaker.

    Differentiated parabolic wave, Välimäki 2005, "Discrete-time synthesis of the sawtooth
    waveform with reduced aliasing".
    """
    parabola = (2.0 * (cycles % 1.0) - 1.0) ** 2
    step = 4.0 * np.diff(cycles, prepend=2.0 * cycles[0] - cycles[1])
    saw = np.diff(parabola, prepend=parabola[0]) / step
    return saw.astype(np.float32)


def _doubled(wave, cycles: np.ndarray, detune: float) -> np.ndarray:
    if not detune:
        return wave(cycles)
    return 0.6 * (wave(cycles * (1.0 - detune)) + wave(cycles * (1.0 + detune)))


def _string(timbre: Timbre, line: _Line, cycles: np.ndarray) -> np.ndarray:
    """A plucked string: partials weighted by where it is plucked, higher ones dying sooner."""
    lowest_hz = max(float(np.percentile(line.frequency_hz, 5.0)), 30.0)
    count = int(np.clip(timbre.cutoff_hz / lowest_hz, 4, 40))
    order = np.arange(1, count + 1)
    position = 0.28 - 0.2 * timbre.brightness
    tilt = 1.7 - 0.8 * timbre.brightness
    weights = np.abs(np.sin(np.pi * position * order)) / order**tilt
    weights *= 1.4 / weights.sum()
    decay = 0.5 + 0.03 * order**1.5 * (1.3 - timbre.brightness)
    out = np.zeros(len(cycles), np.float32)
    for first in range(0, len(cycles), CHUNK_SAMPLES):
        here = slice(first, first + CHUNK_SAMPLES)
        control = slice(first // CONTROL_SAMPLES, (first + CHUNK_SAMPLES) // CONTROL_SAMPLES)
        age, hard = line.age[control], line.velocity[control]
        angle = (cycles[here] % 1.0 * 2.0 * np.pi).astype(np.float32)
        double_cosine = 2.0 * np.cos(angle)
        # sin(kx) = 2 cos(x) sin((k-1)x) - sin((k-2)x)
        before, now = np.zeros_like(angle), np.sin(angle)
        for n, weight, rate in zip(order, weights, decay, strict=True):
            level = weight * hard ** (0.05 * n) * np.exp(-rate * age)
            level[line.frequency_hz[control] * n > 0.45 * SAMPLE_RATE_HZ] = 0.0
            out[here] += np.repeat(level.astype(np.float32), CONTROL_SAMPLES) * now
            before, now = now, double_cosine * now - before
    return out


def _moving_lowpass(audio: np.ndarray, cutoff_hz: np.ndarray, resonance: float) -> np.ndarray:
    place = np.clip(np.log2(cutoff_hz / FILTER_LOWEST_HZ) / FILTER_OCTAVES, 0.0, FILTER_COUNT - 1)
    out = np.zeros(len(audio), np.float32)
    for index in range(int(place.min()), int(np.ceil(place.max())) + 1):
        share = np.maximum(1.0 - np.abs(place - index), 0.0)
        sections = _lowpass(FILTER_LOWEST_HZ * 2.0 ** (FILTER_OCTAVES * index), resonance)
        out += _interpolated(share) * scipy.signal.sosfilt(sections, audio).astype(np.float32)
    return out


def _lowpass(cutoff_hz: float, resonance: float) -> np.ndarray:
    """Two cascaded second-order low-passes, the first resonant, `[2, 6]`."""
    angle = 2.0 * np.pi * min(cutoff_hz, 0.45 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sections = []
    for quality in (resonance, 0.6):
        alpha = np.sin(angle) / (2.0 * quality)
        side = (1.0 - np.cos(angle)) / 2.0
        row = np.array([side, 2.0 * side, side, 1.0 + alpha, -2.0 * np.cos(angle), 1.0 - alpha])
        sections.append(row / row[3])
    return np.stack(sections)
