"""A job that is killed again and again ends as if it had not been."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
RATE = 16000
pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A manifest of 24 songs in two folders, among them a long one and a bad file."""
    folder = tmp_path_factory.mktemp("catalogue")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(23):
        seconds = 120.0 if number == 4 else 1.5 + 0.5 * (number % 11)
        time_seconds = np.arange(round(seconds * RATE)) / RATE
        wave = 0.2 * np.sin(2 * np.pi * rng.uniform(150, 400) * time_seconds)
        soundfile.write(folder / f"{number}.wav", wave, RATE)
        lines.append({"id": f"album{number % 2}/{number}", "mix": f"{number}.wav"})
    (folder / "bad.wav").write_bytes((folder / "1.wav").read_bytes()[:3000])
    lines.append({"id": "bad", "mix": "bad.wav"})
    (folder / "songs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "songs.jsonl"


@pytest.fixture(scope="module")
def start(catalogue, tiny_weights, tmp_path_factory):
    """Starts a job into a folder, with whatever words besides."""
    programs = tmp_path_factory.mktemp("programs")

    def begin(out, *words, prefix=()):
        command = [sys.executable, "-m", "bassdiff", "batch", catalogue, "--out", out]
        command += ["--weights", tiny_weights, "--steps", "4", "--mixdown", "--midi", *words]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": str(programs),
        }
        return subprocess.Popen(
            [*prefix, *map(str, command)], env=environment, stderr=subprocess.PIPE, text=True
        )

    return begin


def finish(process):
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 4, errors
    assert "1 of 24 songs were not played" in errors


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """The folder of an uninterrupted job, and how long it took with its programs compiled."""
    folder = tmp_path_factory.mktemp("whole")
    finish(start(folder / "first"))
    begun = time.monotonic()
    finish(start(folder / "out"))
    seconds = time.monotonic() - begun
    shutil.rmtree(folder / "first")
    return folder / "out", seconds


def files(folder):
    """All there is, but for rows: nothing else may be left."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("results-")
    }


def rows(folder):
    lines = [x for path in sorted(folder.glob("results-*")) for x in path.open("rb")]
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(tmp_path, start, whole):
    expected, seconds = whole
    chance, kills, torn = random.Random(0), 0, None

    def written():
        return sorted((tmp_path / "out").rglob("*.bass.wav"))

    for turn in range(6):
        before, wait = len(written()), 0.3 * seconds
        process = start(tmp_path / "out")
        if turn % 2:
            # Most of the time is the start's: only what has written something is in the middle.
            while process.poll() is None and len(written()) == before:
                time.sleep(0.01)
            wait = 0.05 * seconds
        try:
            process.communicate(timeout=chance.uniform(0.0, wait))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        if written() and torn is None:
            # As a disk may leave a file when the machine goes down.
            torn = written()[0]
            torn.write_bytes(torn.read_bytes()[:-100])
    assert kills >= 2 and torn is not None
    finish(start(tmp_path / "out"))
    assert files(tmp_path / "out") == files(expected)
    assert [path.name for path in (tmp_path / "out").rglob(".*")] == []
    found = rows(tmp_path / "out")
    torn_id = str(torn.relative_to(tmp_path / "out")).removesuffix(".bass.wav") if torn else ""
    # Every song has one row, but for the one whose file was damaged after its row was written.
    assert sorted({row["id"] for row in found}) == sorted(row["id"] for row in rows(expected))
    once = [row["id"] for row in found if row["id"] != torn_id]
    assert len(once) == len(set(once))
    last = {row["id"]: row for row in found}
    assert last == {row["id"]: row for row in rows(expected)}


def test_asked_to_end_it_leaves_nothing_half_done_and_goes_on(tmp_path, start, whole):
    expected, _ = whole
    out = tmp_path / "out"
    process = start(out)
    while not list(out.glob("results-*")):
        assert process.poll() is None and time.sleep(0.01) is None
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 42, errors
    assert "the same command continues" in errors
    assert [path.name for path in out.rglob(".*")] == []
    finish(start(out))
    assert files(out) == files(expected)


def test_a_full_disk_is_told_and_the_same_command_goes_on(tmp_path, start, whole):
    expected, _ = whole
    out = tmp_path / "out"
    # A file cannot grow beyond this many bytes, of which the long song's needs more.
    process = start(out, prefix=("bash", "-c", 'ulimit -f 600; trap "" XFSZ; exec "$@"', "limited"))
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 2, errors
    assert "cannot be written (file too large); free some space" in errors
    assert [path.name for path in out.rglob(".*")] == []
    finish(start(out))
    assert files(out) == files(expected)
