"""Results: scores with intervals, in rows of systems and anchors, as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from bassdiff.errors import InputError

Kind: TypeAlias = Literal["system", "anchor", "setting"]

_NUM_RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True)
class Column:
    """One measure of a table.

    Attributes:
      name: as scores are keyed.
      label: as people read it.
      help: one sentence about what it says.
      better: which way is good; "none" where neither is.
      chance: what a bass that ignores the mix would score; None where that is not defined.
      digits: decimals to print.
    """

    name: str
    label: str
    help: str
    better: Literal["higher", "lower", "none"] = "higher"
    chance: float | None = None
    digits: int = 2


@dataclass(frozen=True)
class Score:
    """A mean with its 95 % interval.

    Attributes:
      value: NaN where nothing is known.
      low: lower end; NaN where no interval is known.
      high: upper end.
      per_clip: the clips' own values, NaN where unknown; empty where there are none.
    """

    value: float
    low: float
    high: float
    per_clip: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """The scores of one system, anchor or setting.

    Attributes:
      name: unique in its table; also the file name of what was played.
      label: as people read it.
      kind: the system under test, an anchor beside it, or a setting of the system.
      scores: by column name.
      setting: what differs from the system's defaults, by name.
    """

    name: str
    label: str
    kind: Kind
    scores: dict[str, Score]
    setting: dict[str, float | str] | None = None


@dataclass(frozen=True)
class Table:
    """One task's results, and where they come from.

    Attributes:
      task: "music", "distances", "style", "longform" or "ablation".
      title: the question it answers.
      about: numbers of clips and songs, seeds, embedder, reference set, ...
      columns: in order.
      rows: in order.
    """

    task: str
    title: str
    about: dict[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """The row of a name.

        Raises:
          KeyError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_json(self) -> str:
        """The table for a file; what is unknown is null."""
        return json.dumps(_without_nan(dataclasses.asdict(self)), indent=1) + "\n"

    def to_text(self) -> str:
        """The table for a terminal: a line for each measure, intervals for the system alone."""
        lines = [["", *(row.name for row in self.rows), "chance"]]
        for column in self.columns:
            cells = [
                _cell(row.scores.get(column.name), column.digits, row.kind == "system")
                for row in self.rows
            ]
            chance = "" if column.chance is None else f"{column.chance:.{column.digits}f}"
            if any(cells):
                lines.append([column.label, *cells, chance])
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def parse_table(text: str, name: str) -> Table:
    """Reads what `Table.to_json` wrote.

    Raises:
      InputError: it is something else; `name` is named.
    """

    def number(value: float | None) -> float:
        return math.nan if value is None else float(value)

    try:
        values = json.loads(text)
        rows = tuple(
            Row(
                row["name"],
                row["label"],
                row["kind"],
                {
                    column: Score(
                        number(score["value"]),
                        number(score["low"]),
                        number(score["high"]),
                        tuple(map(number, score["per_clip"])),
                    )
                    for column, score in row["scores"].items()
                },
                row["setting"],
            )
            for row in values["rows"]
        )
        columns = tuple(Column(**column) for column in values["columns"])
        return Table(values["task"], values["title"], values["about"], columns, rows)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{name} is no table of results; make it again") from error


def mean_score(values: Sequence[float] | np.ndarray, songs: Sequence[Hashable]) -> Score:
    """The mean of what is known, with a bootstrap interval over songs.

    Args:
      values: `[n]`, one a clip; NaN is not known.
      songs: `[n]`, the song each clip is of: clips of one song are drawn together.
    """
    values = np.asarray(values, float)
    known = np.isfinite(values)
    score = ratio_score(np.where(known, values, 0.0), known.astype(float), songs)
    return dataclasses.replace(score, per_clip=tuple(values.tolist()))


def ratio_score(total: np.ndarray, count: np.ndarray, songs: Sequence[Hashable]) -> Score:
    """sum(total) / sum(count), with a 95 % percentile bootstrap that draws whole songs.

    Args:
      total: `[n]`, one a clip.
      count: `[n]` not negative.
      songs: `[n]`.

    Returns:
      The score, NaN where every count is 0.
    """
    if not count.sum():
        return Score(math.nan, math.nan, math.nan)
    number = {name: index for index, name in enumerate(dict.fromkeys(songs))}
    song = np.array([number[name] for name in songs])
    totals, counts = np.bincount(song, total), np.bincount(song, count)
    draws = np.random.default_rng(_SEED).integers(len(totals), size=(_NUM_RESAMPLES, len(totals)))
    drawn = counts[draws].sum(axis=1)
    means = totals[draws].sum(axis=1)[drawn > 0] / drawn[drawn > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    per_clip = np.divide(total, count, out=np.full(len(total), math.nan), where=count > 0)
    value = float(total.sum() / count.sum())
    return Score(value, float(low), float(high), tuple(per_clip.tolist()))


def _cell(score: Score | None, digits: int, with_interval: bool) -> str:
    if score is None or math.isnan(score.value):
        return ""
    if math.isnan(score.low) or not with_interval:
        return f"{score.value:.{digits}f}"
    return f"{score.value:.{digits}f} [{score.low:.{digits}f}, {score.high:.{digits}f}]"


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
