"""The pitch of a bass over time, and how well two basses agree on it.

The tracker is YIN (de Cheveigné and Kawahara, JASA 2002) on a signal low-passed and
resampled for basses; its aperiodicity, with the energy, decides what is voiced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from bassdiff.audio.running import running_median

# 512 samples at 44.1 kHz: the grid that the chroma and the onset envelopes share.
HOP_SECONDS = 512 / 44100

_RATE_HZ = 11025.0
# With one period's lag more, 3.5 periods of the low E of a bass (41.2 Hz). Longer windows
# hold two notes at a time: of notes 150 ms long they get fewer frames right.
_WINDOW_SECONDS = 0.06
_TYPICAL_HZ = 75.0
_FIRST_DIP = 0.15
_MAX_APERIODICITY = 0.3
_MIN_RUN_FRAMES = 4
_MEDIAN_FRAMES = 5
# Frames this far below the loud ones are reverberation or leakage, not notes.
_GATE_DB = -40.0
_SILENCE_RMS = 1e-4
_BATCH_FRAMES = 512


@dataclass(frozen=True)
class PitchTrack:
    """Pitch by frame; frame i is centred on i · hop_seconds.

    Attributes:
      f0_hz: `[F]` float64 fundamental frequency; 0 where unvoiced.
      voiced: `[F]` bool.
      hop_seconds: time between frames.
    """

    f0_hz: np.ndarray
    voiced: np.ndarray
    hop_seconds: float

    @property
    def voiced_share(self) -> float:
        """Share of frames that are voiced."""
        return float(self.voiced.mean()) if len(self.voiced) else 0.0

    def pitch_classes(self) -> np.ndarray:
        """`[F]` int nearest pitch class, C = 0, at A = 440 Hz; -1 where unvoiced."""
        safe_hz = np.where(self.voiced, self.f0_hz, 440.0)
        midi = np.rint(69 + 12 * np.log2(safe_hz / 440.0)).astype(int)
        return np.where(self.voiced, midi % 12, -1)


@dataclass(frozen=True)
class PitchAgreement:
    """How one bass's pitch matches another's.

    Attributes:
      within_25_cents: share of the reference's voiced frames where the estimate is voiced
        and within 25 cents.
      num_frames: frames voiced in the reference.
    """

    within_25_cents: float
    num_frames: int


def track_pitch(
    samples: np.ndarray,
    sample_rate_hz: int = 44100,
    hop_seconds: float = HOP_SECONDS,
    fmin_hz: float = 27.5,
    fmax_hz: float = 440.0,
) -> PitchTrack:
    """Tracks the pitch of a monophonic bass.

    Args:
      samples: `[N]` float.
      sample_rate_hz: samples per second.
      hop_seconds: time between frames.
      fmin_hz: lowest pitch; the default is below a five-string bass's low B.
      fmax_hz: highest pitch.

    Returns:
      1 + floor(N / hop) frames. Silence is unvoiced.
    """
    num_frames = 1 + int(len(samples) / sample_rate_hz / hop_seconds + 1e-6)
    low = np.asarray(samples, np.float32)
    if len(low) and sample_rate_hz != _RATE_HZ:
        low = soxr.resample(low, sample_rate_hz, _RATE_HZ)
    min_lag = max(2, int(_RATE_HZ / fmax_hz))
    max_lag = int(np.ceil(_RATE_HZ / fmin_hz)) + 1
    window = round(_WINDOW_SECONDS * _RATE_HZ)
    span = window + max_lag
    centres = np.rint(np.arange(num_frames) * hop_seconds * _RATE_HZ).astype(int)
    # A frame's estimate looks at the window and one period: centre that of a typical note.
    ahead = (window + round(_RATE_HZ / _TYPICAL_HZ)) // 2
    low = np.pad(low, (ahead, span + max(0, int(centres[-1]) - len(low))))

    lags = np.zeros(num_frames)
    aperiodicity = np.ones(num_frames)
    rms = np.zeros(num_frames)
    for start in range(0, num_frames, _BATCH_FRAMES):
        rows = slice(start, min(start + _BATCH_FRAMES, num_frames))
        frames = low[centres[rows, None] + np.arange(span)]  # [F, span]
        rms[rows] = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
        normalised = _normalised_difference(frames, window, max_lag)
        lags[rows], aperiodicity[rows] = _first_dip(normalised, min_lag)

    loud = np.percentile(rms, 95)
    gate = max(_SILENCE_RMS, loud * 10 ** (_GATE_DB / 20))
    voiced = (rms > gate) & (aperiodicity < _MAX_APERIODICITY) & (lags > 0)
    f0_hz = _RATE_HZ / np.where(voiced, lags, np.inf)
    f0_hz, voiced = _smooth(f0_hz, voiced)
    return PitchTrack(f0_hz, voiced, hop_seconds)


def pitch_agreement(
    reference: np.ndarray, estimate: np.ndarray, sample_rate_hz: int = 44100
) -> PitchAgreement:
    """Compares the pitch of two recordings of what should be the same bass.

    Args:
      reference: `[N]` float, the original.
      estimate: `[N]` float, for instance after a codec's round trip.
      sample_rate_hz: rate of both.

    Returns:
      The agreement over the frames voiced in the reference; both are 0 without any.

    Raises:
      ValueError: the lengths differ.
    """
    if len(reference) != len(estimate):
        raise ValueError(f"lengths differ: {len(reference)} and {len(estimate)} samples")
    return compare_tracks(
        track_pitch(reference, sample_rate_hz), track_pitch(estimate, sample_rate_hz)
    )


def compare_tracks(reference: PitchTrack, estimate: PitchTrack) -> PitchAgreement:
    """As `pitch_agreement`, of two tracks with the same frames."""
    num_frames = int(reference.voiced.sum())
    both = reference.voiced & estimate.voiced
    cents = 1200 * np.log2(estimate.f0_hz[both] / reference.f0_hz[both])
    return PitchAgreement(float((np.abs(cents) <= 25).sum()) / max(num_frames, 1), num_frames)


def _normalised_difference(frames: np.ndarray, window: int, max_lag: int) -> np.ndarray:
    """YIN's cumulative mean normalised difference, equations 6 to 8, `[F, max_lag + 1]`."""
    size = int(2 ** np.ceil(np.log2(frames.shape[1])))
    spectrum = np.fft.rfft(frames, size)
    head = np.fft.rfft(frames[:, :window], size)
    correlation = np.fft.irfft(spectrum * head.conj(), size)[:, : max_lag + 1]
    power = np.cumsum(np.pad(frames.astype(np.float64) ** 2, ((0, 0), (1, 0))), axis=1)
    lag = np.arange(max_lag + 1)
    energy = power[:, window + lag] - power[:, lag]
    difference = np.maximum(energy[:, :1] + energy - 2 * correlation, 0.0)
    mean = np.cumsum(difference[:, 1:], axis=1) / lag[1:]
    floor = 1e-12 + 1e-6 * energy[:, :1]
    return np.concatenate(
        [np.ones_like(mean[:, :1]), difference[:, 1:] / np.maximum(mean, floor)], axis=1
    )


def _first_dip(normalised: np.ndarray, min_lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Lag (in samples, interpolated) and depth of the first dip deep enough, else the deepest."""
    inner = normalised[:, 1:-1]
    is_dip = (inner <= normalised[:, :-2]) & (inner < normalised[:, 2:])
    is_dip[:, : min_lag - 1] = False
    depth = np.where(is_dip, inner, np.inf)
    deepest = depth.min(axis=1)
    # A dip is the first one if a later one is not much deeper: noise lifts every dip.
    enough = depth <= np.maximum(_FIRST_DIP, deepest + 0.05)[:, None]
    lag = enough.argmax(axis=1) + 1
    row = np.arange(len(lag))
    left, mid, right = (normalised[row, lag + shift] for shift in (-1, 0, 1))
    curvature = left - 2 * mid + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(curvature > 0, 0.5 * (left - right) / curvature, 0.0)
    found = np.isfinite(deepest)
    return np.where(found, lag + np.clip(shift, -1, 1), 0.0), np.where(found, mid, 1.0)


def _smooth(f0_hz: np.ndarray, voiced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drops voiced runs too short to be a note and replaces lone octave jumps."""
    edges = np.flatnonzero(np.diff(voiced, prepend=False, append=False)).reshape(-1, 2)
    voiced = voiced.copy()
    for start, end in edges[edges[:, 1] - edges[:, 0] < _MIN_RUN_FRAMES]:
        voiced[start:end] = False
    median = running_median(np.pad(f0_hz, _MEDIAN_FRAMES // 2, mode="edge"), _MEDIAN_FRAMES)
    with np.errstate(divide="ignore", invalid="ignore"):
        jump = voiced & (median > 0) & (np.abs(np.log2(f0_hz / median)) > 0.75)
    return np.where(voiced, np.where(jump, median, f0_hz), 0.0), voiced
