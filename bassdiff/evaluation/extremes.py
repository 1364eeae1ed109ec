"""Selects the clips on which a system did best and worst, with audio for a page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bassdiff.evaluation import charts
from bassdiff.evaluation.clips import MIX, TRUE
from bassdiff.evaluation.result_folder import EvaluationFolder, PlayedClip
from bassdiff.evaluation.webpage import matching_gains, mixdown, mp3_uri, picture_uri
from bassdiff.metrics.table import Column, Row, Table

_NUM_EXTREMES = 3
# Six clips with four sounds each take less than 10 MB.
_MAX_SECONDS = 30.0


def listen(evaluation: EvaluationFolder) -> dict[str, Any]:
    """The best and worst clips of a system, or the first ones if clips have no scores.

    Returns:
      "groups": (title, clips) with sounds and pictures as data URIs; "columns": the columns that
      ranked them, if any; "label": the system's label.

    Raises:
      InputError: If a clip's audio is missing or unreadable.
    """
    table = evaluation.tables.get("music")
    systems = [system_of(t) for t in (table, *evaluation.tables.values())]
    system = next((row for row in systems if row is not None), None)
    if system is None:
        return {"groups": [], "columns": [], "label": ""}
    clips = evaluation.clips
    if table is None:
        ranks, columns = np.full(len(clips), np.nan), list[Column]()
    else:
        ranks, columns = ranked_clips(table, system, len(clips))
    kept = [index for index, clip in enumerate(clips) if system.name in clip.systems()]
    if columns:
        kept = sorted((i for i in kept if math.isfinite(ranks[i])), key=lambda i: ranks[i])
    if not columns:
        chosen = {"The first clips": kept[: 2 * _NUM_EXTREMES]}
    elif len(kept) <= 2 * _NUM_EXTREMES:
        chosen = {"All clips, best first": kept}
    else:
        chosen = {
            f"Best {_NUM_EXTREMES}": kept[:_NUM_EXTREMES],
            f"Worst {_NUM_EXTREMES}": kept[-_NUM_EXTREMES:],
        }
    groups = [
        (title, [_played(clips[i], i, ranks[i], system, columns) for i in indices])
        for title, indices in chosen.items()
        if indices
    ]
    return {"groups": groups, "columns": columns, "label": system.label}


def ranked_clips(table: Table, row: Row, num_clips: int) -> tuple[np.ndarray, list[Column]]:
    """Ranks clips by a system's scores.

    Each main column ranks the clips from 1, the best, with the mean rank for ties; the result is
    the mean over columns.

    Args:
      table: Usually the "music" results.
      row: The system's row.
      num_clips: Columns with another number of `per_clip` values are ignored.

    Returns:
      `[num_clips]` mean ranks, NaN for a clip without any score, and the columns that counted.
    """
    ranks, counted = [], []
    for column in charts.main_columns(table):
        score = row.scores.get(column.name)
        if score is None or len(score.per_clip) != num_clips or not np.isfinite(score.value):
            continue
        values = np.array(score.per_clip, float) * (-1 if column.better == "higher" else 1)
        below = (values[:, None] > values).sum(axis=1)
        ties = (values[:, None] == values).sum(axis=1)
        ranks.append(np.where(np.isfinite(values), below + (ties + 1) / 2, np.nan))
        counted.append(column)
    if not ranks:
        return np.full(num_clips, np.nan), []
    known = np.isfinite(ranks)
    total = np.where(known, ranks, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.divide(total, count, out=np.full(num_clips, np.nan), where=count > 0), counted


def system_of(table: Table | None) -> Row | None:
    """The row of the system under test, if there is one."""
    rows = [] if table is None else table.rows
    return next((row for row in rows if row.kind == "system"), None)


def _played(
    clip: PlayedClip, index: int, rank: float, system: Row, columns: list[Column]
) -> dict[str, Any]:
    mix, bass = clip.read(MIX, _MAX_SECONDS), clip.read(system.name, _MAX_SECONDS)
    mixdowns = {f"mix + {system.label}": mixdown(mix, bass)}
    if TRUE in clip.systems():
        mixdowns["mix + true bass"] = mixdown(mix, clip.read(TRUE, _MAX_SECONDS))
    gains = matching_gains(list(mixdowns.values()))
    sounds = [
        (label, gain * signal)
        for (label, signal), gain in zip(mixdowns.items(), gains, strict=True)
    ]
    # Alone, both parts keep their loudness of the mixdown.
    sounds += [("mix alone", gains[0] * mix), (f"{system.label} alone", gains[0] * bass)]
    scores = [(c, system.scores[c.name].per_clip[index]) for c in columns]
    return {
        "clip": clip,
        "rank": f"{rank:.1f}" if math.isfinite(rank) else "",
        "shortened": f"the first {_MAX_SECONDS:g} s" if clip.seconds > _MAX_SECONDS else "",
        "scores": [(c.label, charts.number(x, c)) for c, x in scores if math.isfinite(x)],
        "sounds": [(label, mp3_uri(signal)) for label, signal in sounds],
        "picture": picture_uri(mix, bass),
    }
