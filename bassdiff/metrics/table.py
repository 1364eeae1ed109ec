"""Tables of results: scores with intervals, as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json

Kind: TypeAlias = Literal["system", "anchor", "setting"]
Better: TypeAlias = Literal["higher", "lower", "none"]

_NUM_RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True)
class Column:
    """One measure of a table.

    Attributes:
      name: Key of its scores.
      label: Label for readers.
      help: One sentence of explanation.
      better: Whether higher or lower is better, or "none".
      chance: Score of a bass that ignores the mix; None if undefined.
      digits: Decimals to print.
    """

    name: str
    label: str
    help: str
    better: Better = "higher"
    chance: float | None = None
    digits: int = 2


@dataclass(frozen=True)
class Score:
    """A mean with its 95 % interval.

    Attributes:
      value: The mean; NaN if unknown.
      low: Lower end; NaN without an interval.
      high: Upper end.
      per_clip: Values of the clips, NaN if unknown; empty if there are none.
    """

    value: float
    low: float
    high: float
    per_clip: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """The scores of one system, baseline or setting.

    Attributes:
      name: Unique name within its table; also the file name of its basses.
      label: Label for readers.
      kind: The system under test, a baseline ("anchor"), or a setting of the system.
      scores: Scores by column name.
      setting: Differences from the system's defaults, by name.
    """

    name: str
    label: str
    kind: Kind
    scores: dict[str, Score]
    setting: dict[str, float | str] | None = None


@dataclass(frozen=True)
class Table:
    """One task's results and their origin.

    Attributes:
      task: One of `result_folder.TASKS`, with a suffix such as "-log_mel" for variants.
      title: The question it answers.
      about: Numbers of clips and songs, seeds, embedder, reference set, ...
      columns: Columns, in order.
      rows: Rows, in order.
    """

    task: str
    title: str
    about: dict[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """The row with a name.

        Raises:
          KeyError: If there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_json(self) -> str:
        """The table as JSON; unknown values are null."""
        return json.dumps(without_nan(dataclasses.asdict(self)), indent=1) + "\n"

    def to_text(self, width: int = 120) -> str:
        """The table as text: a line per measure, with intervals for the system only.

        Args:
          width: Width of the terminal; further rows continue in blocks below.
        """
        scored = [c for c in self.columns if any(_cell(row, c) for row in self.rows)]
        chance = ["" if c.chance is None else f"{c.chance:z.{c.digits}f}" for c in scored]
        upright = [[row.name, *(_cell(row, column) for column in scored)] for row in self.rows]
        named = _padded(["", *(column.label for column in scored)])
        expected = _padded(["chance", *chance])
        labels = [f"{name}  {value}" for name, value in zip(named, expected, strict=True)]
        blocks = [labels]
        for cells in map(_padded, upright):
            wider = [f"{line}  {cell}" for line, cell in zip(blocks[-1], cells, strict=True)]
            if len(wider[0]) > width and blocks[-1] is not labels:
                wider = [f"{line}  {cell}" for line, cell in zip(labels, cells, strict=True)]
                blocks.append(wider)
            blocks[-1] = wider
        return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks)


def parse_table(text: str, name: str) -> Table:
    """Parses the output of `Table.to_json`.

    Args:
      text: The JSON text.
      name: Name of the file, for the message.

    Raises:
      InputError: If the text is not a table.
    """
    try:
        values = parse_json(text)
        return Table(
            _typed(values["task"], str),
            _typed(values["title"], str),
            _typed(values["about"], dict),
            tuple(_column(**column) for column in values["columns"]),
            tuple(_row(**row) for row in values["rows"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{name} is not a table of results; make it again") from error


def mean_score(values: Sequence[float] | np.ndarray, songs: Sequence[Hashable]) -> Score:
    """The mean of known values, with a bootstrap interval over songs.

    Args:
      values: `[n]`, one per clip; NaN if unknown.
      songs: `[n]`, the song of each clip; clips of one song are drawn together.
    """
    values = np.asarray(values, float)
    known = np.isfinite(values)
    score = ratio_score(np.where(known, values, 0.0), known.astype(float), songs)
    return dataclasses.replace(score, per_clip=tuple(values.tolist()))


def ratio_score(total: np.ndarray, count: np.ndarray, songs: Sequence[Hashable]) -> Score:
    """sum(total) / sum(count), with a 95 % percentile bootstrap that draws whole songs.

    Args:
      total: `[n]`, one per clip.
      count: `[n]`, not negative.
      songs: `[n]`, the song of each clip.

    Returns:
      The score; NaN if every count is 0.
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


def _cell(row: Row, column: Column) -> str:
    score, digits = row.scores.get(column.name), column.digits
    if score is None or math.isnan(score.value):
        return ""
    # "z" avoids a minus sign before zero.
    if math.isnan(score.low) or row.kind != "system":
        return f"{score.value:z.{digits}f}"
    return f"{score.value:z.{digits}f} [{score.low:z.{digits}f}, {score.high:z.{digits}f}]"


def _padded(cells: Sequence[str]) -> list[str]:
    """Pads cells to the widest one."""
    width = max(map(len, cells))
    return [cell.ljust(width) for cell in cells]


def _typed(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise TypeError(value)
    return value


def _one_of(value: Any, choices: Any) -> Any:
    if value not in get_args(choices):
        raise ValueError(value)
    return value


def _number(value: Any) -> float:
    """A number; null becomes NaN."""
    return math.nan if value is None else float(_typed(value, int, float))


def _column(name: Any, label: Any, help: Any, better: Any, chance: Any, digits: Any) -> Column:
    for text in (name, label, help):
        _typed(text, str)
    known = None if chance is None else _number(chance)
    return Column(name, label, help, _one_of(better, Better), known, _typed(digits, int))


def _row(name: Any, label: Any, kind: Any, scores: Any, setting: Any) -> Row:
    read = {
        column: Score(
            _number(score["value"]),
            _number(score["low"]),
            _number(score["high"]),
            tuple(map(_number, _typed(score["per_clip"], list))),
        )
        for column, score in scores.items()
    }
    for value in ({} if setting is None else _typed(setting, dict)).values():
        _typed(value, str, int, float)
    return Row(_typed(name, str), _typed(label, str), _one_of(kind, Kind), read, setting)


def without_nan(value: Any) -> Any:
    """Replaces NaN and infinities, which JSON lacks, by None in nested values."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value
