"""The README holds: its commands parse, its Python runs, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import bassdiff
from bassdiff.audio import io
from bassdiff.cli.main import main as cli
from bassdiff.inference import generator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
SHELL = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
COMMANDS = [part.strip() for line in SHELL for part in line.split("&&")]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("bassdiff ")])
def test_commands_parse(command):
    arguments, rest = cli.parser().parse_known_args(shlex.split(command)[1:])
    assert all(word.startswith("--config.") for word in rest)
    config = getattr(arguments, "config", None)
    if config:
        assert cli.read_config(str(ROOT / config), rest).objective == arguments.objective


def test_ci_runs_the_first_two_commands():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert COMMANDS[:2] == ["pip install -e .", "bassdiff generate"]
    for command in (*COMMANDS[:2], "pip install -e '.[test]'", "pytest"):
        assert command in COMMANDS
        assert re.search(rf"^(\(.*&& )?{re.escape(command)}\)?$", script, re.MULTILINE), command


# Untrained weights play at any level.
@pytest.mark.filterwarnings("default:the bass came out")
def test_python_runs(tmp_path, monkeypatch, tiny_weights):
    (code,) = [text for kind, text in BLOCKS if kind == "python"]
    tone = 0.3 * np.sin(2 * np.pi * 110 * np.arange(2 * 22050) / 22050)
    io.write(tmp_path / "song.wav", np.stack([tone, tone], axis=1), 22050)
    io.write(tmp_path / "my_bass.wav", tone, 22050)
    monkeypatch.chdir(tmp_path)
    tiny = generator.load(tiny_weights)
    monkeypatch.setattr(bassdiff, "load", lambda: tiny, raising=False)
    names = {}
    exec(code, names)
    assert names["bass"].shape == tone.shape
    assert np.all(np.isfinite(names["bass"]))


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_house_lists_every_room():
    rooms = {path.parent.name for path in (ROOT / "bassdiff").glob("*/__init__.py")}
    listed = set(re.findall(r"`bassdiff/(\w+)`", README))
    assert rooms - listed == {"examples"}
