"""Writes a page about an evaluation: tables, charts and audio in a single file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bassdiff.evaluation import charts, sweep_charts
from bassdiff.evaluation.extremes import listen, system_of
from bassdiff.evaluation.result_folder import EvaluationFolder, read_folder
from bassdiff.evaluation.webpage import write_page
from bassdiff.metrics.table import Column, Row, Table
from bassdiff.runtime.atomic import check_folder
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text

# Column of music, row, and row to compare with.
_CARDS = (
    ("harmony_top1", "system", "true"),
    ("rhythm_correlation", "system", "true"),
    ("rhythm_percentile", "system", "true"),
    ("fit", "system", "true"),
    ("pitch_kept", "codec", ""),
)
_MAX_CURVES, _MAX_POINTS = 12, 400


def write_report(folder: Path, out: Path, training_log: Path | None = None) -> Path:
    """Writes a self-contained page about an evaluation.

    Args:
      folder: Output of `bassdiff evaluate --out` with any of the tasks.
      out: Folder of `index.html`; created if missing.
      training_log: The `metrics.jsonl` of the training run, whose curves are plotted.

    Returns:
      The page's path.

    Raises:
      InputError: If `folder` holds no evaluation, a file in it is unreadable, or the page cannot be
        written.
    """
    evaluation = read_folder(folder)
    check_report(out, training_log)
    curves = [] if training_log is None else _training_curves(training_log)
    return write_page(
        out,
        "report.html",
        name=_name(evaluation.about),
        about=list(_flattened(evaluation.about)),
        facts=_facts(evaluation),
        cards=_cards(evaluation.tables.get("music")),
        sections=[_section(table) for table in evaluation.tables.values()],
        curves=curves,
        listen=listen(evaluation),
    )


def check_report(out: Path, training_log: Path | None = None) -> None:
    """Checks in advance that `write_report` can write and read its files.

    Raises:
      InputError: If the folder cannot be created or written, or the log cannot be read.
    """
    check_folder(out)
    if training_log is not None:
        list(_records(training_log))


def _name(about: Mapping[str, Any]) -> str:
    weights = about.get("weights")
    return str(weights.get("name", "")) if isinstance(weights, Mapping) else str(weights or "")


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{name} · ")
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value))
        else:
            yield name, "not known" if value is None else str(value)


def _facts(evaluation: EvaluationFolder) -> str:
    """The data of an evaluation, in one line."""
    about, facts = evaluation.about, []
    if evaluation.clips and set(evaluation.tables) != {"longform"}:
        songs = len({clip.song for clip in evaluation.clips})
        seconds = evaluation.clips[0].seconds
        facts.append(f"{len(evaluation.clips)} clips of {seconds:.3g} s from {songs} songs")
    if about.get("data"):
        split = f", {about['split']} split" if about.get("split") else ""
        facts.append(f"{about['data']}{split}")
    return " · ".join(facts)


def _cards(music: Table | None) -> list[dict[str, Any]]:
    """The most important numbers: the system, the true bass, and the codec."""
    cards: list[dict[str, Any]] = []
    if music is None:
        return cards
    rows = {"system": system_of(music), **{row.name: row for row in music.rows}}
    for name, which, other in _CARDS:
        column = next((column for column in music.columns if column.name == name), None)
        row = rows.get(which)
        if column is None or row is None or charts.known(row, name) is None:
            continue
        anchor = rows.get(other)
        beside = []
        if anchor is not None and charts.known(anchor, name) is not None:
            beside.append((anchor.label, _cell(anchor, column)["value"]))
        if column.chance is not None:
            beside.append(("chance", charts.number(column.chance, column)))
        cards.append({"column": column, "label": row.label, **_cell(row, column), "beside": beside})
    return cards


def _section(table: Table) -> dict[str, Any]:
    columns = [c for c in table.columns if any(charts.known(row, c.name) for row in table.rows)]
    rows = [
        {"row": row, "detail": _detail(row), "cells": [_cell(row, column) for column in columns]}
        for row in table.rows
    ]
    return {
        "table": table,
        "columns": columns,
        "played": _played(table.about),
        "about": list(_flattened(table.about)),
        "rows": rows,
        "chances": [
            "" if column.chance is None else charts.number(column.chance, column)
            for column in columns
        ],
        "groups": _chart_groups(table),
    }


def _played(about: Mapping[str, Any]) -> str:
    """The clips of a table, in one line; empty if unknown."""
    try:
        clips, songs = int(about["num_clips"]), int(about["num_songs"])
        if "segment_seconds" not in about:
            return f"{clips} clips from {songs} songs"
        longest, segment = max(map(float, about["seconds"])), float(about["segment_seconds"])
        return f"{clips} songs of up to {longest:.0f} s, in segments of {segment:g} s"
    except (KeyError, TypeError, ValueError):
        return ""


def _detail(row: Row) -> str:
    """The row's setting in words, unless it is in its label."""
    words = {key: charts.short_number(value) for key, value in (row.setting or {}).items()}
    if all(value in row.label for value in words.values()):
        return ""
    return ", ".join(f"{key.replace('_', ' ')} = {value}" for key, value in words.items())


def _chart_groups(table: Table) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = []

    def add(title: str, drawn: Sequence[Markup | None], note: str = "") -> None:
        found = [chart for chart in drawn if chart is not None]
        if found:
            narrow = drawn is histograms
            groups.append({"title": title, "note": note, "charts": found, "narrow": narrow})

    histograms = charts.rank_histograms(table) if table.task == "music" else []
    # Sweeps have charts of their own.
    is_swept = table.task in ("ablation", "sweep")
    rows = [row for row in table.rows if not (is_swept and row.kind == "setting")]
    add(
        "Values with 95 % intervals",
        [charts.dots(rows, column) for column in charts.main_columns(table)],
    )
    add("Which transposition fits the mix best", histograms)
    if table.task == "style":
        add("Following the mix against sounding like the reference", [charts.frontier(table)])
    if table.task == "longform":
        add("From minute to minute", charts.minutes(table))
    if table.task == "ablation":
        for key, drawn in charts.sweeps(table).items():
            add(f"Over {key}", drawn, "The dashed line is the system with its own settings.")
    if table.task == "sweep":
        for key, drawn in sweep_charts.lines(table).items():
            add(f"Over {key}", drawn, "Dashed: the true basses; dotted: those of other songs.")
        sounds = charts.frontier(table, up="timbre_wins")
        add("Following the mix against sounding like the reference", [sounds])
    return groups


def _cell(row: Row, column: Column) -> dict[str, str]:
    score = charts.known(row, column.name)
    if score is None:
        return {"value": "", "interval": ""}
    low, high = (charts.number(end, column) for end in (score.low, score.high))
    has_interval = math.isfinite(score.low) and math.isfinite(score.high)
    return {
        "value": charts.number(score.value, column),
        "interval": f"{low} to {high}" if has_interval else "",
    }


def _training_curves(log: Path) -> list[Markup]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for record in _records(log):
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float) and math.isfinite(value):
                curves.setdefault(name, []).append((float(record["step"]), float(value)))
    # The loss first, then validation scores.
    order = sorted(curves, key=lambda name: (name != "loss", not name.startswith("validation/")))
    return [
        charts.training_curve(name, *_thinned(np.array(curves[name])))
        for name in order[:_MAX_CURVES]
    ]


def _records(log: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = read_text(log).splitlines()
    except (OSError, InputError) as error:
        raise InputError(
            f"{log}: cannot be read ({error}); name a run's logs/metrics.jsonl."
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            record = parse_json(line)
            float(record["step"])
        except (ValueError, KeyError, TypeError) as error:
            # A stopped or running process may have written half a line.
            if number == len(lines):
                return
            raise InputError(
                f"{log}: line {number} is not a record of a run; name a run's logs/metrics.jsonl."
            ) from error
        yield record


def _thinned(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages neighbouring points, since charts have few pixels."""
    parts = np.array_split(points, min(len(points), _MAX_POINTS))
    steps, values = np.array([part.mean(axis=0) for part in parts]).T
    return steps, values
