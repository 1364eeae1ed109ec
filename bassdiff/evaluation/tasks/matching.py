"""Matching task: how reliably the matching models recognise true pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bassdiff.evaluation.baselines import lateness
from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.metrics.music import Judge, fit_of, wins
from bassdiff.metrics.table import Column, Row, Score, Table, mean_score
from bassdiff.runtime.errors import InputError

RETRIEVED = (1, 5, 10)
Vectors = Sequence[np.ndarray]


def matching(context: EvaluationContext) -> Table:
    """Tests the matching models on pairs of unseen songs.

    Raises:
      InputError: If there is no matching model, or a true bass is unknown.
    """
    panel = context.judge
    if panel is None:
        raise InputError("there is no matching model to ask; name weights that have one as --judge")
    context.require_true()
    rows = [_row(MODEL, panel, context)]
    if len(panel.judges) > 1:
        rows += [_row(judge.name, judge, context) for judge in panel.judges]
    return Table(
        "matching",
        "Can the matching model be trusted?",
        context.about(candidates=len(context.clips)),
        _columns(context),
        tuple(rows),
    )


def recognition(
    mixes: Vectors, basses: Vectors, other_keys: Vectors, lates: Vectors, songs: Sequence[str]
) -> dict[str, Score]:
    """How well a judge's vectors recognise true pairs; ties count half, NaN never wins.

    Args:
      mixes: `[windows, E]` for each of N mixes.
      basses: Vectors of their own basses.
      other_keys: Vectors of these basses in another key.
      lates: Vectors of these basses half a beat late.
      songs: The song of each.
    """
    fit = np.array([[fit_of(mix, bass) for bass in basses] for mix in mixes])
    own = np.diagonal(fit)
    won = wins(own[:, None], fit)
    song = np.array(songs)
    is_other = song[:, None] != song
    is_elsewhere = ~is_other & ~np.eye(len(song), dtype=bool)

    def beaten(rivals: np.ndarray) -> np.ndarray:
        count = rivals.sum(axis=1)
        share = np.full(len(won), np.nan)
        return np.divide((won * rivals).sum(axis=1), count, out=share, where=count > 0)

    def better_than(vectors: Vectors) -> np.ndarray:
        return wins(own, np.array([fit_of(*pair) for pair in zip(mixes, vectors, strict=True)]))

    values = {
        **{f"retrieval_at_{k}": _retrieved(won, k) for k in RETRIEVED},
        "not_transposed": better_than(other_keys),
        "not_late": better_than(lates),
        "not_elsewhere": beaten(is_elsewhere),
        "not_another_song": beaten(is_other),
    }
    return {name: mean_score(column, songs) for name, column in values.items()}


def _retrieved(won: np.ndarray, k: int) -> np.ndarray:
    """Probability that each mix's own bass is among its best k, with ties broken at random.

    Args:
      won: `[N, N]` comparisons of the own bass with every bass: 0, 1/2 or 1.
      k: Number of retrieved basses.
    """
    better, equal = (won == 0).sum(axis=1), (won == 0.5).sum(axis=1)
    # A bass with unknown fit does not equal itself.
    return np.clip((k - better) / np.maximum(equal, 1), 0.0, 1.0) * (equal > 0)


def _columns(context: EvaluationContext) -> tuple[Column, ...]:
    num, late = len(context.clips), lateness(context.clips)
    return (
        *(
            Column(f"retrieval_at_{k}", f"retrieval@{k}", "share of mixes whose own bass is among "
                   f"the {k} liked best of all {num} clips'", chance=min(1.0, k / num))
            for k in RETRIEVED
        ),
        Column("not_transposed", "not in another key", "share of mixes that like their bass better "
               "than the same bass 1 to 6 semitones higher or lower", chance=0.5),
        Column("not_late", f"not {late} late", "share of mixes that like their bass better than "
               f"the same bass {late} late", chance=0.5),
        Column("not_elsewhere", "not from another moment", "share of other clips of the same song "
               "whose bass is liked less", chance=0.5),
        Column("not_another_song", "not another song's", "share of other songs' clips whose bass "
               "is liked less", chance=0.5),
    )  # fmt: skip


def _row(name: str, judge: Judge, context: EvaluationContext) -> Row:
    numbers = range(len(context.clips))
    mixes = [judge.mix_vectors(clip.mix) for clip in context.progress(context.clips, "mixes")]

    def heard(play: Callable[[int], np.ndarray], label: str) -> Vectors:
        return [judge.bass_vectors(play(number)) for number in context.progress(numbers, label)]

    scores = recognition(
        mixes,
        heard(context.true, "true basses"),
        heard(context.transposed, "in other keys"),
        heard(context.late, "late"),
        context.songs,
    )
    label = "all together" if name == MODEL else name
    return Row(name, label, "system" if name == MODEL else "anchor", scores)
