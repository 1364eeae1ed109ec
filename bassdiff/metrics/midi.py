"""How well notes agree with the bass that they were found in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import track_pitch
from bassdiff.audio.transcription import BassNote
from bassdiff.metrics.harmony_rhythm import bass_features
from bassdiff.metrics.notes import onset_f1, onset_times
from bassdiff.synthesis import synth
from bassdiff.synthesis.score import Bend, Note, Part
from bassdiff.synthesis.timbres import TIMBRES

_TIMBRE = "saw"
_NEAR_CENTS = 50.0


def note_agreement(bass: np.ndarray, found: Sequence[BassNote]) -> tuple[float, float]:
    """Plays notes and compares what is heard with the bass that they are said to be of.

    Args:
      bass: `[N]` at 44.1 kHz.
      found: Its notes.

    Returns:
      F-measure of onsets within 50 ms; and of the time in which both have a pitch, the share in
      which it is the same within half a semitone. NaN where the bass has none.
    """
    played = _played(found, len(bass))
    heard, again = (onset_times(bass_features(wave).onsets) for wave in (bass, played))
    agreement = onset_f1(heard, again)
    pitches = [track_pitch(wave, SAMPLE_RATE_HZ) for wave in (bass, played)]
    both = pitches[0].voiced & pitches[1].voiced
    if not both.any():
        return agreement, 0.0 if pitches[0].voiced.any() else np.nan
    cents = 1200.0 * np.log2(pitches[0].f0_hz[both] / pitches[1].f0_hz[both])
    return agreement, float(np.mean(np.abs(cents) <= _NEAR_CENTS))


def _played(found: Sequence[BassNote], num_samples: int) -> np.ndarray:
    """Notes as a synthesiser plays them, `[num_samples]`."""
    if not found:
        return np.zeros(num_samples, np.float32)
    notes = [
        Note(note.start_seconds, note.end_seconds, round(note.pitch), note.velocity)
        for note in found
    ]
    bends = [Bend(note.start_seconds, note.pitch - round(note.pitch)) for note in found]
    part = Part("bass", 38, False, tuple(notes), tuple(bends))
    return np.asarray(synth.play_voice([part], TIMBRES[_TIMBRE], num_samples), np.float32)
