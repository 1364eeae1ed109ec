"""The README holds: its commands parse, its Python runs, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import bassdiff
from bassdiff.audio import io
from bassdiff.cli import main as cli
from bassdiff.cli.configs import read_config

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "bassdiff" / "docs").glob("*.md"))]


def blocks(page):
    return re.findall(r"```(\w+)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page):
    lines = [line for kind, text in blocks(page) if kind == "sh" for line in text.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&")]


COMMANDS = [
    pytest.param(command, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, command in enumerate(commands(page))
    if command.startswith("bassdiff ")
]


def test_there_are_pages_and_commands():
    assert len(PAGES) > 4 and len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command):
    arguments, rest = cli.parser().parse_known_args(shlex.split(command)[1:])
    assert all(word.startswith("--config.") for word in rest)
    config = getattr(arguments, "config", None)
    if config:
        assert read_config(config, rest).objective == arguments.objective


def test_ci_runs_the_first_two_commands():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    stated = commands(README)
    assert stated[:2] == ["pip install -e .", "bassdiff generate"]
    for command in (*stated[:2], "pip install -e '.[test]'", "pytest"):
        assert command in stated
        assert re.search(rf"^(\(.*&& )?{re.escape(command)}\)?$", script, re.MULTILINE), command


# Untrained weights play at any level.
@pytest.mark.filterwarnings("default:the bass came out")
def test_python_runs(tmp_path, monkeypatch, player):
    (code,) = [text for kind, text in blocks(README) if kind == "python"]
    tone = 0.3 * np.sin(2 * np.pi * 110 * np.arange(2 * 22050) / 22050)
    io.write(tmp_path / "song.wav", np.stack([tone, tone], axis=1), 22050)
    io.write(tmp_path / "my_bass.wav", tone, 22050)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bassdiff, "load", lambda: player, raising=False)
    names = {}
    exec(code, names)
    assert names["bass"].shape == tone.shape
    assert np.all(np.isfinite(names["bass"]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\((bassdiff/docs/[^)]+)\)", README.read_text(encoding="utf-8")))
    assert linked == {path.relative_to(ROOT).as_posix() for path in PAGES[1:]}


def test_the_architecture_lists_every_room():
    rooms = {path.parent.name for path in (ROOT / "bassdiff").glob("*/__init__.py")}
    page = (ROOT / "bassdiff" / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `bassdiff/(\w+)`", page, re.MULTILINE)) == rooms - {"examples"}


def test_what_the_package_hands_out_exists():
    assert set(bassdiff.__all__) <= set(dir(bassdiff))
    for name in bassdiff.__all__:
        assert getattr(bassdiff, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'bassist'"):
        _ = bassdiff.bassist
