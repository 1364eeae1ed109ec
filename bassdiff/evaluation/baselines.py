"""Baseline basses, for comparison in every table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import HOP_SECONDS
from bassdiff.audio.vocoder import stretched_and_shifted
from bassdiff.data.latents import OTHER_KEYS
from bassdiff.evaluation.clips import Clip
from bassdiff.metrics.harmony_rhythm import mix_features
from bassdiff.metrics.notes import onset_times
from bassdiff.synthesis import synth
from bassdiff.synthesis.score import Note, Part
from bassdiff.synthesis.timbres import TIMBRES

# E1 to D#2: the octave in which the follower plays.
LOWEST_PITCH = 28
FOLLOWER_VELOCITY = 100
FOLLOWER_TIMBRE = "saw"
LOW_CHROMA_HZ = 400.0


def follower(clip: Clip) -> np.ndarray:
    """A rule-based bass: at each onset of the mix, its strongest low pitch class.

    The pitch class is measured up to the next onset. The rule ignores style, metre and voice
    leading; its scores show what a measure rewards without any musical understanding.

    Returns:
      `[N]` float32 at 44.1 kHz; silence if the mix has no onsets.
    """
    onsets = onset_times(mix_features(clip.mix).onsets)
    chroma = low_chroma(clip.mix)
    stops = np.append(onsets, len(clip.mix) / SAMPLE_RATE_HZ)[1:]
    notes = []
    for start, stop in zip(onsets, stops, strict=True):
        first, last = (round(t / HOP_SECONDS) for t in (start, stop))
        heard = chroma[first : max(last, first + 1)].sum(axis=0)
        if heard.max() > 0:
            pitch = LOWEST_PITCH + (int(heard.argmax()) - LOWEST_PITCH) % 12
            notes.append(Note(float(start), float(stop), pitch, FOLLOWER_VELOCITY))
    if not notes:
        return np.zeros_like(clip.mix)
    part = Part("bass", 38, False, tuple(notes))
    wave = synth.play_voice([part], TIMBRES[FOLLOWER_TIMBRE], len(clip.mix))
    return (wave * level(clip) / max(level_of(wave), 1e-9)).astype(np.float32)


def clockwork(clip: Clip) -> np.ndarray:
    """A rule that has the chords and does not hear the mix: their lowest notes, twice a second.

    Returns:
      `[N]` float32 at 44.1 kHz.
    """
    notes = []
    for chord in clip.annotation.chords:
        pitch = LOWEST_PITCH + (chord.bass - LOWEST_PITCH) % 12
        # From clock to clock, whenever the chord begins.
        for tick in range(int(np.ceil(2.0 * chord.start_seconds)), int(2.0 * chord.end_seconds)):
            notes.append(Note(tick / 2.0, tick / 2.0 + 0.45, pitch, FOLLOWER_VELOCITY))
    if not notes:
        return np.zeros_like(clip.mix)
    part = Part("bass", 38, False, tuple(notes))
    wave = synth.play_voice([part], TIMBRES[FOLLOWER_TIMBRE], len(clip.mix))
    return (wave * level(clip) / max(level_of(wave), 1e-9)).astype(np.float32)


def low_chroma(mix: np.ndarray) -> np.ndarray:
    """Energy per pitch class below 400 Hz, `[F, 12]`, on the frames of `harmony_rhythm`."""
    rate_hz = SAMPLE_RATE_HZ // 8
    low = librosa.resample(np.asarray(mix, np.float32), orig_sr=SAMPLE_RATE_HZ, target_sr=rate_hz)
    power = np.abs(librosa.stft(low, n_fft=2048, hop_length=64)) ** 2
    bins_hz = librosa.fft_frequencies(sr=rate_hz, n_fft=2048)
    power[bins_hz > LOW_CHROMA_HZ] = 0.0
    return librosa.feature.chroma_stft(S=power, sr=rate_hz, n_fft=2048, tuning=0.0, norm=None).T


def other_key(song: int) -> int:
    """The transposition of song number `song`, 1 to 6 semitones up or down."""
    return OTHER_KEYS[5 * song % len(OTHER_KEYS)]


def pitch_shifted(bass: np.ndarray, semitones: int) -> np.ndarray:
    """Transposes a recorded bass with a phase vocoder."""
    return stretched_and_shifted(bass, SAMPLE_RATE_HZ, semitones=semitones)


def half_a_beat_late(bass: np.ndarray, clip: Clip) -> np.ndarray:
    """Delays a bass by half a beat, or by 0.25 s if the beat is unknown; the end wraps around."""
    return np.roll(bass, round(0.5 * (_beat_seconds(clip) or 0.5) * SAMPLE_RATE_HZ))


def lateness(clips: Sequence[Clip]) -> str:
    """The delay of `half_a_beat_late` in words."""
    known = {_beat_seconds(clip) is not None for clip in clips}
    words = {True: "half a beat", False: "0.25 s"}
    return " or ".join(words[is_known] for is_known in sorted(known, reverse=True))


def _beat_seconds(clip: Clip) -> float | None:
    beats = clip.annotation.beat_seconds
    return float(np.median(np.diff(beats))) if len(beats) > 2 else None


def nearest(
    mix_vectors: np.ndarray,
    bank: Sequence[tuple[np.ndarray, np.ndarray]],
    num_samples: int,
    hop_samples: int,
) -> np.ndarray:
    """Retrieves the training bass that fits a mix best by the matching model.

    Args:
      mix_vectors: `[windows, E]`, vectors of the mix.
      bank: Training basses as `(samples [N], vectors [windows, E])`.
      num_samples: Length of the result.
      hop_samples: Distance of windows.

    Returns:
      `[num_samples]` float32, the excerpt whose vectors agree best.
    """
    best, best_score = np.zeros(num_samples, np.float32), -np.inf
    for samples, vectors in bank:
        count = min(len(mix_vectors), len(vectors))
        for first in range(len(vectors) - count + 1):
            piece = vectors[first : first + count]
            score = float(np.mean(np.sum(mix_vectors[:count] * piece, axis=1)))
            start = first * hop_samples
            if score > best_score and start + num_samples <= len(samples):
                best, best_score = samples[start : start + num_samples], score
    return best


def level(clip: Clip) -> float:
    """RMS level for a bass of this clip: that of the true one, or 0.35 times the mix's."""
    return level_of(clip.bass) if clip.bass is not None else 0.35 * level_of(clip.mix)


def level_of(samples: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
