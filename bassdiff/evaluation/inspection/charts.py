"""Histograms of songs, and the circle of fifths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from bassdiff.evaluation.inspection.measures import KEYS, NOTES
from bassdiff.evaluation.svg import ACCENT, MUTED, SECOND, chart, head, to_svg

_NUM_BINS = 20
_FIFTH = 7


def histogram(
    title: str,
    unit: str,
    series: Mapping[str, Sequence[float] | np.ndarray],
    limits: tuple[float, float] | None = None,
    counted: str = "songs",
) -> Markup | None:
    """A histogram; None if no value is known.

    Args:
      title: Title of the chart.
      unit: Label of the horizontal axis.
      series: Values by name, overlaid; values that are not finite are left out.
      limits: Limits of the axis; by default the range of the values.
      counted: Label of the vertical axis.
    """
    known = {
        name: np.array([value for value in values if math.isfinite(value)])
        for name, values in series.items()
    }
    known = {name: values for name, values in known.items() if len(values)}
    if not known:
        return None
    together = np.concatenate(list(known.values()))
    edges = np.histogram_bin_edges(together, _NUM_BINS, limits)
    with chart(210 + 20 * (len(known) > 1)) as (figure, axes):
        looks = ((ACCENT, True), (SECOND, False))
        for (name, values), (colour, is_filled) in zip(known.items(), looks, strict=False):
            counts, _ = np.histogram(values, edges)
            axes.stairs(counts, edges, color=colour, fill=is_filled, linewidth=2, label=name)
        axes.set(xlabel=unit, ylabel=counted, ylim=(0, None))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        head(figure, title)
        if len(known) > 1:
            figure.legend(loc="outside lower left", ncols=2, handlelength=1.5)
        said = "; ".join(
            f"{name}: {len(values)} {counted}, median {np.median(values):.4g}, from "
            f"{values.min():.4g} to {values.max():.4g}"
            for name, values in known.items()
        )
        return to_svg(figure, f"{title}, {unit}. {said}.")


def key_circle(keys: Sequence[str | None]) -> Markup | None:
    """Number of songs in each of the 24 keys, around the circle of fifths.

    A major key and its relative minor, which share their notes, are next to each other.
    """
    counts = np.array([keys.count(key) for key in KEYS]).reshape(2, 12)
    if not counts.any():
        return None
    tonics = np.arange(12) * _FIFTH % 12
    # The relative minor is three semitones lower.
    rings = {"major": counts[0][tonics], "relative minor": counts[1][(tonics + 9) % 12]}
    labels = [f"{NOTES[tonic]}\n{NOTES[(tonic + 9) % 12]}m" for tonic in tonics]
    angles = np.arange(12) * 2 * np.pi / 12
    with chart(330, polar=True) as (figure, axes):
        width = 2 * np.pi / 12 * 0.42
        sides = ((-0.5, ACCENT), (0.5, SECOND))
        for (name, ring), (side, colour) in zip(rings.items(), sides, strict=True):
            axes.bar(angles + side * width, ring, width, color=colour, label=name)
        # C at the top, fifths clockwise.
        axes.set(theta_offset=np.pi / 2, theta_direction=-1)
        axes.set_xticks(angles, labels)
        axes.set_ylim(0, int(counts.max()))
        axes.set_yticks([int(counts.max())])
        axes.tick_params(axis="y", colors=MUTED)
        axes.grid(True, axis="y")
        axes.grid(False, axis="x")
        head(figure, "keys (estimates)")
        figure.legend(loc="outside lower left", ncols=2, handlelength=1.5)
        said = ", ".join(f"{key} {keys.count(key)}" for key in KEYS if key in keys)
        return to_svg(figure, f"Songs by estimated key: {said}.")
