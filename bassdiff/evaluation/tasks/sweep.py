"""Sweep task: scores every combination of settings in a grid."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from bassdiff.diffusion.sampling import noise_levels
from bassdiff.diffusion.settings import KINDS, Sampling, setting_fields
from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.evaluation.tasks.music import LABELS
from bassdiff.inference.generator import BassGenerator
from bassdiff.metrics.music import COLUMNS as MUSIC
from bassdiff.metrics.music import derangement, score_clips
from bassdiff.metrics.table import Column, Row, Score, Table, mean_score
from bassdiff.metrics.timbre import timbre, timbre_distance
from bassdiff.pretrained.release import load_weights
from bassdiff.runtime.errors import InputError

WEIGHTS = "weights"
Grid: TypeAlias = Mapping[str, Sequence[Any]]
EVALUATIONS = Column(
    "evaluations",
    "evaluations",
    "rows that the network computes for a bass: what it costs",
    "lower",
    digits=0,
)
TIMBRE = Column(
    "timbre_wins",
    "timbre nearer its reference",
    "share of clips whose bass sounds more like its style reference than like the next clip's",
    chance=0.5,
)
MUSIC_COLUMNS = (
    "harmony_top1",
    "harmony_matched",
    "rhythm_correlation",
    "rhythm_matched",
    "fit",
    "fit_matched",
    "voiced_share",
)


def parse_grid(words: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Reads `setting=value,value` words.

    Raises:
      InputError: If a setting is unknown or has no values, or a value is invalid.

    >>> parse_grid(["solver=euler,unipc", "steps=4,8"])
    {'solver': ('euler', 'unipc'), 'steps': (4, 8)}
    """
    known = {WEIGHTS: str, **{field.name: KINDS[str(field.type)] for field in setting_fields()}}
    grid: dict[str, tuple[Any, ...]] = {}
    for word in words:
        name, _, values = word.partition("=")
        if name not in known or not values:
            raise InputError(
                f"{word!r} is not a line of a grid; write setting=value,value with a setting among "
                f"{', '.join(known)}"
            )
        try:
            grid[name] = tuple(known[name](value) for value in values.split(","))
        except ValueError as error:
            raise InputError(f"{word!r} has a value that {name} cannot take") from error
    if not grid:
        raise InputError("a sweep needs a grid; write --grid setting=value,value")
    return grid


def combinations(grid: Grid, defaults: Sampling) -> list[dict[str, Any]]:
    """All combinations of a grid, ordered so that recompilation is rare.

    Args:
      grid: Values by setting, optionally including `weights`.
      defaults: The other settings.

    Raises:
      InputError: If a combination is invalid.
    """
    programs = (WEIGHTS, "solver", "guidance_kind", "grounding")
    names = sorted(grid, key=lambda name: name not in programs)
    found = [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(grid[name] for name in names))
    ]
    for settings in found:
        dataclasses.replace(defaults, **_sampling(settings))
    return found


def sweep(context: EvaluationContext, grid: Grid, adapter: str | None = None) -> Table:
    """Generates every clip with every combination, and with the defaults.

    With `style_strength` in the grid, clips take the sound of another song's true bass.

    Args:
      context: The evaluation.
      grid: Values by setting, from `parse_grid`.
      adapter: File of an adapter for all weights in the grid.

    Raises:
      InputError: If a combination is invalid, or a reference is unknown.
    """
    defaults = dataclasses.replace(context.generator.defaults, **context.overrides)
    chosen = combinations(grid, defaults)
    # Opens each of the compared weights once.
    stages = {
        name: dataclasses.replace(context, generator=BassGenerator(load_weights(name, adapter)))
        for name in grid.get(WEIGHTS, ())
    }
    others = derangement(context.songs)
    styled = "style_strength" in grid
    sounds = [timbre(clip.true_bass) for clip in context.clips] if styled else []
    mixes = context.heard_mixes()

    def sound_of(number: int) -> np.ndarray:
        return context.clips[others[number]].true_bass

    def row(name: str, label: str, settings: dict[str, Any]) -> Row:
        changes = _sampling(settings)
        player = stages.get(settings.get(WEIGHTS, ""), context)
        basses = [
            player.variation(number, name, None, sound_of if styled else None, **changes)
            for number in context.progress(range(len(context.clips)), label)
        ]
        heard = [context.heard(bass) for bass in basses]
        music = score_clips(mixes, heard, context.songs)
        scores = {column: music[column] for column in MUSIC_COLUMNS if column in music}
        if styled:
            wins = [_is_nearer(timbre(bass), sounds, others[i]) for i, bass in enumerate(basses)]
            scores[TIMBRE.name] = mean_score(wins, context.songs)
        own = dataclasses.replace(player.generator.defaults, **context.overrides)
        cost = float(num_evaluations(dataclasses.replace(own, **changes)))
        scores[EVALUATIONS.name] = Score(cost, cost, cost)
        return Row(name, label, "setting" if settings else "system", scores, settings or None)

    default_name = f"{MODEL}-styled" if styled else MODEL
    rows = [row(default_name, "defaults", {})]
    for settings in chosen:
        # Weights may be a folder, and the words become a file name.
        words = [f"{name}={value}".replace("/", "_") for name, value in settings.items()]
        label = ", ".join(f"{_words(name)} {value}" for name, value in settings.items())
        rows.append(row("-".join(["sweep", *words]), label, settings))
    for name, play in (("true", context.true), ("shuffled", context.shuffled)):
        heard = [context.heard(play(number)) for number in range(len(context.clips))]
        music = score_clips(mixes, heard, context.songs)
        scores = {column: music[column] for column in MUSIC_COLUMNS if column in music}
        rows.append(Row(name, LABELS[name], "anchor", scores))
    columns = tuple(column for column in MUSIC if column.name in MUSIC_COLUMNS)
    extra = (TIMBRE, EVALUATIONS) if styled else (EVALUATIONS,)
    return Table(
        "sweep",
        "What do solver, steps and guidance bring and cost?",
        context.about(grid={name: list(values) for name, values in grid.items()}),
        (*columns, *extra),
        tuple(rows),
    )


def num_evaluations(sampling: Sampling) -> int:
    """Number of network evaluations per bass; both branches of guidance count."""
    per_step = 2 if sampling.solver in ("heun", "churn") else 1
    calls = per_step * sampling.steps
    if sampling.guidance == 1.0:
        return calls
    if sampling.guidance_kind == "interval":
        low, high = sampling.guidance_low, sampling.guidance_high
        return calls + int(sum(low <= sigma <= high for sigma in noise_levels(sampling)))
    return calls if sampling.guidance_kind == "none" else 2 * calls


def _sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without `weights`."""
    return {name: value for name, value in settings.items() if name != WEIGHTS}


def _is_nearer(own: Any, sounds: Sequence[Any], wanted: int) -> float:
    other = (wanted + 1) % len(sounds)
    distances = [timbre_distance(own, sounds[i]) for i in (wanted, other)]
    return float(np.sign(distances[1] - distances[0]) / 2 + 0.5)


def _words(name: str) -> str:
    return name.replace("_", " ")
