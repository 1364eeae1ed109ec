"""`bassdiff evaluate`: what it checks, prints, writes and exits with."""

import pytest

from bassdiff.cli import main as cli
from bassdiff.evaluation.tasks.ablation import CONTEXTS
from bassdiff.metrics.table import Column, Row, Score, Table
from bassdiff.runtime.errors import InputError

# Untrained weights may play louder than full scale, and nothing at all to silence.
pytestmark = pytest.mark.filterwarnings("default::UserWarning")


@pytest.fixture
def command(tmp_path, folder, music_table, request_of, monkeypatch):
    """`bassdiff evaluate` in a folder of its own, with the options of `music_table`."""
    monkeypatch.chdir(tmp_path)
    request = request_of(folder)
    words = ["--data", request.data, "--max-seconds", "6", "--clips", "3", "--clip-seconds", "3"]
    words += ["--steps", "2", "--weights", request.weights, "--judge", request.judge]
    words += ["--out", str(folder), "--bank", request.bank]
    words += ["--cache", request.source["cache_dir"]]
    return lambda task, *more: cli.main(["evaluate", task, *words, *more])


def test_the_command_line_prints_and_reports(command, capsys, tmp_path):
    # Before the other questions, whose tables would all be drawn.
    assert command("matching", "--report", "page") == 0
    assert "retrieval@1" in capsys.readouterr().out
    assert (tmp_path / "page" / "index.html").stat().st_size > 10_000
    assert command("listen", "--page", "test") == 0
    assert (tmp_path / "test" / "index.html").is_file()


def test_the_command_line_checks_what_it_can_before_it_plays(
    command, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr("bassdiff.evaluation.tasks.run.run", lambda *a: pytest.fail("ran"))
    (tmp_path / "file").write_text("")
    for words, message in (
        (["music", "--report", "file"], "file: cannot be made a folder"),
        (["music", "--report", "page", "--training-log", "no.jsonl"], "no.jsonl: cannot be read"),
        (["music", "--fail-if-gap-below", "0.2"], "is a gate of ablation"),
        (["music", "--pairs", "x"], "name the songs to play to"),
    ):
        assert command(*words) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "page").exists()
    for gap in ("0.5", "-0.5", "nan"):
        with pytest.raises(SystemExit, match="2"):
            command("ablation", "--fail-if-gap-below", gap)
        assert "is not between -0.5 and 0.5" in capsys.readouterr().err


def test_an_error_begins_on_a_line_of_its_own(command, capsys, monkeypatch):
    def fail(task, request, progress):
        for _ in progress(range(9), "songs"):
            raise InputError("the third song is missing; add it")

    monkeypatch.setattr("bassdiff.evaluation.tasks.run.run", fail)
    assert command("music") == 2
    before, _ = capsys.readouterr().err.split("bassdiff: the third")
    # The bar has taken its line back.
    assert "songs" in before and before.endswith("\r")


def test_the_command_line_gates(command, capsys, monkeypatch):
    rows = tuple(Row(name, name, "anchor", {"context_wins": Score(0.7, 0, 1)}) for name in CONTEXTS)
    table = Table("ablation", "", {}, (Column("context_wins", "wins", "wins"),), rows)
    monkeypatch.setattr("bassdiff.evaluation.tasks.run.run", lambda *a: table)
    assert command("ablation", "--fail-if-gap-below", "0.19") == 0
    assert command("ablation", "--fail-if-gap-below", "0.21") == 3
    assert "does not follow the mix clearly enough" in capsys.readouterr().err
