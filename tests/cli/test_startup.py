"""What is answered at once: nothing heavy is imported for it."""

import json
import os
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
        (["generate", ""], 2, "mix is empty; give a name, or leave it out"),
        (["generate", "--style", ""], 2, "style is empty; give a name, or leave it out"),
        (["generate", "--out", ""], 2, "out is empty; give a name, or leave it out"),
        (["generate", "--out", "."], 2, ".: names no file; name one, such as bass.wav"),
        (["generate", "--out", "/"], 2, "/: names no file; name one, such as bass.wav"),
        (["generate", "--out", "loop.wav"], 2, "name a file that no link leads in a circle to"),
        (["generate", "--out", "loop.wav/a.wav"], 2, "create the folder first"),
        (["generate", "loop.wav"], 2, "loop.wav: there is no such file"),
        # The mixdown's name is longer than its own.
        (["generate", "--out", "x" * 250 + ".wav"], 2, "choose a shorter name"),
        (["generate", os.fsdecode(b"caf\xe9.wav")], 2, "there is no such file"),
    ],
)
def test_answers_come_before_heavy_imports(tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.wav").write_bytes(b"RIFF....WAVEnothing that is sound")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    ended, heard, modules = imported_by(words)
    assert ended == code and said in heard and modules == []


def test_generating_needs_neither_librosa_nor_numba(tmp_path, monkeypatch, tiny_weights):
    monkeypatch.chdir(tmp_path)
    words = ["generate", "--weights", str(tiny_weights), "--steps", "2"]
    code, said, modules = imported_by(words)
    assert code == 0, said
    assert (tmp_path / "example-bass.png").stat().st_size > 10_000
    assert {"librosa", "numba", "tensorflow"}.isdisjoint(modules)


def test_the_package_runs_as_a_module():
    ended = subprocess.run(
        [sys.executable, "-m", "bassdiff", "--version"], capture_output=True, text=True
    )
    assert ended.returncode == 0 and ended.stdout.startswith("bassdiff 0.")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_whoever_reads_may_stop_and_know_any_letters(tmp_path, encoding):
    record = {"bassdiff": "1", "seed": 0, "words": {"key": "é" * 9}, "files": {}, "weights": {}}
    (tmp_path / "a.json").write_text(json.dumps({"kind": "bassdiff-record", **record}))
    words = [sys.executable, "-m", "bassdiff", "info", str(tmp_path / "a.json")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    ended = subprocess.run(words, capture_output=True, env=environment)
    assert ended.returncode == 0
    assert ("é" if encoding == "utf-8" else "\\xe9").encode(encoding) in ended.stdout
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert ended.returncode == 0
    assert ended.stderr.decode().splitlines() == [
        f"to make it again: bassdiff generate --like {tmp_path / 'a.json'}"
    ]


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-", "1>&- 2>&-"])
def test_closed_streams_are_no_fault(tmp_path, closed):
    """Nothing meant for one of them is written to another, nor to a file."""
    code = (
        "import os, sys, tqdm\n"
        "from bassdiff.cli.printing import keep_streams\n"
        "keep_streams()\n"
        "file = open('file', 'w')\n"
        "list(tqdm.tqdm(range(3)))\n"
        "print('for the terminal', file=sys.stderr)\n"
        "os.write(2, b'from a library')\n"
        "assert file.fileno() > 2\n"
    )
    words = f'{sys.executable} -c "$CODE" {closed}'
    ended = subprocess.run(
        ["sh", "-c", words],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "CODE": code},
    )
    assert ended.returncode == 0
    assert ended.stdout == b""
    assert (tmp_path / "file").read_bytes() == b""
