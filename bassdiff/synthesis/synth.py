"""Synthesised bass timbres: one voice, vectorised over the whole song.

An oscillator with a continuous phase runs through a low-pass that follows an envelope, an
amplifier and a soft clipper. Slow signals (pitch, envelopes, cutoff) are computed at a control rate
and interpolated. The moving low-pass is a crossfade between fixed ones, because recursive filters
cannot be vectorised over changing coefficients.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import scipy.signal

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.synthesis.score import Note, Part
from bassdiff.synthesis.timbres import Timbre

CONTROL_SAMPLES = 16
# Notes that start within this time form a chord.
CHORD_SECONDS = 0.03
# Below this gap a note is tied to the one before, and its pitch glides from there.
LEGATO_SECONDS = 0.02
# Inaudibly short fade before the next note.
RELEASE_BEFORE_STRIKE_SECONDS = 0.004
FILTER_LOWEST_HZ = 80.0
FILTER_OCTAVES = 0.75
FILTER_COUNT = 10
CHUNK_SAMPLES = 1 << 15


def play_voice(parts: Sequence[Part], timbre: Timbre, num_samples: int) -> np.ndarray:
    """Plays a bass line with one voice: the newest note, the lowest of several at once.

    Args:
      parts: notes and bends; times count from the first sample.
      timbre: the sound.
      num_samples: length of the result.

    Returns:
      `[num_samples]` float32 at `SAMPLE_RATE_HZ`, about ±1 at full velocity.
    """
    notes = one_voice(parts)
    if not notes:
        return np.zeros(num_samples, np.float32)
    line = _Line(notes, timbre, num_samples)
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


def one_voice(parts: Sequence[Part]) -> list[tuple[Note, Part]]:
    """The notes with their parts as a monophonic line; each note ends where the next starts."""
    line: list[tuple[Note, Part]] = []
    played = ((note, part) for part in parts for note in part.notes)
    for note, part in sorted(played, key=lambda pair: pair[0]):
        if line and note.start_seconds - line[-1][0].start_seconds < CHORD_SECONDS:
            if note.pitch < line[-1][0].pitch:
                line[-1] = (note, part)
        else:
            line.append((note, part))
    for index, ((note, part), (following, _)) in enumerate(itertools.pairwise(line)):
        end = min(note.end_seconds, following.start_seconds)
        line[index] = (note._replace(end_seconds=end), part)
    return line


class _Line:
    """Pitch, level and cutoff of a line at the control rate."""

    def __init__(self, played: list[tuple[Note, Part]], timbre: Timbre, num_samples: int):
        steps = -(-num_samples // CONTROL_SAMPLES) + 1
        time = np.arange(steps) * (CONTROL_SAMPLES / SAMPLE_RATE_HZ)
        notes = [note for note, _ in played]
        starts = np.array([note.start_seconds for note in notes])
        ends = np.array([note.end_seconds for note in notes])
        pitches = np.array([note.pitch for note in notes], float)
        velocities = np.array([note.velocity for note in notes]) / 127.0
        current = np.searchsorted(starts, time, side="right") - 1
        sounding = current >= 0
        current = np.maximum(current, 0)

        self.age = np.maximum(time - starts[current], 0.0)
        pitch = pitches[current]
        if timbre.glide_seconds:
            tied = np.append(False, starts[1:] - ends[:-1] < LEGATO_SECONDS)
            distance = np.where(tied, np.roll(pitches, 1) - pitches, 0.0)
            pitch += distance[current] * np.exp(-3.0 * self.age / timbre.glide_seconds)
        for part in {id(part): part for _, part in played if part.bends}.values():
            bends = np.array([(-np.inf, 0.0), *part.bends])
            bent = bends[np.searchsorted(bends[:, 0], time, side="right") - 1, 1]
            pitch += bent * np.array([owner is part for _, owner in played])[current]
        self.frequency_hz = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
        self.velocity = velocities[current]

        after = np.maximum(time - ends[current], 0.0)
        following = np.append(starts[1:], np.inf)[current]
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
            partials = [_sine(cycles * n) for n in (1, 2, 3, 4)]
            return np.tensordot(np.array([0.6, 0.5, 0.3, 0.15], np.float32), partials, 1)
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


def _doubled(
    wave: Callable[[np.ndarray], np.ndarray], cycles: np.ndarray, detune: float
) -> np.ndarray:
    if not detune:
        return wave(cycles)
    return 0.6 * (wave(cycles * (1.0 - detune)) + wave(cycles * (1.0 + detune)))


def _string(timbre: Timbre, line: _Line, cycles: np.ndarray) -> np.ndarray:
    """A plucked string: partials weighted by the plucking point, higher ones decaying faster."""
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
