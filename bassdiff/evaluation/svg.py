"""Matplotlib charts as inline SVG, in the typeface and colours of the page.

Charts have the width of a phone's screen, so that their text is never scaled down.
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

# Placeholders for the page's custom properties, which differ between light and dark.
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
    # Keeps text as text, which can be selected, searched and set in the page's typeface.
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
    """A figure and its axes, in the style of the page during the block.

    Args:
      height: Height in pixels of the page.
      width: Width in pixels; by default that of a phone.
      polar: Whether the axes are polar.
    """
    # At 72 dpi a unit of the drawing is a pixel of the page.
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.subplots(subplot_kw={"polar": polar})


def head(figure: Figure, text: str) -> None:
    """Adds a left-aligned title."""
    figure.suptitle(text, x=0.0, horizontalalignment="left")


def to_svg(figure: Figure, alt: str) -> Markup:
    """The figure as an `svg` element; call it inside `chart`.

    Args:
      figure: The figure from `chart`.
      alt: Alternative text.
    """
    buffer = BytesIO()
    # Element ids must be unique within a page.
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
