import dataclasses
import json
import math

import numpy as np
import pytest

from bassdiff.metrics.table import Column, Row, Score, Table, mean_score, parse_table, ratio_score
from bassdiff.runtime.errors import InputError


@pytest.fixture
def table():
    columns = (
        Column("fit", "fit", "how well it fits", chance=0.5),
        Column("drift", "drift in dB", "how far it drifts", "lower", digits=1),
        Column("empty", "nobody knows", "nothing", "none"),
    )
    scores = {"fit": Score(0.75, 0.5, 1.0, (1.0, 0.5)), "empty": Score(*[math.nan] * 3)}
    rows = (
        Row("model", "bassdiff", "system", scores),
        Row(
            "true",
            "true bass",
            "anchor",
            {"fit": Score(1.0, 1.0, 1.0), "drift": Score(2.04, math.nan, math.nan)},
        ),
        Row("guidance-2", "guidance 2", "setting", {}, {"guidance": 2.0}),
    )
    return Table("music", "Does it fit?", {"num_clips": 2}, columns, rows)


def test_a_table_comes_back_from_json(table):
    text = table.to_json()
    assert "NaN" not in text
    back = parse_table(text, "music.json")
    assert (back.task, back.title, back.about, back.columns) == (
        table.task, table.title, table.about, table.columns,
    )  # fmt: skip
    assert [row.name for row in back.rows] == ["model", "true", "guidance-2"]
    assert back.row("guidance-2").setting == {"guidance": 2.0}
    assert back.row("model").scores["fit"] == table.row("model").scores["fit"]
    assert math.isnan(back.row("model").scores["empty"].value)
    assert math.isnan(back.row("true").scores["drift"].low)
    with pytest.raises(KeyError):
        back.row("nobody")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{}]}', '{"rows": 3}'])
def test_what_is_no_table_is_named(text):
    with pytest.raises(InputError, match=r"style\.json is not a table"):
        parse_table(text, "style.json")


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        (["task"], 3),
        (["title"], None),
        (["about"], []),
        (["columns", 0, "help"], ["x"]),
        (["columns", 0, "better"], "up"),
        (["columns", 0, "digits"], 2.5),
        (["columns", 0, "chance"], "half"),
        (["rows", 0, "kind"], "judge"),
        (["rows", 0, "name"], 1),
        (["rows", 0, "scores"], [1]),
        (["rows", 0, "scores", "fit", "value"], "0.5"),
        (["rows", 0, "scores", "fit", "per_clip"], "12"),
        (["rows", 2, "setting"], ["guidance"]),
        (["rows", 2, "setting", "guidance"], [2]),
    ],
)
def test_a_wrong_type_is_no_table(table, where, wrong):
    values = json.loads(table.to_json())
    part = values
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = wrong
    with pytest.raises(InputError, match="is not a table"):
        parse_table(json.dumps(values), "x.json")


def test_the_text_shows_what_is_known(table):
    lines = table.to_text().splitlines()
    assert lines[0].split() == ["chance", "model", "true", "guidance-2"]
    assert lines[1].split() == ["fit", "0.50", "0.75", "[0.50,", "1.00]", "1.00"]
    assert lines[2].split() == ["drift", "in", "dB", "2.0"]
    assert len(lines) == 3


def test_a_wide_text_goes_on_below(table):
    whole, narrow = table.to_text(), table.to_text(width=40)
    blocks = narrow.split("\n\n")
    assert max(map(len, narrow.splitlines())) <= 40 < max(map(len, whole.splitlines()))
    assert [block.splitlines()[0].split() for block in blocks] == [
        ["chance", "model"], ["chance", "true", "guidance-2"],
    ]  # fmt: skip
    assert all("drift in dB" in block for block in blocks)
    assert sorted(narrow.split()) == sorted(
        [*whole.split(), *"chance fit 0.50 drift in dB".split()]
    )


def test_nothing_has_a_minus_of_its_own(table):
    row = Row("model", "bassdiff", "system", {"fit": Score(-0.001, -0.002, 0.1)})
    text = dataclasses.replace(table, rows=(row,)).to_text()
    assert "0.00 [0.00, 0.10]" in text and "-0" not in text


def test_a_mean_leaves_out_what_is_not_known():
    score = mean_score([1.0, math.nan, 0.0, 0.5], ["a", "b", "c", "d"])
    assert score.value == pytest.approx(0.5)
    assert 0.0 <= score.low < 0.5 < score.high <= 1.0
    assert score.per_clip[:1] == (1.0,) and math.isnan(score.per_clip[1])
    nothing = mean_score([math.nan] * 3, ["a", "b", "c"])
    assert math.isnan(nothing.value) and math.isnan(nothing.low)


def test_clips_of_one_song_are_drawn_together():
    """Twelve clips of two songs tell no more than two do."""
    rng = np.random.default_rng(0)
    values = np.repeat([0.2, 0.8], 6) + 0.01 * rng.normal(size=12)
    apart = mean_score(values, range(12))
    together = mean_score(values, ["a"] * 6 + ["b"] * 6)
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    assert together.low == pytest.approx(0.2, abs=0.02)


def test_an_interval_covers_the_mean_of_normal_values_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(150):
        score = mean_score(rng.normal(size=40), range(40))
        hits.append(score.low <= 0.0 <= score.high)
    assert 0.88 <= np.mean(hits) <= 0.99


def test_a_ratio_weighs_clips_by_their_counts():
    score = ratio_score(np.array([9.0, 0.0, 0.0]), np.array([10.0, 2.0, 0.0]), ["a", "b", "c"])
    assert score.value == pytest.approx(0.75)
    assert score.per_clip[:2] == (0.9, 0.0) and math.isnan(score.per_clip[2])
    assert math.isnan(ratio_score(np.zeros(2), np.zeros(2), ["a", "b"]).value)
