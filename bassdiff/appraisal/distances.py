"""How far is what a system plays from what people play, as sets rather than clip by clip?"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from bassdiff.appraisal.music import LABELS
from bassdiff.appraisal.stage import MODEL, Stage
from bassdiff.errors import InputError
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.distributions import (
    MIN_EXTRAPOLATED,
    MIN_GROUPS,
    accompaniment_prompt_adherence,
    distance_interval,
    frechet_distance,
    frechet_distance_infinity,
    kernel_distance,
    prdc,
)
from bassdiff.evaluation.embedders import Embedder
from bassdiff.evaluation.music import derangement
from bassdiff.evaluation.table import Column, Row, Score, Table

COLUMNS = (
    Column("apa", "prompt adherence", "accompaniment prompt adherence: 1 where pairs are like true "
           "ones, 0 where like pairs of two songs", chance=0.0),
    Column("frechet", "Fréchet distance", "between the basses' embeddings and the reference "
           "set's", "lower"),
    Column("frechet_infinity", "Fréchet distance, N → ∞", "the same, extrapolated to infinitely "
           "many clips", "lower"),
    Column("kernel", "kernel distance", "unbiased squared maximum mean discrepancy with a cubic "
           "kernel; about 0 for equal distributions", "lower", digits=4),
    Column("precision", "precision", "share of the basses that are like one of the reference set"),
    Column("recall", "recall", "share of the reference set that is like one of the basses"),
    Column("density", "density", "how densely the reference set surrounds the basses"),
    Column("coverage", "coverage", "share of the reference set that has one of the basses near"),
)  # fmt: skip


def distances(stage: Stage, reference: Sequence[Clip], embedder: Embedder) -> Table:
    """Compares sets of basses with a reference set of true ones.

    Args:
      stage: clips and players.
      reference: other clips, whose true basses are the reference set.
      embedder: what the sets are compared by.

    Raises:
      InputError: a true bass is not known, or the reference is too small.
    """
    if len({clip.song for clip in reference}) < 2:
        raise InputError(
            f"the reference set has {len(reference)} clips of fewer than two songs; ask for fewer "
            "--clips or name more songs, since it is made of those that are left"
        )
    systems: dict[str, Callable[[int], np.ndarray]] = {
        MODEL: stage.model,
        "true": stage.true,
        "codec": stage.codec,
        "shuffled": stage.shuffled,
        "transposed": stage.transposed,
        "follower": stage.follower,
        "silence": stage.silence,
    }
    reference_songs = [clip.song for clip in reference]
    embedded = [
        (embedder.sound(clip.true_bass), embedder.pair(clip.mix, clip.true_bass))
        for clip in stage.progress(reference, "reference set")
    ]
    sounds, pairs = ([item[side] for item in embedded] for side in (0, 1))
    mispaired = [
        embedder.pair(clip.mix, reference[index].true_bass)
        for clip, index in zip(reference, derangement(reference_songs), strict=True)
    ]
    if min(sum(map(len, sounds)), len(sounds[0]) * len(stage.clips)) < MIN_EXTRAPOLATED:
        raise InputError(
            f"the clips yield fewer than {MIN_EXTRAPOLATED} windows of {embedder.name}; ask for "
            "more or longer clips"
        )
    reference_sets = [_stacked(part, reference_songs) for part in (sounds, pairs, mispaired)]
    rows = []
    for name, play in systems.items():
        basses = [play(i) for i in stage.progress(range(len(stage.clips)), LABELS[name])]
        sound = [embedder.sound(bass) for bass in basses]
        pair = [
            embedder.pair(clip.mix, bass) for clip, bass in zip(stage.clips, basses, strict=True)
        ]
        scores = _scores(reference_sets, _stacked(sound, stage.songs), _stacked(pair, stage.songs))
        rows.append(Row(name, LABELS[name], "system" if name == MODEL else "anchor", scores))
    about = {
        "embedder": embedder.name,
        "reference_set": f"true basses of {len(reference)} other clips of the same data",
        "windows": [len(reference_sets[0][0]), sum(map(len, sound))],
    }
    title = "How far are the basses from people's?"
    return Table("distances", title, stage.about(**about), COLUMNS, tuple(rows))


# The interval takes halves of the songs, which may have less than half of the windows.
MIN_WINDOWS = 4 * MIN_EXTRAPOLATED
# The spread of so many is known within a tenth.
NUM_HALVES = 60

Group = tuple[np.ndarray, list[str]]


def _scores(reference: list[Group], sound: Group, pair: Group) -> dict[str, Score]:
    (sounds, songs), (pairs, _), (mispaired, _) = reference

    def interval(
        function: Callable[..., float], sets: list[np.ndarray], groups: list[list[str]]
    ) -> tuple[float, float]:
        # So few songs say nothing of others, and halves of so few windows nothing at all.
        if (
            min(len(set(names)) for names in groups) < MIN_GROUPS
            or min(map(len, sets)) < MIN_WINDOWS
        ):
            return np.nan, np.nan
        return distance_interval(function, sets, groups, NUM_HALVES)

    def score(function: Callable[..., float]) -> Score:
        low, high = interval(function, [sounds, sound[0]], [songs, sound[1]])
        return Score(function(sounds, sound[0]), low, high)

    def adherence(candidate: np.ndarray) -> float:
        return accompaniment_prompt_adherence(candidate, pairs, mispaired)

    low, high = interval(adherence, [pair[0]], [pair[1]])
    infinite = frechet_distance_infinity(sounds, sound[0]).value
    return {
        "apa": Score(adherence(pair[0]), low, high),
        "frechet": score(frechet_distance),
        "frechet_infinity": Score(infinite, np.nan, np.nan),
        "kernel": score(kernel_distance),
        **{
            name: score(functools.partial(_manifold, name=name))
            for name in ("precision", "recall", "density", "coverage")
        },
    }


def _manifold(reference: np.ndarray, candidate: np.ndarray, name: str) -> float:
    return float(getattr(prdc(reference, candidate), name))


def _stacked(windows: list[np.ndarray], songs: list[str]) -> Group:
    groups = [song for part, song in zip(windows, songs, strict=True) for _ in part]
    return np.concatenate(windows), groups
