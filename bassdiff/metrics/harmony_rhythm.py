"""How well a bass fits a mix: harmony and rhythm.

All features share a grid of frames, 512 samples at 44.1 kHz (11.6 ms) apart. Mixes and basses are
analysed separately, so that N songs need 2 N analyses and the N · N pair scores are cheap. Tuning
is fixed to A = 440 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.pitch import PitchTrack, track_pitch
from bassdiff.audio.resampling import resample
from bassdiff.audio.spectrogram import power_blocks

_RATE_HZ = 22050
_HOP_SAMPLES = 256
_CHROMA_WINDOW_SAMPLES = 4096
_ONSET_WINDOW_SAMPLES = 2048
# Windows cross the start of a clip for four frames, and librosa shifts onsets by four more.
_FIRST_ONSET_FRAMES = 9
# Fret noise and codec hiss above this frequency are unrelated to rhythm.
_BASS_ONSETS_HZ = 2000.0
_BASS_ONSET_BANDS, _MIX_ONSET_BANDS = 40, 128
# Chroma is normalised per frame, so noise in quieter frames would count as harmony.
_CHROMA_GATE_DB = -60.0
# Limits z for mixes of a single tone, which would dominate a mean.
_MIN_DEVIATION = 0.01
# Hiss and clicks have spurious pitches.
_MIN_VOICED_SHARE = 0.1
# Tolerance of aligned onsets, since the two windows shift them by a frame or two.
_ALIGNED_FRAMES = 2
_LAG_SECONDS = 2.0


@dataclass(frozen=True)
class HarmonyScore:
    """How well the bass's pitch classes fit the mix's chroma.

    Attributes:
      rank: Rank of the bass among its 12 transpositions; 1 is best, 6.5 is chance, 12 without a
        bass.
      top1: Whether the bass beats all its transpositions.
      z: (score - mean of the 11 others) / their standard deviation, at most 100.
    """

    rank: float
    top1: bool
    z: float


@dataclass(frozen=True)
class RhythmScore:
    """How well the bass's onsets fit the mix's.

    Attributes:
      correlation: Best Pearson correlation of the onset envelopes within ±2 frames.
      percentile: Share of other lags within ±2 s, in runs of five, with a lower best correlation;
        0.5 is chance.
    """

    correlation: float
    percentile: float


@dataclass(frozen=True)
class MixFeatures:
    """Features of a mix: `chroma` `[F, 12]` in 0…1 and `onsets` `[F]`."""

    chroma: np.ndarray
    onsets: np.ndarray


@dataclass(frozen=True)
class BassFeatures:
    """Features of a bass, or of another line.

    Attributes:
      pitch: The pitch by frame.
      onsets: `[F]`.
      chroma: `[F, 12]` in 0…1, of a line of many voices; None for a bass, whose pitch says more.
    """

    pitch: PitchTrack
    onsets: np.ndarray
    chroma: np.ndarray | None = None


def mix_features(mix: np.ndarray, sample_rate_hz: int = 44100) -> MixFeatures:
    """Analyses a mix, `[N]` float."""
    samples = _prepared(mix, sample_rate_hz)
    chroma, energy = [], []
    for power in power_blocks(samples, _CHROMA_WINDOW_SAMPLES, _HOP_SAMPLES):
        chroma.append(librosa.feature.chroma_stft(S=power, sr=_RATE_HZ, tuning=0.0).T)
        energy.append(power.sum(axis=0))
    level = np.concatenate(energy)
    loud = level > level.max() * 10 ** (_CHROMA_GATE_DB / 10)
    return MixFeatures(np.concatenate(chroma) * loud[:, None], mix_onsets(mix, sample_rate_hz))


def mix_onsets(mix: np.ndarray, sample_rate_hz: int = 44100) -> np.ndarray:
    """The onset envelope `[F]` float32 of a mix `[N]` float."""
    return _onsets(_prepared(mix, sample_rate_hz), _MIX_ONSET_BANDS, _RATE_HZ / 2)


def bass_onsets(bass: np.ndarray, sample_rate_hz: int = 44100) -> np.ndarray:
    """The onset envelope `[F]` float32 of a bass `[N]` float."""
    return _onsets(_prepared(bass, sample_rate_hz), _BASS_ONSET_BANDS, _BASS_ONSETS_HZ)


def bass_features(bass: np.ndarray, sample_rate_hz: int = 44100) -> BassFeatures:
    """Analyses a bass, `[N]` float."""
    return BassFeatures(track_pitch(bass, sample_rate_hz), bass_onsets(bass, sample_rate_hz))


def line_features(line: np.ndarray, sample_rate_hz: int = 44100) -> BassFeatures:
    """Analyses a line of many voices or without pitch, `[N]` float, by its chroma."""
    found = mix_features(line, sample_rate_hz)
    return BassFeatures(track_pitch(line, sample_rate_hz), found.onsets, found.chroma)


def harmony_score(mix: MixFeatures, bass: BassFeatures) -> HarmonyScore:
    """Scores a bass's pitch against the harmony of its mix.

    The mix's chroma, per frame relative to its strongest pitch class, is averaged at the bass's
    pitch class over the voiced frames, for the bass transposed by 0…11 semitones. A line of many
    voices has several pitch classes in a frame, which count as its chroma says.

    Returns:
      The score; rank 12 and z 0 for a bass that is pitched in less than a tenth of the frames,
      rank 6.5 and z 0 for a silent mix.
    """
    if _harmonic_share(bass) < _MIN_VOICED_SHARE:
        return HarmonyScore(12.0, False, 0.0)
    scores = _transposed_scores(mix, bass)
    own, others = scores[0], scores[1:]
    rank = 1 + float((others > own).sum()) + 0.5 * float((others == own).sum())
    z = float(own - others.mean()) / max(float(others.std()), _MIN_DEVIATION)
    return HarmonyScore(rank, rank == 1, z)


def rhythm_score(mix: MixFeatures, bass: BassFeatures) -> RhythmScore:
    """Scores a bass's onsets against those of its mix.

    Returns:
      The score; correlation 0 and percentile 0.5 where either has no onsets.
    """
    num_frames = min(len(mix.onsets), len(bass.onsets))
    # At lags of up to half a short clip, the overlap is long enough.
    reach = min(round(_LAG_SECONDS * _RATE_HZ / _HOP_SAMPLES), num_frames // 2)
    correlations = np.array([_correlation(mix, bass, lag) for lag in range(-reach, reach + 1)])
    width = 2 * _ALIGNED_FRAMES + 1
    if len(correlations) < width:
        return RhythmScore(0.0, 0.5)
    best = np.lib.stride_tricks.sliding_window_view(correlations, width).max(axis=1)
    middle = len(best) // 2
    own = best[middle]
    others = np.concatenate([best[: max(0, middle - width + 1)], best[middle + width :]])
    if not len(others) or not correlations.any():
        return RhythmScore(float(own), 0.5)
    below = (others < own).mean() + 0.5 * (others == own).mean()
    return RhythmScore(float(own), float(below))


def aligned_correlation(mix: MixFeatures, bass: BassFeatures) -> float:
    """The correlation of `rhythm_score` alone, from five lags instead of hundreds."""
    return max(_correlation(mix, bass, lag) for lag in range(-_ALIGNED_FRAMES, _ALIGNED_FRAMES + 1))


def _prepared(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    samples = resample(samples, sample_rate_hz, _RATE_HZ)
    # librosa warns of signals shorter than its window.
    return np.pad(samples, (0, max(0, _CHROMA_WINDOW_SAMPLES - len(samples))))


def _onsets(samples: np.ndarray, num_bands: int, max_hz: float) -> np.ndarray:
    """Spectral flux over mel bands, `[F]` float32."""
    bands = librosa.filters.mel(
        sr=_RATE_HZ, n_fft=_ONSET_WINDOW_SAMPLES, n_mels=num_bands, fmax=max_hz
    )
    power = [bands @ block for block in power_blocks(samples, _ONSET_WINDOW_SAMPLES, _HOP_SAMPLES)]
    level_db = librosa.power_to_db(np.concatenate(power, axis=1))
    onsets = librosa.onset.onset_strength(
        S=level_db, sr=_RATE_HZ, hop_length=_HOP_SAMPLES, n_fft=_ONSET_WINDOW_SAMPLES
    )
    # A clip cut from running music begins with a step, which mix and bass share and which would
    # correlate any two clips.
    onsets[:_FIRST_ONSET_FRAMES] = 0
    return onsets


def _harmonic_share(bass: BassFeatures) -> float:
    """The share of frames in which a bass has a pitch, or another line has chroma."""
    if bass.chroma is None:
        return bass.pitch.voiced_share
    return float(bass.chroma.any(axis=1).mean())


def _transposed_scores(mix: MixFeatures, bass: BassFeatures) -> np.ndarray:
    """`[12]` mean of the chroma at the bass's pitch classes, transposed by 0…11."""
    if bass.chroma is not None:
        num_frames = min(len(mix.chroma), len(bass.chroma))
        shares = bass.chroma[:num_frames]
        sounding = shares.any(axis=1)
        shares = shares[sounding] / shares[sounding].sum(axis=1, keepdims=True)
        heard = mix.chroma[:num_frames][sounding]
        if not len(heard):
            return np.zeros(12)
        # A line that is k semitones higher has its shares k places further.
        products = [np.sum(np.roll(shares, k, axis=1) * heard, axis=1).mean() for k in range(12)]
        return np.array(products)
    num_frames = min(len(mix.chroma), len(bass.pitch.voiced))
    classes = bass.pitch.pitch_classes()[:num_frames]
    voiced = np.flatnonzero(classes >= 0)
    if not len(voiced):  # Everything that sounds comes after the mix.
        return np.zeros(12)
    shifted = (classes[voiced, None] + np.arange(12)) % 12
    return mix.chroma[voiced[:, None], shifted].mean(axis=0)


def _correlation(mix: MixFeatures, bass: BassFeatures, lag: int) -> float:
    """Pearson correlation of the onsets, the bass's taken `lag` frames earlier."""
    num_frames = min(len(mix.onsets), len(bass.onsets))
    if abs(lag) >= num_frames:
        return 0.0
    left = mix.onsets[max(0, lag) : num_frames + min(0, lag)]
    right = bass.onsets[max(0, -lag) : num_frames - max(0, lag)]
    left, right = left - left.mean(), right - right.mean()
    power = float(left @ left) * float(right @ right)
    return float(left @ right) / power**0.5 if power > 0 else 0.0
