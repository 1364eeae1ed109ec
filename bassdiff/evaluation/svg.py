"""Charts as SVG to put into a page, in the page's own typeface and colours.

Each is drawn at the size of a phone's screen, so that its text is never scaled down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Colours that stand for the page's custom properties, which differ between light and dark.
INK, MUTED, GRID = "#010101", "#020202", "#030303"
ACCENT, SECOND = "#040404", "#050505"
_PROPERTIES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    ACCENT: "var(--accent)",
    SECOND: "var(--second)",
}
_STYLE: dict[Any, Any] = {
    # Text stays text: it can be selected, searched and set in the page's typeface.
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "text.parse_math": False,
    "font.size": 13,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 14,
    "figure.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 12.5,
    "ytick.labelsize": 12.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 12.5,
    "savefig.transparent": True,
}


@contextmanager
def chart(height: int, width: int = 360, polar: bool = False) -> Iterator[tuple[Figure, Axes]]:
    """A figure and its axes, in the style of the page while the body runs.

    Args:
      height: in the page's pixels.
      width: likewise; by default a phone's.
      polar: the axes are an angle and a radius.
    """
    # 72 to the inch: a unit of the drawing is a pixel of the page.
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.subplots(subplot_kw={"polar": polar})


def head(figure: Figure, text: str) -> None:
    """Puts a title above all, from the left edge."""
    figure.suptitle(text, x=0.0, horizontalalignment="left")


def to_svg(figure: Figure, alt: str) -> Markup:
    """The figure as an `svg` element, to be called inside `chart`.

    Args:
      figure: from `chart`.
      alt: what it shows, for those who do not see it.
    """
    buffer = BytesIO()
    # Charts of one page must not call their parts alike.
    with mpl.rc_context({"svg.hashsalt": alt}):
        nothing: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<style.*?</style>", "", text, flags=re.DOTALL)
    used = set(re.findall(r"#(\w+)", text))
    text = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", text)
    for colour, name in _PROPERTIES.items():
        text = text.replace(colour, name)
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1))
