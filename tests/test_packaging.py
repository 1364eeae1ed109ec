"""What is installed: its lower bounds and its licences."""

import re
import runpy
from importlib import metadata
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).parents[1]
# As licences are written in the table, and as packages state them in their metadata.
STATED = {
    "ISC": r"ISC",
    "BSD-3-Clause": r"BSD",
    "LGPL-2.1-or-later": r"LGPL-2\.1-or-later",
    "MIT": r"MIT",
    "Apache-2.0": r"Apache",
    "PSF-based": r"Python Software Foundation",
    "MIT-CMU": r"MIT-CMU",
    "MPL-2.0 AND MIT": r"MPL-2\.0 AND MIT",
    "MPL-2.0": r"MPL-2\.0",
}


@pytest.fixture
def requirements(monkeypatch):
    """Names and bounds of what bassdiff requires."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    runpy.run_path(str(ROOT / "setup.py"))
    return dict(re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in given["install_requires"])


def test_every_requirement_has_a_lower_bound(requirements):
    assert [name for name, bound in requirements.items() if not bound.startswith(">=")] == []


def test_every_licence_is_listed_as_its_package_states_it(requirements):
    text = (ROOT / ".github" / "DEPENDENCIES.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", text, re.MULTILINE))
    assert set(listed) == set(requirements)
    for name, licence in listed.items():
        about = metadata.metadata(name)
        classifiers = [c for c in about.get_all("Classifier") or [] if c.startswith("License")]
        short = (about.get("License") or "").split("\n")[0]
        stated = " ".join([about.get("License-Expression") or "", short, *classifiers])
        assert re.search(STATED[licence], stated), (name, stated)
