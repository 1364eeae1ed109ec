"""What is answered at once: nothing heavy is imported for it."""

import subprocess
import sys

import pytest

HEAVY = ("jax", "flax", "scipy", "librosa", "numba", "matplotlib", "tensorflow")


def imported_by(words):
    """The exit code of a command, what it said, and which heavy modules it brought in."""
    code = (
        "import sys\nfrom bassdiff.cli.main import main\n"
        f"try:\n    code = main({words!r})\nexcept SystemExit as end:\n    code = end.code\n"
        f"print(code or 0, *[m for m in {HEAVY!r} if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    code, *modules = ended.stdout.splitlines()[-1].split()
    return int(code), ended.stdout + ended.stderr, modules


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "usage: bassdiff"),
        (["--version"], 0, "bassdiff 0."),
        (["generate", "--help"], 0, "--guidance"),
        (["generate", "nowhere.wav"], 2, "nowhere.wav: there is no such file"),
        (["generate", "broken.wav"], 2, "broken.wav"),
        (["generate", "--out", "no/such/folder/bass.wav"], 2, "create the folder first"),
    ],
)
def test_answers_come_before_heavy_imports(tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.wav").write_bytes(b"RIFF....WAVEnothing that is sound")
    assert imported_by(words)[0] == code
    assert said in imported_by(words)[1]
    assert imported_by(words)[2] == []


def test_generating_needs_neither_librosa_nor_numba(tmp_path, monkeypatch, tiny_weights):
    monkeypatch.chdir(tmp_path)
    words = ["generate", "--weights", str(tiny_weights), "--steps", "2"]
    code, said, modules = imported_by(words)
    assert code == 0, said
    assert (tmp_path / "bass.png").stat().st_size > 10_000
    assert {"librosa", "numba", "tensorflow"}.isdisjoint(modules)


def test_the_package_runs_as_a_module():
    ended = subprocess.run(
        [sys.executable, "-m", "bassdiff", "--version"], capture_output=True, text=True
    )
    assert ended.returncode == 0 and ended.stdout.startswith("bassdiff 0.")
