"""The page "Adding a sampler": its code runs from top to bottom."""

import re
from pathlib import Path

import pytest

import bassdiff
from bassdiff.diffusion import grounding, guidance
from bassdiff.diffusion.solvers import SOLVERS

PAGE = (Path(bassdiff.__file__).parent / "docs" / "sampler.md").read_text(encoding="utf-8")


# The page writes its own sums as users do, without ranks in mind.
@pytest.mark.filterwarnings("default")
def test_its_code_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["order"] > 1.8


def test_it_lists_all_there_is():
    for name in SOLVERS:
        assert f"`{name}`" in PAGE, name
    for module in (guidance, grounding):
        for name, value in vars(module).items():
            if isinstance(value, type) and hasattr(value, "place"):
                assert f"`{name}`" in PAGE, name
