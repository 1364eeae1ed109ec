"""Does a long bass stay itself? Level and timbre by minute, over whole songs."""

from __future__ import annotations

import numpy as np

from bassdiff.appraisal.music import LABELS
from bassdiff.appraisal.stage import MODEL, Stage
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.bassist import MAX_SECONDS
from bassdiff.errors import InputError, SilentSong
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.drift import Drift, drift
from bassdiff.evaluation.table import Column, Kind, Row, Score, Table, mean_score

MIN_SEGMENTS = 2
COLUMNS = (
    Column("level_slope", "level slope", "change of level in dB a minute, without its sign",
           "lower"),
    Column("timbre_drift", "timbre drift", "greatest timbre distance of a minute to the first, "
           "in dB", "lower"),
    Column("timbre_floor", "timbre floor", "timbre distance of the first minute's halves, in dB: "
           "what notes alone bring about", "none"),
    Column("level_by_minute", "level by minute", "mean over songs, in dB", "none", digits=1),
    Column("timbre_by_minute", "timbre by minute", "mean distance to the first minute over songs, "
           "in dB", "none", digits=1),
)  # fmt: skip


def longform(stage: Stage, num_songs: int = 3, segment_seconds: float = 60.0) -> Table:
    """Plays to the longest whole songs of the source.

    Args:
      stage: the source and the players.
      num_songs: how many.
      segment_seconds: what is called a minute.

    Raises:
      InputError: no song lasts for two segments.
    """
    songs = _longest(stage, num_songs, segment_seconds)
    long = Stage(
        stage.bassist, stage.source, songs, stage.takes, stage.seed, stage.knobs, stage.judge
    )
    rows = []
    players = {MODEL: long.model, "true": long.true, "follower": long.follower}
    for name, play in players.items():
        drifts = []
        for number in stage.progress(range(len(songs)), LABELS[name]):
            drifts.append(drift(play(number), SAMPLE_RATE_HZ, segment_seconds))
        kind: Kind = "system" if name == MODEL else "anchor"
        rows.append(Row(name, LABELS[name], kind, _scores(drifts, [clip.song for clip in songs])))
    return Table(
        "longform",
        "Does a long bass stay itself?",
        long.about(segment_seconds=segment_seconds, seconds=[_seconds(c) for c in songs]),
        COLUMNS,
        tuple(rows),
    )


def _longest(stage: Stage, num_songs: int, segment_seconds: float) -> list[Clip]:
    songs = []
    for index in stage.progress(range(len(stage.source)), "songs"):
        try:
            stems = stage.source[index]
        except SilentSong:
            continue
        length = min(len(stems.bass), round(MAX_SECONDS * SAMPLE_RATE_HZ))
        mix = stems.mix()[:length]
        songs.append(Clip("", stems.name, index, 0, mix, stems.bass[:length]))
        # No more than needed stay in memory.
        songs = sorted(songs, key=lambda clip: -len(clip.mix))[:num_songs]
    if not songs or _seconds(songs[-1]) < MIN_SEGMENTS * segment_seconds:
        raise InputError(
            f"there are no {num_songs} songs of {MIN_SEGMENTS * segment_seconds:g} s; raise "
            "--max-seconds, name longer songs or shorten --segment-seconds"
        )
    return [
        Clip(f"long-{number}", c.song, c.index, 0, c.mix, c.bass) for number, c in enumerate(songs)
    ]


def _scores(drifts: list[Drift], songs: list[str]) -> dict[str, Score]:
    minutes = min(len(item.level_db) for item in drifts)

    def by_minute(name: str) -> Score:
        values = np.mean([getattr(item, name)[:minutes] for item in drifts], axis=0)
        return Score(float(np.nanmean(values)), np.nan, np.nan, tuple(values.tolist()))

    return {
        "level_slope": mean_score([abs(d.level_slope_db_per_minute) for d in drifts], songs),
        "timbre_drift": mean_score([d.max_timbre_db for d in drifts], songs),
        "timbre_floor": mean_score([d.floor_db for d in drifts], songs),
        "level_by_minute": by_minute("level_db"),
        "timbre_by_minute": by_minute("timbre_db"),
    }


def _seconds(clip: Clip) -> float:
    return len(clip.mix) / SAMPLE_RATE_HZ
