"""A page about data and the figures behind it, written together or not at all."""

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
      title: what it is about; unique.
      note: a sentence on how it was found.
      charts: drawn ones; None stands for one of which nothing is known.
      columns: heads of the table; the first names the rows.
      rows: cells of the table as people read them.
    """

    title: str
    note: str = ""
    charts: Sequence[Markup | None] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
      name: of what was looked at.
      facts: it in a line.
      cards: (label, value, note) of the few numbers that matter.
      sections: in order; those without charts and rows are not shown.
      examples: clips to listen to, as `templates/clip.html` takes them.
      about: what was asked for, by name.
      figures: all of it for machines; what is not finite is written as null.
    """

    name: str
    facts: str
    cards: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]
    about: Mapping[str, str]
    figures: Mapping[str, Any]
    examples: Sequence[Mapping[str, Any]] = field(default=())


def write_inspection(out: Path, inspection: Inspection) -> Path:
    """Writes `index.html`, which loads nothing from anywhere, and `inspection.json` beside it.

    Returns:
      The page's path.

    Raises:
      InputError: they cannot be written; what was there before stays then.
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
