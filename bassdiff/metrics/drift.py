"""Drift of a long bass: level and timbre by minute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bassdiff.data.latents import ACTIVE_RATIO, HOP, active_frames
from bassdiff.metrics.timbre import timbre, timbre_distance

SEGMENT_SECONDS = 60.0


@dataclass(frozen=True)
class Drift:
    """Level and timbre of a bass by minute (or by segments of another length).

    Attributes:
      level_db: `[minutes]` float64, RMS over sounding frames in dB of full scale; NaN for silent
        minutes.
      timbre_db: `[minutes]` float64, `timbre_distance` to the first sounding minute, 0 for that
        one; NaN for silent minutes.
      floor_db: Timbre distance of the two halves of the first sounding minute, caused by different
        notes. Halves differ more than whole minutes, so lower values of `timbre_db` are not drift.
        NaN if a half is silent.
      level_slope_db_per_minute: Slope of the least-squares line through `level_db`, per 60 s; NaN
        with fewer than two sounding minutes.
      max_timbre_db: Maximum of `timbre_db`; NaN with fewer than two sounding minutes.
      silent_share: Share of silent minutes, 0…1.
    """

    level_db: np.ndarray
    timbre_db: np.ndarray
    floor_db: float
    level_slope_db_per_minute: float
    max_timbre_db: float
    silent_share: float


def drift(
    bass: np.ndarray, sample_rate_hz: int = 44100, segment_seconds: float = SEGMENT_SECONDS
) -> Drift:
    """Measures how level and timbre of a bass change over time.

    Args:
      bass: `[N]` float, of any length.
      sample_rate_hz: Sample rate.
      segment_seconds: Length of a "minute". A remainder of at least half that length is a minute of
        its own; a shorter one joins the last minute.

    Returns:
      The drift. A minute 40 dB below the median one counts as silent, since it holds only the
      codec's hiss.
    """
    length = round(segment_seconds * sample_rate_hz)
    num_segments = max(1, int(len(bass) / length + 0.5))
    segments = np.split(np.asarray(bass), np.arange(1, num_segments) * length)
    powers = np.array([_sounding_power(segment) for segment in segments])
    loud = powers > 0
    known = loud & (powers > (np.median(powers[loud]) * ACTIVE_RATIO if loud.any() else 0))
    numbers = np.flatnonzero(known)
    level_db, timbre_db = np.full((2, num_segments), np.nan)
    if not len(numbers):
        return Drift(level_db, timbre_db, np.nan, np.nan, np.nan, 1.0)

    level_db[known] = 10 * np.log10(powers[known])
    timbres = [timbre(segments[number], sample_rate_hz) for number in numbers]
    timbre_db[known] = [timbre_distance(timbres[0], later) for later in timbres]
    halves = np.array_split(segments[numbers[0]], 2)
    floor_db = timbre_distance(*(timbre(half, sample_rate_hz) for half in halves))
    slope = furthest = np.nan
    if len(numbers) > 1:
        slope = float(np.polyfit(numbers * (segment_seconds / 60), level_db[known], 1)[0])
        furthest = float(timbre_db[known].max())
    silent_share = 1 - len(numbers) / num_segments
    return Drift(level_db, timbre_db, floor_db, slope, furthest, silent_share)


def _sounding_power(segment: np.ndarray) -> float:
    """Mean square over the sounding frames; 0 for silence."""
    if not len(segment):
        return 0.0
    sounding = np.repeat(active_frames(segment), HOP)[: len(segment)]
    return float(np.mean(np.square(segment[sounding], dtype=float))) if sounding.any() else 0.0
