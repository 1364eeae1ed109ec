"""Distances task: compares sets of basses with a reference set of true ones."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.evaluation.tasks.music import LABELS
from bassdiff.metrics.distributions import (
    accompaniment_prompt_adherence,
    frechet_distance,
    frechet_distance_infinity,
    kernel_distance,
)
from bassdiff.metrics.embedders import Embedder
from bassdiff.metrics.manifolds import prdc
from bassdiff.metrics.music import derangement
from bassdiff.metrics.set_intervals import MIN_GROUPS, distance_interval
from bassdiff.metrics.table import Column, Row, Score, Table
from bassdiff.runtime.errors import InputError

COLUMNS = (
    Column("apa", "prompt adherence", "accompaniment prompt adherence: 1 where pairs are like true "
           "ones, 0 where like pairs of two songs; silence scores about 0.5, so read it against "
           "the anchors"),
    Column("frechet", "Fréchet distance", "between the basses' embeddings and the reference "
           "set's", "lower"),
    Column("frechet_infinity", "Fréchet distance, N → ∞", "the same, extrapolated to infinitely "
           "many clips; needs three windows for each dimension", "lower"),
    Column("kernel", "kernel distance", "unbiased squared maximum mean discrepancy with a cubic "
           "kernel; about 0 for equal distributions", "lower", digits=4),
    Column("precision", "precision", "share of the basses that are like one of the reference set; "
           "alone it rewards sameness, even silence: read it with recall and coverage"),
    Column("recall", "recall", "share of the reference set that is like one of the basses"),
    Column("density", "density", "how densely the reference set surrounds the basses"),
    Column("coverage", "coverage", "share of the reference set that has one of the basses near"),
)  # fmt: skip


# Enough for five neighbours each.
MIN_WINDOWS = 8
# The interval uses halves of the songs, which may have less than half of the windows.
MIN_INTERVAL_WINDOWS = 4 * MIN_WINDOWS
# Determines the spread to within a tenth.
NUM_HALVES = 60

Group = tuple[np.ndarray, list[str]]


def distances(context: EvaluationContext, embedder: Embedder) -> Table:
    """Compares sets of basses with a reference set of true ones.

    Another song's bass is scored as a pair only, since as a set these are the true basses.

    Args:
      context: The evaluation; the true basses of its spare clips are the reference set.
      embedder: Embeds basses and pairs.

    Raises:
      InputError: If a true bass is unknown, or the reference set is too small.
    """
    reference = context.spare
    context.require_true()
    if len({clip.song for clip in reference}) < 2:
        raise InputError(
            f"the reference set has {len(reference)} clips of fewer than two songs; ask for fewer "
            "--clips or name more songs, since it is made of those that are left"
        )
    systems: dict[str, Callable[[int], np.ndarray]] = {
        MODEL: context.model,
        "true": context.true,
        "codec": context.codec,
        "shuffled": context.shuffled,
        "transposed": context.transposed,
        "follower": context.follower,
        "silence": context.silence,
    }
    # All clips have the same length.
    num_windows = len(embedder.sound(reference[0].true_bass))
    if num_windows * min(len(reference), len(context.clips)) < MIN_WINDOWS:
        raise InputError(
            f"the clips yield fewer than {MIN_WINDOWS} windows of {embedder.name}; ask for more or "
            "longer clips"
        )
    reference_songs = [clip.song for clip in reference]
    embedded = [
        (embedder.sound(clip.true_bass), embedder.pair(clip.mix, clip.true_bass))
        for clip in context.progress(reference, "reference set")
    ]
    sounds, pairs = ([item[side] for item in embedded] for side in (0, 1))
    mispaired = [
        embedder.pair(clip.mix, reference[index].true_bass)
        for clip, index in zip(reference, derangement(reference_songs), strict=True)
    ]
    reference_sets = [_stacked(part, reference_songs) for part in (sounds, pairs, mispaired)]
    rows = []
    for name, play in systems.items():
        basses = [play(i) for i in context.progress(range(len(context.clips)), LABELS[name])]
        pair = [
            embedder.pair(clip.mix, bass) for clip, bass in zip(context.clips, basses, strict=True)
        ]
        scores = _pair_scores(reference_sets, _stacked(pair, context.songs))
        if name != "shuffled":
            sound = [embedder.sound(bass) for bass in basses]
            scores |= _sound_scores(reference_sets[0], _stacked(sound, context.songs))
        rows.append(Row(name, LABELS[name], "system" if name == MODEL else "anchor", scores))
    about = {
        "embedder": embedder.name,
        "reference_set": f"true basses of {len(reference)} other clips of the same data",
        "windows": [len(reference_sets[0][0]), num_windows * len(context.clips)],
    }
    task, title = "distances", "How far are the basses from people's?"
    if embedder is not context.judge:
        task, title = f"{task}-{embedder.name}", f"{title[:-1]}, by {embedder.name}?"
    return Table(task, title, context.about(**about), COLUMNS, tuple(rows))


def _pair_scores(reference: list[Group], pair: Group) -> dict[str, Score]:
    _, (pairs, _), (mispaired, _) = reference

    def adherence(candidate: np.ndarray) -> float:
        return accompaniment_prompt_adherence(candidate, pairs, mispaired)

    return {"apa": interval_score(adherence, [pair], top=1.0)}


def _sound_scores(reference: Group, sound: Group) -> dict[str, Score]:
    infinite = frechet_distance_infinity(reference[0], sound[0])
    both = [reference, sound]
    return {
        "frechet": interval_score(frechet_distance, both),
        "frechet_infinity": Score(infinite, np.nan, np.nan),
        "kernel": interval_score(kernel_distance, both, bottom=-np.inf),
        "density": interval_score(functools.partial(_manifold, name="density"), both),
        **{
            name: interval_score(functools.partial(_manifold, name=name), both, top=1.0)
            for name in ("precision", "recall", "coverage")
        },
    }


def interval_score(
    function: Callable[..., float], sets: list[Group], bottom: float = 0.0, top: float = np.inf
) -> Score:
    """A function of sets with its interval, clipped to the function's range."""
    rows, groups = [rows for rows, _ in sets], [songs for _, songs in sets]
    low = high = np.nan
    # Too few songs do not generalise, and halves of too few windows are meaningless.
    if (
        min(len(set(names)) for names in groups) >= MIN_GROUPS
        and min(map(len, rows)) >= MIN_INTERVAL_WINDOWS
    ):
        ends = distance_interval(function, rows, groups, NUM_HALVES)
        low, high = (min(max(end, bottom), top) for end in ends)
    return Score(function(*rows), low, high)


def _manifold(reference: np.ndarray, candidate: np.ndarray, name: str) -> float:
    return float(getattr(prdc(reference, candidate), name))


def _stacked(windows: list[np.ndarray], songs: list[str]) -> Group:
    groups = [song for part, song in zip(windows, songs, strict=True) for _ in part]
    return np.concatenate(windows), groups
