"""Do basses follow their mixes: harmony and rhythm over many pairs, against mismatched ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bassdiff.evaluation.fit import (
    BassFeatures,
    HarmonyScore,
    MixFeatures,
    RhythmScore,
    aligned_correlation,
    bass_features,
    harmony,
    harmony_score,
    mix_features,
    rhythm,
    rhythm_score,
)

__all__ = [
    "BassFeatures",
    "HarmonyScore",
    "MixFeatures",
    "MusicScores",
    "RhythmScore",
    "bass_features",
    "format_table",
    "harmony",
    "harmony_score",
    "matched_beats_mismatched",
    "mix_features",
    "rhythm",
    "rhythm_score",
    "score_features",
    "score_pairs",
    "score_shuffled",
]

_NUM_RESAMPLES = 2000
_SEED = 0
_CHANCE = {
    "harmony_top1": "0.083",
    "harmony_rank_mean": "6.5",
    "harmony_z_mean": "0",
    "harmony_matched": "0.5",
    "rhythm_correlation": "",
    "rhythm_percentile": "0.5",
    "rhythm_matched": "0.5",
    "voiced_share": "",
}


@dataclass(frozen=True)
class MusicScores:
    """Means over pairs of mix and bass.

    Attributes:
      harmony_top1: share of basses that fit best untransposed; chance is 1/12.
      harmony_rank_mean: mean rank; chance is 6.5.
      harmony_z_mean: mean z; chance is 0.
      harmony_matched: share of (mix, other bass) where the own bass has the higher z;
        chance is 0.5.
      rhythm_correlation: mean correlation.
      rhythm_percentile: mean percentile; chance is 0.5.
      rhythm_matched: as `harmony_matched`, of the correlation.
      voiced_share: mean share of frames in which the bass has a pitch.
      num_pairs: number of pairs.
      intervals: 95 % bootstrap interval (over songs) of each mean, by its name.
    """

    harmony_top1: float
    harmony_rank_mean: float
    harmony_z_mean: float
    harmony_matched: float
    rhythm_correlation: float
    rhythm_percentile: float
    rhythm_matched: float
    voiced_share: float
    num_pairs: int
    intervals: dict[str, tuple[float, float]]

    def to_dict(self) -> dict[str, float | int | dict[str, tuple[float, float]]]:
        """The scores as plain numbers, for JSON."""
        return dataclasses.asdict(self)


def matched_beats_mismatched(
    score_matrix: np.ndarray, mismatched: np.ndarray | None = None
) -> float:
    """Share of mismatched pairs that score below the matched pair of the same mix.

    Args:
      score_matrix: `[N, N]`, mix i with bass j; matched pairs are on the diagonal.
      mismatched: `[N, N]` bool, which pairs to compare; by default all off the diagonal.

    Returns:
      0…1, ties count half; 0.5 where there is nothing to compare.

    >>> import numpy as np
    >>> matched_beats_mismatched(np.array([[2.0, 1.0], [3.0, 3.0]]))
    0.75
    """
    shares, counts = _wins(score_matrix, mismatched)
    return float(shares.sum() / counts.sum()) if counts.sum() else 0.5


def score_pairs(
    mixes: Sequence[np.ndarray],
    basses: Sequence[np.ndarray],
    sample_rate_hz: int = 44100,
    songs: Sequence[Hashable] | None = None,
) -> MusicScores:
    """Scores basses against the mixes they were made for.

    Args:
      mixes: N signals, `[samples]` float each, without the bass.
      basses: N signals, each as long as its mix.
      sample_rate_hz: rate of all.
      songs: the song each pair is from; pairs of one song are never taken as mismatched
        and are drawn together in the bootstrap. By default every pair is its own song.

    Returns:
      The scores.

    Raises:
      ValueError: no pairs, or mixes, basses and songs differ in number.
    """
    return score_features(
        [mix_features(mix, sample_rate_hz) for mix in mixes],
        [bass_features(bass, sample_rate_hz) for bass in basses],
        songs,
    )


def score_shuffled(
    mixes: Sequence[np.ndarray],
    basses: Sequence[np.ndarray],
    sample_rate_hz: int = 44100,
    songs: Sequence[Hashable] | None = None,
) -> MusicScores:
    """The floor beneath `score_pairs`: every mix gets the bass of another song.

    Takes and raises what `score_pairs` does; two songs at least.
    """
    return score_features(
        [mix_features(mix, sample_rate_hz) for mix in mixes],
        [bass_features(bass, sample_rate_hz) for bass in basses],
        songs,
        shuffled=True,
    )


def score_features(
    mixes: Sequence[MixFeatures],
    basses: Sequence[BassFeatures],
    songs: Sequence[Hashable] | None = None,
    shuffled: bool = False,
) -> MusicScores:
    """As `score_pairs`, or `score_shuffled`, of features that serve several rows of a table."""
    num_pairs = len(mixes)
    names = list(range(num_pairs)) if songs is None else list(songs)
    if not num_pairs or len(basses) != num_pairs or len(names) != num_pairs:
        raise ValueError(
            f"{num_pairs} mixes, {len(basses)} basses and {len(names)} songs: give as many of "
            "each, and at least one"
        )
    number = {name: index for index, name in enumerate(dict.fromkeys(names))}
    mix_song = np.array([number[name] for name in names])
    order = _derangement(mix_song) if shuffled else np.arange(num_pairs)
    bass_song = mix_song[order]
    basses = [basses[index] for index in order.tolist()]
    # In the shuffled row the true bass is no rival: it would pull that row below its chance.
    mismatched = (bass_song != bass_song[:, None]) & (bass_song != mix_song[:, None])

    harmonies = [[harmony_score(mix, bass) for bass in basses] for mix in mixes]
    fit = np.array([[pair.z for pair in row] for row in harmonies])
    sync = np.array([[aligned_correlation(mix, bass) for bass in basses] for mix in mixes])
    rhythms = [rhythm_score(mix, bass) for mix, bass in zip(mixes, basses, strict=True)]
    own = [harmonies[index][index] for index in range(num_pairs)]
    ones = np.ones(num_pairs)
    columns = {
        "harmony_top1": (np.array([score.top1 for score in own], float), ones),
        "harmony_rank_mean": (np.array([score.rank for score in own]), ones),
        "harmony_z_mean": (np.array([score.z for score in own]), ones),
        "harmony_matched": _wins(fit, mismatched),
        "rhythm_correlation": (np.array([score.correlation for score in rhythms]), ones),
        "rhythm_percentile": (np.array([score.percentile for score in rhythms]), ones),
        "rhythm_matched": _wins(sync, mismatched),
        "voiced_share": (np.array([bass.pitch.voiced_share for bass in basses]), ones),
    }
    means = {
        name: float(total.sum() / count.sum()) if count.sum() else 0.5
        for name, (total, count) in columns.items()
    }
    intervals = {name: _interval(*column, mix_song) for name, column in columns.items()}
    return MusicScores(**means, num_pairs=num_pairs, intervals=intervals)


def format_table(rows: Mapping[str, MusicScores]) -> str:
    """Prints scores side by side, each with its 95 % interval.

    Args:
      rows: scores by name, for instance true, model and shuffled.

    Returns:
      A text table, one column for each of `rows` and one for chance.
    """
    lines = [["", *rows, "chance"]]
    for name, chance in _CHANCE.items():
        cells = []
        for scores in rows.values():
            low, high = scores.intervals[name]
            cells.append(f"{getattr(scores, name):.2f} [{low:.2f}, {high:.2f}]")
        lines.append([name, *cells, chance])
    lines.append(["num_pairs", *(str(scores.num_pairs) for scores in rows.values()), ""])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _wins(score_matrix: np.ndarray, mismatched: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Won comparisons and comparisons of each mix, `[N]` each."""
    if mismatched is None:
        mismatched = ~np.eye(len(score_matrix), dtype=bool)
    own = np.diagonal(score_matrix)[:, None]
    won = (own > score_matrix) + 0.5 * (own == score_matrix)
    return (won * mismatched).sum(axis=1), mismatched.sum(axis=1).astype(float)


def _derangement(song: np.ndarray) -> np.ndarray:
    """The smallest rotation that gives the most pairs another song."""
    num_pairs = len(song)
    if len(set(song.tolist())) < 2:
        raise ValueError("shuffling needs pairs of at least two songs")
    shifts = [np.roll(np.arange(num_pairs), shift) for shift in range(1, num_pairs)]
    return max(shifts, key=lambda order: int((song[order] != song).sum()))


def _interval(total: np.ndarray, count: np.ndarray, song: np.ndarray) -> tuple[float, float]:
    """95 % percentile bootstrap of sum(total) / sum(count), drawing whole songs."""
    totals, counts = np.bincount(song, total), np.bincount(song, count)
    draws = np.random.default_rng(_SEED).integers(len(totals), size=(_NUM_RESAMPLES, len(totals)))
    drawn = counts[draws].sum(axis=1)
    means = np.divide(
        totals[draws].sum(axis=1), drawn, out=np.full(_NUM_RESAMPLES, 0.5), where=drawn > 0
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
