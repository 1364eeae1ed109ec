"""Songs to play to, and jobs of the tiny weights: in this process, and in others."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import soundfile

from bassdiff.batch import job as jobs
from bassdiff.batch.order import Order
from bassdiff.batch.player import Player

ROOT = Path(__file__).parents[2]
RATE = 22050
ORDERED = {field.name for field in dataclasses.fields(Order)}


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """Eight would compile everything eight times."""
    device = jax.local_devices()[0]
    monkeypatch.setattr(jax, "local_devices", lambda *_, **__: [device])


@pytest.fixture
def plain_decoder(monkeypatch):
    """What a codec takes seconds for, in no time; its basses differ where latents do."""

    def decode(self, latents):
        return [np.repeat(np.tanh(rows.mean(axis=1)), 2048).astype(np.float32) for rows in latents]

    monkeypatch.setattr(Player, "decode", decode)


@pytest.fixture(scope="session")
def songs(tmp_path_factory):
    """Five short songs of three lengths."""
    folder = tmp_path_factory.mktemp("songs")
    for number in range(5):
        rng = np.random.default_rng(number)
        time = np.arange(round((1.2 + 0.4 * (number % 3)) * RATE)) / RATE
        notes = np.sin(2 * np.pi * rng.uniform(150, 400) * time) * (np.sin(17 * time) > 0)
        soundfile.write(folder / f"song{number}.wav", 0.2 * notes, RATE)
    return folder


@pytest.fixture
def play(tiny_weights):
    """Runs a job; returns its tally."""

    def run(*names, out, **how):
        how = {"weights": str(tiny_weights), "settings": {"steps": 3}, **how}
        order = {name: how.pop(name) for name in how.keys() & ORDERED}
        job = jobs.Job([str(name) for name in names], str(out), Order(**order), **how)
        return jobs.run(job, lambda count: lambda tally: None)

    return run


@pytest.fixture(scope="session")
def contents():
    """All that a job has left, but for its rows: bytes by name."""

    def read(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith("results-")
        }

    return read


@pytest.fixture(scope="session")
def rows():
    """The rows of a folder, in their order."""

    def read(folder):
        lines = [
            line for path in sorted(folder.glob("results-*.jsonl")) for line in path.open("rb")
        ]
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    return read


@pytest.fixture(scope="session")
def write_catalogue():
    """Writes songs of some lengths and a bad file, all in two albums; returns their manifest."""

    def write(folder, lengths_seconds, rate_hz=16000):
        rng = np.random.default_rng(0)
        lines = []
        for number, seconds in enumerate(lengths_seconds):
            time = np.arange(round(seconds * rate_hz)) / rate_hz
            wave = 0.2 * np.sin(2 * np.pi * rng.uniform(150, 400) * time)
            soundfile.write(folder / f"{number}.wav", wave, rate_hz)
            lines.append({"id": f"album{number % 2}/{number}", "mix": f"{number}.wav"})
        (folder / "bad.wav").write_bytes((folder / "1.wav").read_bytes()[:3000])
        lines.append({"id": "bad", "mix": "bad.wav"})
        table = folder / "songs.jsonl"
        table.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return table

    return write


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Of the processes that a module starts, which share their programs."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("programs")),
    }


@pytest.fixture(scope="module")
def start(tiny_weights, environment):
    """Starts `bassdiff batch` in a process of its own, with whatever words besides."""

    def begin(songs, out, *words, prefix=(), **variables):
        command = [sys.executable, "-m", "bassdiff", "batch", songs, "--out", out]
        command += ["--weights", tiny_weights, *words]
        return subprocess.Popen(
            [*prefix, *map(str, command)],
            env={**environment, **variables},
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture(scope="session")
def finish():
    """Waits for a job of a catalogue, all but one of whose songs are played; what it has said."""

    def wait(process, num_songs, seconds=400):
        errors = process.communicate(timeout=seconds)[1]
        assert process.returncode == 4, errors
        assert f"1 of {num_songs} songs were not played" in errors
        return errors

    return wait
