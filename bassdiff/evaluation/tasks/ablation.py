"""Ablation: the effect of each setting, and of other mixes or none."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bassdiff.data.mixing import SILENT_PEAK
from bassdiff.evaluation import baselines
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.evaluation.tasks.music import LABELS
from bassdiff.metrics.music import COLUMNS as MUSIC
from bassdiff.metrics.music import HeardBass, HeardMix, derangement, score_clips, wins
from bassdiff.metrics.table import Column, Kind, Row, Score, Table, mean_score
from bassdiff.runtime.errors import GateFailed

SWEEPS: dict[str, tuple[Any, ...]] = {
    "guidance": (1.0, 2.0, 4.0, 6.0, 8.0),
    "rescale": (0.0, 0.7, 1.0),
    "steps": (4, 10, 20, 50),
}
CONTEXTS = {
    "other_mix": "played to another song's mix",
    "no_mix": "played to silence",
    "other_key": "played to the mix in another key",
}
# Without drums little should change; over drums alone a steady root is right.
PARTS = {
    "no_drums": "played to the mix without drums",
    "drums_alone": "played to the drums alone",
}
CONTEXT_WINS = Column(
    "context_wins",
    "true mix wins",
    "share of clips and measures in which the bass played to the true mix fits it better than this "
    "row's, ties counting half: harmony z, rhythm correlation and, with a judge, learned fit; not "
    "rhythm for the mix in another key, whose rhythm is the same",
    "none",
    0.5,
)
MUSIC_COLUMNS = (
    "harmony_top1",
    "harmony_z",
    "harmony_matched",
    "rhythm_correlation",
    "rhythm_matched",
    "fit",
    "fit_matched",
    "held_share",
    "voiced_share",
    "active_share",
)


def ablation(context: EvaluationContext) -> Table:
    """Varies one thing at a time: the mix, or a setting of sampling.

    Args:
      context: The evaluation. The rows of `PARTS` need drums in every clip.
    """
    mixes = context.heard_mixes()
    own = _heard(context, "bassdiff", lambda number: context.variation(number, MODEL))
    rows = [_row(MODEL, "bassdiff", "system", context, mixes, own)]
    other, other_songs = derangement(context.songs), context.other_songs
    heard_instead: dict[str, Callable[[int], np.ndarray]] = {
        "other_mix": lambda number: context.clips[other[number]].mix,
        "no_mix": lambda number: np.zeros_like(context.clips[number].mix),
        "other_key": lambda number: _in_another_key(context, number),
    }
    for name, mix_of in heard_instead.items():
        basses = _heard(
            context, CONTEXTS[name], functools.partial(_played_to, context, name, mix_of)
        )
        made_for = other_songs if name == "other_mix" else None
        row = _row(name, CONTEXTS[name], "anchor", context, mixes, basses, bass_songs=made_for)
        row.scores["context_wins"] = context_wins(row, rows[0], context.songs)
        rows.append(row)
    if all(_has_drums(clip) for clip in context.clips):
        parts_of: dict[str, Callable[[int], np.ndarray]] = {
            "no_drums": lambda number: context.clips[number].mix - _drums(context, number),
            "drums_alone": functools.partial(_drums, context),
        }
        for name, mix_of in parts_of.items():
            basses = _heard(
                context, PARTS[name], functools.partial(_played_to, context, name, mix_of)
            )
            rows.append(_row(name, PARTS[name], "anchor", context, mixes, basses))
    for name, play in (
        ("true", context.true),
        ("shuffled", context.shuffled),
        ("follower", context.follower),
        ("silence", context.silence),
    ):
        basses = _heard(context, LABELS[name], play)
        made_for = other_songs if name == "shuffled" else None
        rows.append(_row(name, LABELS[name], "anchor", context, mixes, basses, bass_songs=made_for))
    for setting, values in SWEEPS.items():
        for value in values:
            label = f"{setting} {value:g}" if isinstance(value, int | float) else str(value)
            name = f"{setting}-{value}"
            default = {**vars(context.generator.defaults), **context.overrides}[setting] == value
            basses = (
                own
                if default
                else _heard(
                    context, label, functools.partial(_played_with, context, name, {setting: value})
                )
            )
            rows.append(_row(name, label, "setting", context, mixes, basses, {setting: value}))
    columns = tuple(column for column in MUSIC if column.name in MUSIC_COLUMNS)
    return Table(
        "ablation",
        "What does the mix, and what does each setting do?",
        context.about(),
        (*columns, CONTEXT_WINS),
        tuple(rows),
    )


def context_wins(row: Row, true: Row, songs: list[str]) -> Score:
    """Share of comparisons in which the bass for the true mix beats a row of `CONTEXTS`."""
    # The mix in another key has the same rhythm, so rhythm cannot tell them apart.
    names = ["harmony_z", "fit", *([] if row.name == "other_key" else ["rhythm_correlation"])]
    won = [
        wins(*(np.array(r.scores[name].per_clip) for r in (true, row)))
        for name in names
        if name in row.scores
    ]
    return mean_score(np.mean(won, axis=0), songs)


def context_gap(table: Table) -> float:
    """The smallest share won by the true mix, minus 0.5: how clearly the mix is used.

    Args:
      table: Result of `ablation`.
    """
    wins = [table.row(name).scores["context_wins"].value for name in CONTEXTS]
    return min(wins) - 0.5


def check_gap(table: Table, least: float) -> None:
    """Checks that the mix is used.

    Raises:
      GateFailed: If `context_gap` is smaller than `least`.
    """
    gap = context_gap(table)
    if not gap >= least:
        raise GateFailed(
            f"the true mix wins by {gap:.3f}, less than {least:g}: the bass does not follow the "
            "mix clearly enough"
        )


def _heard(
    context: EvaluationContext, label: str, play: Callable[[int], np.ndarray]
) -> list[HeardBass]:
    numbers = context.progress(range(len(context.clips)), label)
    return [context.heard(play(number)) for number in numbers]


def _played_with(
    context: EvaluationContext, name: str, change: dict[str, Any], number: int
) -> np.ndarray:
    return context.variation(number, name, **change)


def _played_to(
    context: EvaluationContext, name: str, mix_of: Callable[[int], np.ndarray], number: int
) -> np.ndarray:
    with warnings.catch_warnings():
        # The silent mix is intended.
        warnings.simplefilter("ignore", UserWarning)
        return context.variation(number, name, mix_of)


def _has_drums(clip: Clip) -> bool:
    return clip.drums is not None and bool(np.abs(clip.drums).max(initial=0.0) > SILENT_PEAK)


def _drums(context: EvaluationContext, number: int) -> np.ndarray:
    drums = context.clips[number].drums
    if drums is None:
        raise ValueError(f"clip {number} has no drums")
    return drums


def _in_another_key(context: EvaluationContext, number: int) -> np.ndarray:
    clip = context.clips[number]
    stems = context.source.transposed(clip.index, baselines.other_key(clip.index))
    return clip.cut_from(stems.mix())


def _row(
    name: str,
    label: str,
    kind: Kind,
    context: EvaluationContext,
    mixes: Sequence[HeardMix],
    basses: Sequence[HeardBass],
    setting: dict[str, Any] | None = None,
    bass_songs: list[str] | None = None,
) -> Row:
    scores = score_clips(mixes, basses, context.songs, bass_songs)
    kept = {column: scores[column] for column in MUSIC_COLUMNS if column in scores}
    return Row(name, label, kind, kept, setting)
