"""What the questions count, on cases whose answer is known."""

import numpy as np
import pytest

from bassdiff.evaluation.tasks.ablation import CONTEXTS, check_gap, context_gap, context_wins
from bassdiff.evaluation.tasks.distances import interval_score
from bassdiff.evaluation.tasks.longform import by_minute
from bassdiff.evaluation.tasks.matching import recognition
from bassdiff.metrics.table import Column, Row, Score, Table, mean_score
from bassdiff.runtime.errors import GateFailed

NUM_CLIPS = 12


def scored(name, **per_clip):
    songs = range(2)
    return Row(name, name, "anchor", {k: mean_score(v, songs) for k, v in per_clip.items()})


def test_the_true_mix_wins_where_its_bass_fits_better():
    true = scored("model", harmony_z=[2.0, 2.0], rhythm_correlation=[0.5, 0.5], fit=[0.5, 0.5])
    worse = {"harmony_z": [0.0, 2.0], "rhythm_correlation": [0.6, 0.6], "fit": [0.4, 0.4]}
    songs = ["a", "b"]
    wins = context_wins(scored("other_mix", **worse), true, songs)
    assert wins.per_clip == pytest.approx((2 / 3, 0.5))
    assert wins.value == pytest.approx(7 / 12)
    # To the mix in another key it is right to play the same rhythm.
    assert context_wins(scored("other_key", **worse), true, songs).value == pytest.approx(0.875)
    assert context_wins(true, scored("no_mix", **worse), songs).value == pytest.approx(5 / 12)
    del worse["fit"]
    assert context_wins(scored("no_mix", **worse), true, songs).value == pytest.approx(0.375)


def test_the_gap_is_that_of_the_hardest_context():
    shares = dict(zip(CONTEXTS, (0.9, 1.0, 0.7), strict=True))
    rows = tuple(
        Row(name, name, "anchor", {"context_wins": Score(wins, 0, 1)})
        for name, wins in shares.items()
    )
    table = Table("ablation", "", {}, (Column("context_wins", "wins", "wins"),), rows)
    assert context_gap(table) == pytest.approx(0.2)
    check_gap(table, 0.19)
    with pytest.raises(GateFailed, match=r"wins by 0\.200, less than 0\.21: the bass does not"):
        check_gap(table, 0.21)


def vectors(rows):
    return [np.asarray(row, float)[None] for row in rows]


def judged(basses, other_keys=None, lates=None):
    """Scores of a judge to whom mix i is the unit vector i; two clips are of each song."""
    mixes, wrong = vectors(np.eye(NUM_CLIPS)), vectors(np.zeros((NUM_CLIPS, NUM_CLIPS)))
    songs = [f"song{number // 2}" for number in range(NUM_CLIPS)]
    scores = recognition(mixes, vectors(basses), other_keys or wrong, lates or wrong, songs)
    return {name: score.value for name, score in scores.items()}


def test_a_judge_that_knows_every_pair_recognises_all():
    assert set(judged(np.eye(NUM_CLIPS)).values()) == {1.0}


def test_a_judge_that_takes_each_for_the_next_recognises_few():
    # Mix i likes bass i - 1 best, then its own, then all others alike.
    basses = 0.5 * np.eye(NUM_CLIPS) + np.roll(np.eye(NUM_CLIPS), 1, axis=1)
    scores = judged(basses, vectors(np.eye(NUM_CLIPS)), vectors(0.5 * np.eye(NUM_CLIPS)))
    assert (scores["retrieval_at_1"], scores["retrieval_at_5"]) == (0, 1)
    assert (scores["not_transposed"], scores["not_late"]) == (0, 0.5)
    # Of each song's two clips, the second one likes the first one's bass.
    assert scores["not_elsewhere"] == 0.5
    assert scores["not_another_song"] == pytest.approx((10 + 9) / 20)


def test_a_judge_to_whom_all_are_alike_is_at_chance():
    scores = judged(np.ones((NUM_CLIPS, NUM_CLIPS)))
    for k in (1, 5, 10):
        assert scores[f"retrieval_at_{k}"] == pytest.approx(k / NUM_CLIPS)
    assert scores["not_another_song"] == scores["not_elsewhere"] == 0.5


def test_what_a_judge_cannot_hear_is_not_recognised():
    basses = np.eye(NUM_CLIPS)
    basses[3] = np.nan
    scores = judged(basses)
    for name in ("retrieval_at_1", "retrieval_at_10", "not_another_song", "not_late"):
        assert scores[name] == pytest.approx(11 / 12)


def test_minutes_are_means_of_the_songs_that_sound():
    nan = np.nan
    score = by_minute([np.array([-10.0, -20, nan, 5]), np.array([-20.0, nan, nan])])
    assert score.per_clip[:2] == (-15, -20) and np.isnan(score.per_clip[2])
    assert len(score.per_clip) == 3 and score.value == -17.5
    assert np.isnan(by_minute([np.array([nan])]).value)


def test_an_interval_ends_where_the_values_do():
    rng = np.random.default_rng(0)
    sets = [(rng.normal(size=(32, 2)), [row // 8 for row in range(32)])]

    def share(rows):
        return float((rows[:, 0] > -1.4).mean())

    free, cut = interval_score(share, sets, -np.inf), interval_score(share, sets, top=1.0)
    assert free.high > 1 == cut.high and free.low == cut.low and free.value == cut.value
    # Too few songs to say anything of others.
    few = [(sets[0][0], [row // 16 for row in range(32)])]
    assert np.isnan(interval_score(share, few).low)
