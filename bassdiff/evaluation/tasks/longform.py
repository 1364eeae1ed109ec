"""Longform task: level and timbre by minute, over whole songs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.diffusion.editing import Windowed
from bassdiff.diffusion.sampling import make_window
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.progress import Progress
from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.evaluation.tasks.music import LABELS
from bassdiff.inference.inputs import MAX_SECONDS
from bassdiff.metrics.drift import Drift, drift
from bassdiff.metrics.seams import Seams, seams, window_borders
from bassdiff.metrics.table import Column, Kind, Row, Score, Table, mean_score
from bassdiff.models.features import LATENT_HOP
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.stems import Source

MIN_SEGMENTS = 2
COLUMNS = (
    Column("silent_minutes", "silent minutes", "share of the segments without sound", "lower"),
    Column("level_slope", "level slope", "change of level in dB a minute, without its sign; not "
           "known with fewer than two sounding segments", "lower"),
    Column("timbre_drift", "timbre drift", "greatest timbre distance of a minute to the first, "
           "in dB", "lower"),
    Column("timbre_floor", "timbre floor", "timbre distance of the first minute's halves, in dB: "
           "what notes alone bring about", "none"),
    Column("seam_level", "level across windows", "mean jump of level in dB where a window begins "
           "or ends, less that elsewhere", "none"),
    Column("seam_pitch", "notes across windows", "share of those places where the pitch changes, "
           "less that elsewhere", "none"),
    Column("level_by_minute", "level by minute", "mean over the songs that sound then, in dB",
           "none", digits=1),
    Column("timbre_by_minute", "timbre by minute", "mean distance to the first minute over the "
           "songs that sound then, in dB", "none", digits=1),
)  # fmt: skip


def longform(context: EvaluationContext, segment_seconds: float = 60.0) -> Table:
    """Measures drift of level and timbre over whole songs.

    Args:
      context: The evaluation, with songs from `longest` as clips.
      segment_seconds: Length of a "minute".
    """
    rows = []
    players = {MODEL: context.model, "true": context.true, "follower": context.follower}
    for name, play in players.items():
        numbers = context.progress(range(len(context.clips)), LABELS[name])
        drifts, across = [], []
        for number in numbers:
            bass = play(number)
            drifts.append(drift(bass, SAMPLE_RATE_HZ, segment_seconds))
            across.append(seams(bass, _borders_seconds(context, len(bass))))
        kind: Kind = "system" if name == MODEL else "anchor"
        rows.append(Row(name, LABELS[name], kind, _scores(drifts, across, context.songs)))
    return Table(
        "longform",
        "Does a long bass stay itself?",
        context.about(segment_seconds=segment_seconds, seconds=list(map(_seconds, context.clips))),
        COLUMNS,
        tuple(rows),
    )


def _borders_seconds(context: EvaluationContext, num_samples: int) -> np.ndarray:
    """Times at which the generator's windows begin or end; empty for a single window."""
    frames = -(-num_samples // LATENT_HOP)
    settings = dataclasses.replace(context.generator.defaults, **context.overrides)
    window = make_window(settings, frames, LATENT_HOP / SAMPLE_RATE_HZ)
    if not isinstance(window, Windowed):
        return np.zeros(0)
    return window_borders(frames, window.window, window.hop) * LATENT_HOP / SAMPLE_RATE_HZ


def longest(
    source: Source, num_songs: int, segment_seconds: float, progress: Progress
) -> list[Clip]:
    """The longest songs of a source as clips, cut to the longest length of the generator.

    Raises:
      InputError: If fewer songs than requested have two segments.
    """
    songs: list[Clip] = []
    for index in progress(range(len(source)), "songs"):
        try:
            stems = source[index]
        except UnusableSong:
            continue
        length = min(len(stems.bass), round(MAX_SECONDS * SAMPLE_RATE_HZ))
        mix = stems.mix()[:length]
        songs.append(Clip("", stems.name, index, 0, mix, stems.bass[:length]))
        # Keeps only the needed songs in memory.
        songs = sorted(songs, key=lambda clip: -len(clip.mix))[:num_songs]
    if len(songs) < num_songs or _seconds(songs[-1]) < MIN_SEGMENTS * segment_seconds:
        raise InputError(
            f"there are no {num_songs} songs of {MIN_SEGMENTS * segment_seconds:g} s; raise "
            "--max-seconds, name longer or fewer songs, or shorten --segment-seconds"
        )
    return [dataclasses.replace(clip, name=f"long-{n}") for n, clip in enumerate(songs)]


def _scores(drifts: list[Drift], across: list[Seams], songs: list[str]) -> dict[str, Score]:
    return {
        "seam_level": mean_score([a.level_db for a in across], songs),
        "seam_pitch": mean_score([a.pitch_share for a in across], songs),
        "silent_minutes": mean_score([d.silent_share for d in drifts], songs),
        "level_slope": mean_score([abs(d.level_slope_db_per_minute) for d in drifts], songs),
        "timbre_drift": mean_score([d.max_timbre_db for d in drifts], songs),
        "timbre_floor": mean_score([d.floor_db for d in drifts], songs),
        "level_by_minute": by_minute([d.level_db for d in drifts]),
        "timbre_by_minute": by_minute([d.timbre_db for d in drifts]),
    }


def by_minute(songs: Sequence[np.ndarray]) -> Score:
    """Averages each minute over the songs that sound in it, for the minutes that all songs have.

    Args:
      songs: `[minutes]` each, NaN for silent minutes.

    Returns:
      The mean over minutes, with the values of the minutes as `per_clip`.
    """
    values = np.array([song[: min(map(len, songs))] for song in songs])
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    means = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    value = float(means[count > 0].mean()) if count.any() else np.nan
    return Score(value, np.nan, np.nan, tuple(means.tolist()))


def _seconds(clip: Clip) -> float:
    return len(clip.mix) / SAMPLE_RATE_HZ
