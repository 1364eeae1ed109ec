import re

import pytest

from bassdiff.evaluation.sweep_charts import lines
from bassdiff.metrics.table import Column, Row, Score, Table


def row(name, value, **setting):
    kind = "setting" if setting else "anchor"
    return Row(name, name, kind, {"fit": Score(value, value, value)}, setting or None)


@pytest.fixture
def table():
    rows = [
        row(f"{solver}-{steps}", quality * steps / 20, solver=solver, steps=steps, guidance=2.0)
        for solver, quality in (("euler", 0.5), ("unipc", 0.9))
        for steps in (20, 5, 10)
    ]
    columns = (Column("fit", "learned fit", "help"), Column("level", "level", "help", "none"))
    return Table("sweep", "?", {}, columns, (*rows, row("true", 0.8), row("shuffled", 0.1)))


def test_a_line_for_each_of_the_other_settings(table):
    charts = lines(table)
    # One value of guidance makes no line.
    assert list(charts) == ["steps"]
    (chart,) = charts["steps"]
    label = re.search(r'aria-label="([^"]*)"', chart)[1]
    assert "unipc, 2: 5: 0.23, 10: 0.45, 20: 0.90" in label
    assert label.index("unipc") < label.index("euler")
    assert "learned fit" in chart


def test_a_column_that_nobody_has_is_not_drawn(table):
    bare = Table("sweep", "?", {}, (Column("none", "none", "help"),), table.rows)
    assert lines(bare) == {"steps": []}
