"""Can the matching model be trusted? What it picks among mixes, and which errors it hears."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bassdiff.appraisal.stage import MODEL, Stage
from bassdiff.errors import InputError
from bassdiff.evaluation.music import Judge, fit_of
from bassdiff.evaluation.table import Column, Row, Table, mean_score

COLUMNS = (
    Column("retrieval_at_1", "retrieval@1", "share of mixes whose own bass is liked best among "
           "all clips'"),
    Column("retrieval_at_5", "retrieval@5", "share of mixes whose own bass is among the best 5"),
    Column("retrieval_at_10", "retrieval@10", "share of mixes whose own bass is among the best 10"),
    Column("not_transposed", "not in another key", "share of mixes that like their bass better "
           "than the same bass 1 to 6 semitones higher or lower", chance=0.5),
    Column("not_late", "not half a beat late", "share of mixes that like their bass better than "
           "the same bass half a beat late", chance=0.5),
    Column("not_elsewhere", "not from another moment", "share of other clips of the same song "
           "whose bass is liked less", chance=0.5),
    Column("not_another_song", "not another song's", "share of other songs' clips whose bass is "
           "liked less", chance=0.5),
)  # fmt: skip


def matching(stage: Stage) -> Table:
    """Asks the matching model to recognise true pairs among clips of unseen songs.

    Raises:
      InputError: without a matching model, or if a true bass is not known.
    """
    panel = stage.judge
    if panel is None:
        raise InputError("there is no matching model to ask; name weights that have one as --judge")
    rows = [_row(MODEL, panel, stage)]
    if len(panel.judges) > 1:
        rows += [_row(judge.name, judge, stage) for judge in panel.judges]
    return Table(
        "matching",
        "Can the matching model be trusted?",
        stage.about(candidates=len(stage.clips), chance_at_1=1 / len(stage.clips)),
        COLUMNS,
        tuple(rows),
    )


def _row(name: str, judge: Judge, stage: Stage) -> Row:
    numbers = range(len(stage.clips))
    mixes = [judge.mix_vectors(clip.mix) for clip in stage.progress(stage.clips, "mixes")]

    def heard(play: Callable[[int], np.ndarray], label: str) -> list[np.ndarray]:
        return [judge.bass_vectors(play(number)) for number in stage.progress(numbers, label)]

    basses = heard(stage.true, "true basses")
    other_keys = heard(stage.transposed, "in other keys")
    lates = heard(stage.late, "half a beat late")
    fit = np.array([[fit_of(mix, bass) for bass in basses] for mix in mixes])
    own = np.diagonal(fit)
    rank = 1 + (fit > own[:, None]).sum(axis=1)
    songs = np.array(stage.songs)
    same = songs[:, None] == songs[None, :]
    np.fill_diagonal(same, False)
    others = songs[:, None] != songs[None, :]

    def beaten(mask: np.ndarray) -> np.ndarray:
        won = ((own[:, None] > fit) * mask).sum(axis=1)
        count = mask.sum(axis=1)
        return np.divide(won, count, out=np.full(len(won), np.nan), where=count > 0)

    def better_than(vectors: list[np.ndarray]) -> np.ndarray:
        rivals = np.array([fit_of(*pair) for pair in zip(mixes, vectors, strict=True)])
        return (own > rivals) + 0.5 * (own == rivals)

    values = {
        **{f"retrieval_at_{k}": (rank <= k).astype(float) for k in (1, 5, 10)},
        "not_transposed": better_than(other_keys),
        "not_late": better_than(lates),
        "not_elsewhere": beaten(same),
        "not_another_song": beaten(others),
    }
    scores = {name: mean_score(column, stage.songs) for name, column in values.items()}
    label = "all together" if name == MODEL else name
    return Row(name, label, "system" if name == MODEL else "anchor", scores)
