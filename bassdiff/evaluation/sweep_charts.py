"""Charts of a sweep: scores over one setting, with a line per combination of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import NullLocator

from bassdiff.evaluation.charts import known, main_columns, short_number
from bassdiff.evaluation.svg import ACCENT, MUTED, SECOND, chart, head, to_svg
from bassdiff.metrics.table import Column, Row, Table

ACROSS = ("steps", "guidance", "style_strength")
_COLOURS = (ACCENT, SECOND, "#3a7d44", "#8a4f9e", "#b07d2b", MUTED)
_MARKERS = "osD^v*"
_NUM_LINES = 6
_NUM_COLUMNS = 4


def lines(table: Table) -> dict[str, list[Markup]]:
    """Plots the main columns over each numeric setting of the grid.

    Lines are combinations of the other settings, the best ones by their mean if there are many.
    """
    swept = [row for row in table.rows if row.kind == "setting" and row.setting]
    charts = {}
    for key in ACROSS:
        values = {row.setting[key] for row in swept if row.setting and key in row.setting}
        if len(values) < 2:
            continue
        drawn = [_lines(swept, table, key, column) for column in main_columns(table)[:_NUM_COLUMNS]]
        charts[key.replace("_", " ")] = [one for one in drawn if one is not None]
    return charts


def _lines(rows: Sequence[Row], table: Table, key: str, column: Column) -> Markup | None:
    groups: dict[str, list[tuple[Any, float]]] = {}
    for row in rows:
        score, setting = known(row, column.name), dict(row.setting or {})
        if score is not None and key in setting:
            place = setting.pop(key)
            name = ", ".join(short_number(value) for value in setting.values()) or "model"
            groups.setdefault(name, []).append((place, score.value))
    if not groups:
        return None
    sign = -1.0 if column.better == "lower" else 1.0

    def worth(name: str) -> float:
        return -sign * sum(value for _, value in groups[name]) / len(groups[name])

    chosen = sorted(groups, key=worth)[:_NUM_LINES]
    with chart(260) as (figure, axes):
        said = []
        for number, name in enumerate(chosen):
            points = sorted(groups[name])
            axes.plot(
                *zip(*points, strict=True),
                f"{_MARKERS[number]}-",
                color=_COLOURS[number],
                markersize=5,
                linewidth=1.5,
                label=name,
            )
            said.append(f"{name}: " + ", ".join(f"{x}: {y:.{column.digits}f}" for x, y in points))
        for kind, dashes in (("true", (0, (5, 3))), ("shuffled", (0, (2, 2)))):
            anchor = next((row for row in table.rows if row.name == kind), None)
            score = None if anchor is None else known(anchor, column.name)
            if score is not None:
                axes.axhline(score.value, color=MUTED, linewidth=1.2, linestyle=dashes)
        places = sorted({x for name in chosen for x, _ in groups[name]})
        if places[0] > 0 and places[-1] >= 8 * places[0]:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(places, [short_number(place) for place in places])
        axes.set_xlabel(key.replace("_", " "))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=2, fontsize="small")
        head(figure, column.label)
        return to_svg(figure, f"{column.label} by {key.replace('_', ' ')}: {'; '.join(said)}.")
