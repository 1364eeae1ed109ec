"""Finds songs that occur in two splits, which would invalidate validation scores."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bassdiff.evaluation.inspection.fingerprint import Match, best_matches, fingerprint
from bassdiff.evaluation.inspection.measures import pitched_sum
from bassdiff.evaluation.inspection.songs import without
from bassdiff.evaluation.progress import Progress
from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Source

# docs/experiments.md has its precision and recall.
THRESHOLD = 0.6
_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)
_SHOWN_PAIRS = 40


@dataclass(frozen=True)
class Pair:
    """Two songs that are considered the same.

    Attributes:
      first: Name of a song of the first set.
      second: Name of a song of the second set.
      match: Their similarity and alignment.
    """

    first: str
    second: str
    match: Match


@dataclass(frozen=True)
class Report:
    """Result of a comparison.

    Attributes:
      sets: Names of the two sets.
      num_songs: Number of comparable songs in each.
      threshold: Least similarity of a pair.
      pairs: Pairs above the threshold, the most similar first.
      nearest: For every song of the second set, the most similar one of the first.
      quantiles: Similarity of all pairs, by quantile.
      unreadable: (song, reason) for songs that could not be compared.
    """

    sets: tuple[str, str]
    num_songs: tuple[int, int]
    threshold: float
    pairs: tuple[Pair, ...]
    nearest: tuple[Pair, ...]
    quantiles: dict[str, float]
    unreadable: tuple[tuple[str, str], ...]

    def to_json(self) -> str:
        """The report as JSON."""
        values = dataclasses.asdict(self)
        for name in ("pairs", "nearest"):
            values[name] = [
                {"first": p.first, "second": p.second, **p.match._asdict()}
                for p in getattr(self, name)
            ]
        return json.dumps(values, indent=1) + "\n"

    def to_text(self) -> str:
        """The pairs as text for a terminal."""
        first, second = self.num_songs
        lines = [
            f"{len(self.pairs)} pairs of songs have a similarity of {self.threshold} or more, "
            f"among {first} of {self.sets[0]} and {second} of {self.sets[1]}"
        ]
        if self.pairs:
            shown = self.pairs[:_SHOWN_PAIRS]
            width = max(len(pair.first) for pair in shown)
            lines += [
                f"{pair.match.similarity:.2f}  {pair.first:{width}}  {pair.second}  "
                f"({pair.match.semitones:+d} semitones, {pair.match.lag_seconds:+.1f} s)"
                for pair in shown
            ]
        if len(self.pairs) > _SHOWN_PAIRS:
            lines.append(f"... and {len(self.pairs) - _SHOWN_PAIRS} more")
        lines += [f"not compared: {name}: {reason}" for name, reason in self.unreadable]
        return "\n".join(lines)


def find_duplicates(
    first: Source,
    second: Source | None,
    sets: tuple[str, str],
    progress: Progress,
    roots: Sequence[str] = (),
    threshold: float = THRESHOLD,
) -> Report:
    """Compares every song of one set with every song of another.

    Args:
      first: Songs, usually the training split.
      second: Other songs; None to compare all pairs within `first`.
      sets: Names of the two sets.
      progress: Wraps long loops.
      roots: Folders to remove from paths in messages.
      threshold: Least similarity of a pair.

    Raises:
      InputError: If one of the sets has no comparable song.
    """
    unreadable: list[tuple[str, str]] = []
    names, songs = _fingerprints(first, sets[0], unreadable, progress, roots)
    others, targets = names, songs
    if second is not None:
        others, targets = _fingerprints(second, sets[1], unreadable, progress, roots)
    alike = np.full((len(songs), len(targets)), -1.0)
    pairs, nearest = [], [Pair("", name, Match(-1.0, 0, 0.0, 1.0)) for name in others]
    rows = best_matches(songs, targets)
    for row in progress(range(len(songs)), "pairs"):
        for column, match in enumerate(next(rows)):
            if second is None and column <= row:
                continue
            alike[row, column] = match.similarity
            pair = Pair(names[row], others[column], match)
            if match.similarity >= threshold:
                pairs.append(pair)
            if match.similarity > nearest[column].match.similarity:
                nearest[column] = pair
    compared = alike[alike > -1.0]
    return Report(
        sets,
        (len(songs), len(targets)),
        threshold,
        tuple(sorted(pairs, key=lambda pair: -pair.match.similarity)),
        tuple(pair for pair in nearest if pair.first),
        {f"{q:g}": float(np.quantile(compared, q)) for q in _QUANTILES if len(compared)},
        tuple(unreadable),
    )


def write_report(path: Path, report: Report) -> None:
    """Writes the report whole or not at all."""
    with atomic_file(path) as file:
        file.write(report.to_json().encode())


def _fingerprints(
    source: Source,
    name: str,
    unreadable: list[tuple[str, str]],
    progress: Progress,
    roots: Sequence[str],
) -> tuple[Sequence[str], list[np.ndarray]]:
    names, songs = [], []
    for index in progress(range(len(source)), name):
        try:
            stems = source[index]
            print_ = fingerprint(pitched_sum(stems), stems.sample_rate_hz)
            if not print_.any():
                raise InputError("nothing in it has a pitch")
        except InputError as error:
            unreadable.append((source.names[index], without(roots, str(error))))
            continue
        names.append(stems.name)
        songs.append(print_)
    if not songs:
        reason = unreadable[-1][1] if unreadable else "there are none"
        raise InputError(f"none of the songs of {name} can be compared; last: {reason}")
    return names, songs
