"""Small charts of result tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from bassdiff.evaluation.svg import ACCENT, INK, MUTED, SECOND, chart, head, to_svg
from bassdiff.metrics.table import Column, Row, Score, Table

_NARROW = 260
_DOTTED = (0, (2, 2))
_MAX_LABEL = 24
_DIRECTIONS = {"higher": " ↑", "lower": " ↓", "none": ""}
_NUM_RANKS = 12
# Settings whose values span more than this factor get a logarithmic axis.
_WIDE = 12


def main_columns(table: Table) -> list[Column]:
    """The columns in which higher or lower is better."""
    return [column for column in table.columns if column.better != "none"]


def known(row: Row, column: str) -> Score | None:
    """A row's score in a column, or None if it is missing or not finite."""
    score = row.scores.get(column)
    return score if score is not None and math.isfinite(score.value) else None


def number(value: float, column: Column) -> str:
    """A value as printed on pages."""
    return f"{value:z.{column.digits}f}".replace("-", "−")


def short_number(value: float | str) -> str:
    """A setting's value without trailing zeros."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def dots(rows: Sequence[Row], column: Column) -> Markup | None:
    """Plots each row's value with its 95 % interval; None if no value is known."""
    scored = _scored(rows, column)
    if not scored:
        return None
    with chart(66 + 26 * len(scored)) as (figure, axes):
        for place, (row, score) in enumerate(scored):
            colour, marker = _look(row)
            axes.plot([score.low, score.high], [place, place], color=colour, linewidth=2)
            axes.plot(score.value, place, marker, color=colour, markersize=8, markeredgewidth=0)
        _draw_chance(axes, column, vertical=True)
        axes.set_yticks(range(len(scored)), [_short(row.label) for row, _ in scored])
        for tick, (row, _) in zip(axes.get_yticklabels(), scored, strict=True):
            tick.set_color(INK)
            tick.set_fontweight("bold" if row.kind == "system" else "normal")
        axes.set_ylim(len(scored) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.margins(x=0.08)
        head(figure, _title(column))
        said = "; ".join(f"{row.label} {_said(score, column)}" for row, score in scored)
        return to_svg(figure, f"{column.label}, with 95 % intervals: {said}.")


def rank_histograms(table: Table, column: str = "harmony_rank") -> list[Markup]:
    """Plots the distribution of ranks 1 to 12 over clips, for each row that has them."""
    shares = []
    for row in table.rows:
        ranks = _per_clip(row, column)
        ranks = ranks[np.isfinite(ranks)]
        if len(ranks):
            counts, _ = np.histogram(ranks, np.arange(0.5, _NUM_RANKS + 1))
            shares.append((row, counts / len(ranks), len(ranks)))
    top = max((share.max() for _, share, _ in shares), default=0.0)
    charts = []
    for row, share, count in shares:
        with chart(190, _NARROW) as (figure, axes):
            axes.bar(np.arange(1, _NUM_RANKS + 1), 100 * share, 0.8, color=_look(row)[0])
            axes.axhline(100 / _NUM_RANKS, color=MUTED, linewidth=1, linestyle=_DOTTED)
            axes.set(ylim=(0, 105 * top), xlim=(0.3, _NUM_RANKS + 0.7))
            axes.set_xticks([1, 3, 5, 7, 9, 11])
            axes.grid(False, axis="x")
            axes.set_ylabel("% of clips")
            axes.set_xlabel("rank of 12 transpositions")
            head(figure, _short(row.label))
            alt = f"{row.label}: {share[0]:.0%} of {count} clips have rank 1, the best of 12."
            charts.append(to_svg(figure, alt))
    return charts


def frontier(
    table: Table,
    across: str = "harmony_top1",
    up: str = "timbre_retrieval_at_1",
    key: str = "style_strength",
) -> Markup | None:
    """Plots the trade-off between following the mix and matching the reference's sound.

    None if the table lacks a column, or fewer than two rows have both values.
    """
    columns = {column.name: column for column in table.columns}
    pairs = [(row, known(row, across), known(row, up)) for row in table.rows]
    points = [(row, x, y) for row, x, y in pairs if x is not None and y is not None]
    if not {across, up} <= set(columns) or len(points) < 2:
        return None
    with chart(330) as (figure, axes):
        swept = [(x.value, y.value) for row, x, y in points if _setting(row, key) is not None]
        if swept:
            axes.plot(*zip(*swept, strict=True), color=ACCENT, linewidth=1.5)
        said = []
        for row, x, y in points:
            strength = _setting(row, key)
            label = row.label if strength is None else short_number(strength)
            colour, marker = (SECOND, "D") if row.kind == "anchor" else (ACCENT, "o")
            axes.plot([x.low, x.high], [y.value] * 2, color=MUTED, linewidth=0.8, zorder=1.5)
            axes.plot([x.value] * 2, [y.low, y.high], color=MUTED, linewidth=0.8, zorder=1.5)
            axes.plot(x.value, y.value, marker, color=colour, markersize=8, markeredgewidth=0)
            axes.annotate(
                _short(label), (x.value, y.value), (7, 6), textcoords="offset points", color=INK
            )
            said.append(f"{label}: {_said(x, columns[across])} and {_said(y, columns[up])}")
        axes.margins(0.12)
        axes.set_xlabel(_title(columns[across]))
        axes.set_ylabel(_title(columns[up]))
        head(figure, f"labelled by {_words(key)}")
        alt = f"{columns[up].label} over {columns[across].label}; {'; '.join(said)}."
        return to_svg(figure, alt)


def sweeps(table: Table, max_columns: int = 4) -> dict[str, list[Markup]]:
    """Plots the main columns over each setting that is varied alone."""
    lone = [row for row in table.rows if row.setting and len(row.setting) == 1]
    keys = dict.fromkeys(key for row in lone for key in row.setting or ())
    base = next((row for row in table.rows if row.kind == "system"), None)
    swept = {}
    for key in keys:
        rows = [row for row in lone if key in (row.setting or {})]
        charts = [_sweep(rows, base, key, column) for column in main_columns(table)[:max_columns]]
        swept[_words(key)] = [drawn for drawn in charts if drawn is not None]
    return {key: charts for key, charts in swept.items() if charts}


def minutes(table: Table) -> list[Markup]:
    """Plots each column `*_by_minute`, whose `per_clip` are minutes, over the minutes of a song."""
    charts = []
    for column in (c for c in table.columns if c.name.endswith("_by_minute")):
        curves = [(row, _per_clip(row, column.name)) for row in table.rows]
        curves = [(row, curve) for row, curve in curves if np.isfinite(curve).sum() > 1]
        if not curves:
            continue
        with chart(210 + 20 * len(curves)) as (figure, axes):
            for place, (row, curve) in enumerate(curves):
                colour = _look(row)[0]
                dashes = "-" if row.kind == "system" else ("--", ":", "-.")[place % 3]
                places = np.arange(1, len(curve) + 1)
                axes.plot(places, curve, dashes, color=colour, linewidth=2, label=_short(row.label))
            axes.set_xlabel("minute of the song")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            head(figure, _title(column))
            # Below the axes, clear of the curves.
            figure.legend(loc="outside lower left", handlelength=2.5)
            said = "; ".join(f"{r.label} from {c[0]:.3g} to {c[-1]:.3g}" for r, c in curves)
            charts.append(to_svg(figure, f"{column.label} by minute: {said}."))
    return charts


def training_curve(name: str, steps: np.ndarray, values: np.ndarray) -> Markup:
    """Plots one scalar of a training run over its steps, both `[n]`."""
    with chart(190) as (figure, axes):
        axes.plot(steps, values, color=ACCENT, linewidth=1.5, solid_joinstyle="round")
        if len(values) < 2:
            axes.plot(steps, values, "o", color=ACCENT)
        # The first steps of a run are far above the rest and would flatten the curve.
        low, high = np.percentile(values, [0, 98 if len(values) > 40 else 100])
        pad = 0.06 * max(high - low, 1e-3 * abs(high), 1e-9)
        axes.set_ylim(low - pad, high + pad)
        axes.set_xlabel("step")
        head(figure, _short(name, 40))
        alt = f"{name} over {steps[-1]:.0f} steps, from {values[0]:.4g} to {values[-1]:.4g}."
        return to_svg(figure, alt)


def _sweep(rows: Sequence[Row], base: Row | None, key: str, column: Column) -> Markup | None:
    scored = _scored(rows, column)
    if not scored:
        return None
    values = [(row.setting or {})[key] for row, _ in scored]
    numeric = all(isinstance(value, int | float) for value in values)
    if numeric:
        order = np.argsort(np.array(values, float), kind="stable")
        scored, values = [scored[i] for i in order], [values[i] for i in order]
    places = [float(v) for v in values] if numeric else list(range(len(values)))
    scores = [score for _, score in scored]
    with chart(200) as (figure, axes):
        for place, score in zip(places, scores, strict=True):
            axes.plot([place, place], [score.low, score.high], color=ACCENT, linewidth=2)
        means = [score.value for score in scores]
        line = "-" if numeric else ""
        axes.plot(places, means, f"o{line}", color=ACCENT, markersize=6, linewidth=1.5)
        default = None if base is None else known(base, column.name)
        if default is not None:
            axes.axhline(default.value, color=SECOND, linewidth=1.2, linestyle=(0, (5, 3)))
        _draw_chance(axes, column, vertical=False)
        is_wide = numeric and 0 < _WIDE * min(places) <= max(places)
        if is_wide:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_minor_locator(NullLocator())
        if is_wide or not numeric or len(places) <= 6:
            axes.set_xticks(places, [_short(short_number(value), 12) for value in values])
        axes.margins(x=0.08)
        axes.set_xlabel(_words(key))
        head(figure, _title(column))
        pairs = zip(values, scores, strict=True)
        said = "; ".join(f"{value}: {_said(score, column)}" for value, score in pairs)
        return to_svg(figure, f"{column.label} by {_words(key)}, with 95 % intervals: {said}.")


def _scored(rows: Sequence[Row], column: Column) -> list[tuple[Row, Score]]:
    scores = [(row, known(row, column.name)) for row in rows]
    return [(row, score) for row, score in scores if score is not None]


def _per_clip(row: Row, column: str) -> np.ndarray:
    score = row.scores.get(column)
    return np.array([] if score is None else score.per_clip, float)


def _setting(row: Row, key: str) -> float | str | None:
    return (row.setting or {}).get(key)


def _look(row: Row) -> tuple[str, str]:
    """Colour and marker, distinguishable without colour vision."""
    looks = {"system": (ACCENT, "o"), "anchor": (SECOND, "D"), "setting": (ACCENT, "s")}
    return looks[row.kind]


def _draw_chance(axes: Axes, column: Column, vertical: bool) -> None:
    if column.chance is not None:
        draw = axes.axvline if vertical else axes.axhline
        draw(column.chance, color=MUTED, linewidth=1, linestyle=_DOTTED)


def _title(column: Column) -> str:
    return _short(column.label, 36) + _DIRECTIONS[column.better]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _short(text: str, length: int = _MAX_LABEL) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _said(score: Score, column: Column) -> str:
    text = number(score.value, column)
    if not math.isfinite(score.low):
        return text
    return f"{text} ({number(score.low, column)} to {number(score.high, column)})"
