"""Measures of notes: chord tones, onsets, beats and activity of a bass.

NaN means unknown, and means over songs leave it out. Missing notes are not unknown: they score 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mir_eval.beat
import mir_eval.onset
import numpy as np
import scipy.ndimage

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import HOP_SECONDS, PitchTrack
from bassdiff.data.latents import ACTIVE_RATIO, active_frames
from bassdiff.synthesis.score import Chord

_HOP_SAMPLES = round(HOP_SECONDS * SAMPLE_RATE_HZ)
# Above the mean of the surrounding 0.2 s. The step is absolute: notes after silence rise by 20 dB
# and legato ones by 2, so a relative step would miss those. Steady noise stays below.
_ONSET_STEP_DB = 0.7
# A chord's first note has settled by then, and the next is not likely yet.
_BEGUN = (0.05, 0.3)
_TEMPO_TOLERANCE = 0.04
_TEMPO_RATIOS = (1 / 3, 1 / 2, 1.0, 2.0, 3.0)
_REST_SECONDS = 0.1
# Hysteresis: a note must rise 6 dB above `ACTIVE_RATIO` to count.
_HYSTERESIS_RATIO = 4.0
# As in `active_frames`: below -90 dB of full scale counts as silence.
_SILENCE_POWER = 1e-9


@dataclass(frozen=True)
class BeatAgreement:
    """Agreement of a bass with the beat.

    Attributes:
      beat_f1: F-measure of its beats within 70 ms, 0…1. Beats at half or double the tempo score
        2/3, beats on the off-beats 0.
      tempo_ok: 1.0 if the tempi agree within 4 %, up to a factor of 2 or 3, else 0.0.
    """

    beat_f1: float
    tempo_ok: float


@dataclass(frozen=True)
class Activity:
    """How much a bass plays.

    Attributes:
      active_share: Share of the time in which it sounds, 0…1; NaN without samples.
      rests_per_minute: Rests of at least 100 ms per minute; NaN for silence.
    """

    active_share: float
    rests_per_minute: float


@dataclass(frozen=True)
class PitchRange:
    """Range of a bass in fractional MIDI pitch; NaN without voiced frames.

    Attributes:
      low_midi: 5th percentile of the voiced frames.
      high_midi: 95th percentile.
    """

    low_midi: float
    high_midi: float


def chord_tone_share(
    pitch: PitchTrack, chords: Sequence[Chord], offset_seconds: float = 0.0
) -> float:
    """Share of voiced frames whose pitch class belongs to the chord, or is its slash bass.

    Args:
      pitch: Pitch of the bass.
      chords: Annotated chords, in order, without overlap; other frames do not count.
      offset_seconds: Time of the first frame on the chords' clock.

    Returns:
      0…1; uniformly random pitch classes against triads give 0.25. 0 if no voiced frame lies inside
      a chord, NaN if no frame does.
    """
    return _share_within(
        pitch, [{*c.pitch_classes, c.bass} for c in chords], chords, offset_seconds
    )


def root_share(pitch: PitchTrack, chords: Sequence[Chord], offset_seconds: float = 0.0) -> float:
    """Share of voiced frames whose pitch class is the chord's lowest note (its `bass`).

    Otherwise as `chord_tone_share`; chance is 1/12.
    """
    return _share_within(pitch, [{c.bass} for c in chords], chords, offset_seconds)


def bass_note_accuracy(
    pitch: PitchTrack, chords: Sequence[Chord], offset_seconds: float = 0.0
) -> float:
    """Share of chords that begin with their lowest note.

    A chord counts if most of the pitched frames from 50 to 300 ms after its start are of its `bass`
    pitch class; one without a pitch there does not.

    Args:
      pitch: Pitch of the bass.
      chords: As for `chord_tone_share`.
      offset_seconds: Likewise.

    Returns:
      0…1; chance is 1/12. NaN without chords that begin within the bass.
    """
    seconds = np.arange(len(pitch.voiced)) * pitch.hop_seconds + offset_seconds
    classes = pitch.pitch_classes()
    right = []
    for chord in chords:
        if not len(seconds) or not seconds[0] <= chord.start_seconds < seconds[-1] - _BEGUN[1]:
            continue
        begun = chord.start_seconds + _BEGUN[0], chord.start_seconds + _BEGUN[1]
        played = classes[(seconds >= begun[0]) & (seconds < begun[1]) & pitch.voiced]
        right.append(2 * int((played == chord.bass).sum()) > len(played))
    return float(np.mean(right)) if right else np.nan


def held_share(pitch: PitchTrack) -> float:
    """Share of voiced frames with the most frequent pitch class: 1 is a pedal point.

    Args:
      pitch: Pitch from `track_pitch`.

    Returns:
      1/12 to 1; 0 without voiced frames.
    """
    counts = np.bincount(pitch.pitch_classes()[pitch.voiced], minlength=12)
    return float(counts.max() / max(counts.sum(), 1))


def onset_times(envelope: np.ndarray) -> np.ndarray:
    """Picks onsets in an envelope: peaks 0.7 dB above the surrounding mean.

    Onsets come 5 to 30 ms late, later for soft attacks, because a window of 93 ms must fill first.

    Args:
      envelope: `[F]` float in dB per frame, with frames `HOP_SECONDS` apart.

    Returns:
      `[num_onsets]` float64 in seconds, increasing; empty for silence and steady sounds.
    """
    return librosa.onset.onset_detect(
        onset_envelope=envelope,
        sr=SAMPLE_RATE_HZ,
        hop_length=_HOP_SAMPLES,
        units="time",
        normalize=False,
        delta=_ONSET_STEP_DB,
    )


def onset_f1(
    reference_seconds: np.ndarray, estimated_seconds: np.ndarray, window_seconds: float = 0.05
) -> float:
    """F-measure of onsets, 2 · precision · recall / (precision + recall), by mir_eval.

    Args:
      reference_seconds: `[R]` float, increasing: onsets of the drums or of the true bass.
      estimated_seconds: `[E]` float, increasing.
      window_seconds: Tolerance of a match; each onset is matched once.

    Returns:
      0…1; 0 if only the estimate has no onsets, NaN if the reference has none.
    """
    # mir_eval warns about empty lists.
    if not len(reference_seconds):
        return np.nan
    if not len(estimated_seconds):
        return 0.0
    f1, _, _ = mir_eval.onset.f_measure(reference_seconds, estimated_seconds, window_seconds)
    return float(f1)


def beat_agreement(
    mix_onsets: np.ndarray,
    bass_onsets: np.ndarray,
    beat_seconds: Sequence[float] | np.ndarray | None = None,
) -> BeatAgreement:
    """Compares librosa's beats of a bass with annotated beats, or with those of the mix.

    Beats of the first 5 s are not trimmed, unlike in mir_eval's own evaluation, since these
    trackers see the whole clip. The tempo is that of the mean distance of beats.

    Args:
      mix_onsets: `[F]` float, onset envelope of the mix, used without annotated beats.
      bass_onsets: `[F]` float, onset envelope of the bass.
      beat_seconds: Annotated beats, increasing; fewer than two count as unknown.

    Returns:
      The agreement; zeros if only the bass has fewer than two beats, NaN without a reference.
    """
    known = np.asarray(() if beat_seconds is None else beat_seconds, float)
    reference = known if len(known) > 1 else _beats(mix_onsets)
    beats = _beats(bass_onsets)
    if len(reference) < 2:
        return BeatAgreement(np.nan, np.nan)
    if len(beats) < 2:
        return BeatAgreement(0.0, 0.0)
    ratio = np.diff(reference).mean() / np.diff(beats).mean()
    tempo_ok = any(abs(ratio / allowed - 1) <= _TEMPO_TOLERANCE for allowed in _TEMPO_RATIOS)
    return BeatAgreement(float(mir_eval.beat.f_measure(reference, beats)), float(tempo_ok))


def activity(bass: np.ndarray) -> Activity:
    """Measures the activity of a bass `[N]` float at 44.1 kHz.

    The share is that of `active_frames`. Rests are found on a grid of 11.6 ms: a sounding stretch
    begins and ends 40 dB below the loudest moment and must rise above -34 dB.
    """
    if not len(bass):
        return Activity(np.nan, np.nan)
    share = float(active_frames(bass).mean())
    if not share:
        return Activity(0.0, np.nan)
    padded = np.pad(bass, (0, -len(bass) % _HOP_SAMPLES)).reshape(-1, _HOP_SAMPLES)
    # Peaks, since a frame is shorter than the period of low notes and its power would flicker.
    power = np.abs(padded).max(axis=1) ** 2
    gate = max(float(power.max()) * ACTIVE_RATIO, _SILENCE_POWER)
    stretch, _ = scipy.ndimage.label(power > gate)
    risen = np.setdiff1d(stretch[power > gate * _HYSTERESIS_RATIO], 0)
    places = np.flatnonzero(np.isin(stretch, risen))
    # Partly silent frames count as sounding: half a frame at either end.
    rests = int((np.diff(places) * HOP_SECONDS >= _REST_SECONDS).sum())
    return Activity(share, rests / (len(bass) / SAMPLE_RATE_HZ / 60))


def pitch_range(pitch: PitchTrack) -> PitchRange:
    """The 5th and 95th percentile of pitch over voiced frames."""
    if not pitch.voiced.any():
        return PitchRange(np.nan, np.nan)
    midi = librosa.hz_to_midi(pitch.f0_hz[pitch.voiced])
    low, high = np.percentile(midi, [5, 95])
    return PitchRange(float(low), float(high))


def _share_within(
    pitch: PitchTrack, allowed: list[set[int]], chords: Sequence[Chord], offset_seconds: float
) -> float:
    """Share of the voiced frames inside chords whose pitch class is in the chord's set."""
    seconds = np.arange(len(pitch.voiced)) * pitch.hop_seconds + offset_seconds
    classes = pitch.pitch_classes()
    right = total = annotated = 0
    for chord, members in zip(chords, allowed, strict=True):
        inside = (seconds >= chord.start_seconds) & (seconds < chord.end_seconds)
        played = classes[inside & pitch.voiced]
        annotated += int(inside.sum())
        total += len(played)
        right += int(np.isin(played, list(members)).sum())
    return right / max(total, 1) if annotated else np.nan


def _beats(envelope: np.ndarray) -> np.ndarray:
    """Beats in seconds; none without onsets, since the tracker finds beats in any noise."""
    if not len(onset_times(envelope)):
        return np.zeros(0)
    _, beats = librosa.beat.beat_track(
        onset_envelope=envelope, sr=SAMPLE_RATE_HZ, hop_length=_HOP_SAMPLES, units="time"
    )
    return beats
