"""Songs to play to, and jobs of the tiny weights."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import soundfile

from bassdiff.batch import job as jobs
from bassdiff.batch.order import Order
from bassdiff.batch.player import Player

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


@pytest.fixture
def contents():
    """All that a job has left, but for its rows: bytes by name."""

    def read(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith("results-")
        }

    return read


@pytest.fixture
def rows():
    """The rows of a folder, in their order."""

    def read(folder):
        lines = [
            line for path in sorted(folder.glob("results-*.jsonl")) for line in path.open("rb")
        ]
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    return read
