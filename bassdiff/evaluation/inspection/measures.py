"""Measures one song: levels, key, tempo and faults."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import soxr

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.loudness import loudness_lufs
from bassdiff.data.latents import active_frames
from bassdiff.synthesis.stems import UNPITCHED, Stems

NOTES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# Key profiles, tonic first, from listeners' ratings:
# Krumhansl, Cognitive Foundations of Musical Pitch, 1990, table 2.1.
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
KEYS = tuple(f"{note} {mode}" for mode in _PROFILES for note in NOTES)
CHROMA_RATE_HZ, CHROMA_HOP = 11025, 1024
# C2: below it, pitch classes smear into each other.
_LOWEST_HZ, _NUM_OCTAVES = 65.41, 5
_TEMPO_RATE_HZ = 22050
# Three samples in a row at full scale indicate clipping.
_FULL_SCALE, _CLIPPED_RUN = 0.999, 3
_LEAST_ACTIVE = 0.05


@dataclass(frozen=True)
class SongMeasures:
    """Measures of one song.

    Attributes:
      name: The song's name.
      seconds: Length.
      stem_lufs: Integrated loudness of every stem including the bass; -inf for silence.
      others_lufs: Loudness of everything but the bass.
      active_share: Share of the 46 ms frames in which the bass sounds, 0…1.
      key: Estimated key, one of `KEYS`; None without pitch.
      tempo_bpm: Beats per minute; NaN if no beat is found.
      tempo_is_known: Whether the tempo comes from annotated beats.
      peak: Highest absolute sample of a stem.
      mix_peak: Highest absolute sample of the sum of all stems; may exceed 1.
      clipped_runs: Number of runs of three or more samples of a stem at full scale. Clipping of one
        channel only is hidden by averaging.
      problems: Problems of the song, in words.
    """

    name: str
    seconds: float
    stem_lufs: dict[str, float]
    others_lufs: float
    active_share: float
    key: str | None
    tempo_bpm: float
    tempo_is_known: bool
    peak: float
    mix_peak: float
    clipped_runs: int
    problems: tuple[str, ...]


def measure(stems: Stems) -> SongMeasures:
    """Measures one song; takes about 0.5 s of one core per minute."""
    rate = stems.sample_rate_hz
    audio = {"bass": stems.bass, **stems.others}
    mix = stems.mix()
    lufs = {name: loudness_lufs(samples, rate) for name, samples in audio.items()}
    peaks = {name: float(np.abs(samples).max(initial=0.0)) for name, samples in audio.items()}
    clipped = {name: clipped_runs(samples) for name, samples in audio.items()}
    active_share = float(active_frames(stems.bass).mean()) if len(stems.bass) else 0.0
    known = np.asarray(stems.annotation.beat_seconds)
    tempo_is_known = len(known) > 1
    return SongMeasures(
        name=stems.name,
        seconds=len(stems.bass) / rate,
        stem_lufs=lufs,
        others_lufs=loudness_lufs(mix, rate),
        active_share=active_share,
        key=estimate_key(chroma(pitched_sum(stems), rate)),
        tempo_bpm=60.0 / float(np.median(np.diff(known)))
        if tempo_is_known
        else estimate_tempo(mix, rate),
        tempo_is_known=tempo_is_known,
        peak=max(peaks.values()),
        mix_peak=float(np.abs(mix + stems.bass).max(initial=0.0)),
        clipped_runs=sum(clipped.values()),
        problems=tuple(_problems(stems, lufs, clipped, active_share)),
    )


def pitched_sum(stems: Stems) -> np.ndarray:
    """The sum of the bass and all pitched stems, `[N]` float32."""
    return stems.bass + stems.mix([name for name in stems.others if name not in UNPITCHED])


def chroma(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Chromagram by a constant-Q transform, tuned to the recording.

    Args:
      samples: `[N]` float.
      sample_rate_hz: Sample rate.

    Returns:
      `[F, 12]` float32, C first, a frame every 93 ms; zeros for silence.
    """
    low = soxr.resample(np.asarray(samples, np.float32), sample_rate_hz, CHROMA_RATE_HZ)
    if not low.any():
        return np.zeros((1 + len(low) // CHROMA_HOP, 12), np.float32)
    # The transform's lowest octaves need whole hops and a least length.
    low = np.pad(low, (0, max(0, CHROMA_RATE_HZ - len(low))))
    with warnings.catch_warnings():
        # librosa warns if there is no pitch to estimate the tuning from.
        warnings.simplefilter("ignore", UserWarning)
        values = librosa.feature.chroma_cqt(
            y=low,
            sr=CHROMA_RATE_HZ,
            hop_length=CHROMA_HOP,
            fmin=_LOWEST_HZ,
            n_octaves=_NUM_OCTAVES,
            norm=None,
        )
    return values.T.astype(np.float32)


def estimate_key(values: np.ndarray) -> str | None:
    """The key whose profile correlates best with a chromagram `[F, 12]`; None if it is zero."""
    mean = values.mean(axis=0)
    if not mean.max(initial=0.0) > 0.0:
        return None
    profiles = np.array([np.roll(p, tonic) for p in _PROFILES.values() for tonic in range(12)])
    centred = profiles - profiles.mean(axis=1, keepdims=True)
    fit = centred @ (mean - mean.mean()) / np.linalg.norm(centred, axis=1)
    return KEYS[int(fit.argmax())]


def estimate_tempo(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Librosa's estimate in beats per minute, may be half or double; NaN for silence."""
    low = soxr.resample(np.asarray(samples, np.float32), sample_rate_hz, _TEMPO_RATE_HZ)
    if not low.any():
        return math.nan
    return float(librosa.feature.tempo(y=low, sr=_TEMPO_RATE_HZ)[0])


def clipped_runs(samples: np.ndarray) -> int:
    """Number of runs of three or more samples at full scale in `[N]`."""
    full = np.abs(samples) >= _FULL_SCALE
    edges = np.diff(np.concatenate([[0], full.view(np.int8), [0]]))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return int((lengths >= _CLIPPED_RUN).sum())


def _problems(
    stems: Stems, lufs: dict[str, float], clipped: dict[str, int], active_share: float
) -> list[str]:
    silent = [name for name, loudness in lufs.items() if not math.isfinite(loudness)]
    found = []
    if "bass" in silent:
        found.append("the bass is silent")
    elif active_share < _LEAST_ACTIVE:
        found.append(f"the bass plays {active_share:.1%} of the time")
    if set(silent) >= set(stems.others):
        found.append("everything but the bass is silent")
    else:
        found += [f"{name} is silent" for name in silent if name != "bass"]
    for name, lacking in stems.padded_samples.items():
        found.append(f"{name} ends {lacking / stems.sample_rate_hz:.2f} s before the longest stem")
    found += [f"{name} clips in {n} places" for name, n in clipped.items() if n]
    return found
