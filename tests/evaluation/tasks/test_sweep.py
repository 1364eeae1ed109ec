"""Grids of settings: read, combined, refused; the table of a sweep is tested in `test_run.py`."""

import pytest

from bassdiff.diffusion.settings import Sampling
from bassdiff.evaluation.tasks.sweep import combinations, num_evaluations, parse_grid
from bassdiff.runtime.errors import InputError


def test_every_combination_is_played_and_solvers_come_outermost():
    grid = parse_grid(["steps=4,8", "guidance=1,2.5", "solver=euler,heun"])
    found = combinations(grid, Sampling())
    assert len(found) == 8
    assert [settings["solver"] for settings in found] == ["euler"] * 4 + ["heun"] * 4
    assert found[0] == {"solver": "euler", "steps": 4, "guidance": 1.0}
    assert len({tuple(settings.items()) for settings in found}) == 8


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "a sweep needs a grid"),
        (["speed=1"], "'speed=1' is not a line of a grid"),
        (["steps"], "'steps' is not a line of a grid"),
        (["steps="], "'steps=' is not a line of a grid"),
        (["levels=1,2"], "'levels=1,2' is not a line of a grid"),
        (["steps=4,x"], "has a value that steps cannot take"),
    ],
)
def test_a_grid_that_says_nothing_is_refused(words, expected):
    with pytest.raises(InputError, match=expected):
        parse_grid(words)


def test_a_combination_that_cannot_be_sampled_is_refused_before_anything_is_played():
    with pytest.raises(InputError, match="steps is 1"):
        combinations({"solver": ("euler",), "steps": (4, 1)}, Sampling())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"steps": 10}, 20),
        ({"steps": 10, "solver": "heun"}, 40),
        ({"steps": 10, "guidance": 1.0}, 10),
        ({"steps": 4, "guidance_kind": "none"}, 4),
    ],
)
def test_evaluations_are_rows_of_the_network(settings, expected):
    assert num_evaluations(Sampling(**settings)) == expected
