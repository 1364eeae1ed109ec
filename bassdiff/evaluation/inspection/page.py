"""Writes a page about data, and its figures as JSON, together or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bassdiff.evaluation.webpage import write_page
from bassdiff.metrics.table import without_nan
from bassdiff.runtime.atomic import atomic_files, make_folder

FIGURES = "inspection.json"


@dataclass(frozen=True)
class Section:
    """A part of the page: charts, or a table.

    Attributes:
      title: Unique title.
      note: A sentence on the method.
      charts: Charts; None for one without data.
      columns: Heads of the table; the first column names the rows.
      rows: Cells of the table as text.
    """

    title: str
    note: str = ""
    charts: Sequence[Markup | None] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Inspection:
    """The content of a page.

    Attributes:
      name: Name of the data.
      facts: Summary in one line.
      cards: (label, value, note) for the most important numbers.
      sections: Sections; those without charts and rows are not shown.
      examples: Clips to listen to, as values for `templates/clip.html`.
      about: The request, by name.
      figures: All numbers for machines; values that are not finite become null.
    """

    name: str
    facts: str
    cards: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]
    about: Mapping[str, str]
    figures: Mapping[str, Any]
    examples: Sequence[Mapping[str, Any]] = field(default=())


def write_inspection(out: Path, inspection: Inspection) -> Path:
    """Writes a self-contained `index.html` and `inspection.json`.

    Returns:
      The page's path.

    Raises:
      InputError: If they cannot be written; existing files stay.
    """
    sections = [
        {
            "title": section.title,
            "note": section.note,
            "charts": [chart for chart in section.charts if chart is not None],
            "columns": section.columns,
            "rows": section.rows,
        }
        for section in inspection.sections
    ]
    make_folder(out)
    with atomic_files() as open_file:
        page = write_page(
            out,
            "inspection.html",
            open_file,
            name=inspection.name,
            facts=inspection.facts,
            cards=inspection.cards,
            sections=[s for s in sections if s["charts"] or s["rows"]],
            examples=inspection.examples,
            about=inspection.about,
        )
        with open_file(out / FIGURES) as file:
            file.write((json.dumps(without_nan(inspection.figures), indent=1) + "\n").encode())
    return page
