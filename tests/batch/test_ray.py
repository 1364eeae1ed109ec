"""A job on a Ray cluster of two machines, one of which is lost while it plays."""

import json
import os
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
NUM_SONGS = 16
pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("default")]
pytest.importorskip("ray", reason="ray is not installed: pip install -e '.[ray]'")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A manifest of songs of several lengths and a bad file."""
    folder = tmp_path_factory.mktemp("catalogue")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(NUM_SONGS - 1):
        time_seconds = np.arange(round((1.5 + 0.5 * (number % 6)) * RATE)) / RATE
        wave = 0.2 * np.sin(2 * np.pi * rng.uniform(150, 400) * time_seconds)
        soundfile.write(folder / f"{number}.wav", wave, RATE)
        lines.append({"id": f"album{number % 2}/{number}", "mix": f"{number}.wav"})
    (folder / "bad.wav").write_bytes((folder / "1.wav").read_bytes()[:3000])
    lines.append({"id": "bad", "mix": "bad.wav"})
    (folder / "songs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "songs.jsonl"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """What the job and all workers have in common."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("programs")),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@pytest.fixture
def cluster(environment, monkeypatch):
    """Two machines of one accelerator each, as far as Ray can tell."""
    from ray.cluster_utils import Cluster

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    machine = {"num_cpus": 2, "resources": {"TPU": 1}, "object_store_memory": 100 << 20}
    running = Cluster(initialize_head=True, head_node_args=machine)
    running.add_node(**machine)
    yield running
    running.shutdown()


@pytest.fixture
def start(catalogue, tiny_weights, environment):
    """Starts a job into a folder, with whatever words besides."""

    def begin(out, *words, address=""):
        command = [sys.executable, "-m", "bassdiff", "batch", catalogue, "--out", out]
        command += ["--weights", tiny_weights, "--steps", "3", "--mixdown", "--midi", *words]
        return subprocess.Popen(
            [*map(str, command)],
            env={**environment, **({"RAY_ADDRESS": address} if address else {})},
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def finish(process):
    errors = process.communicate(timeout=400)[1]
    assert process.returncode == 4, errors
    assert f"1 of {NUM_SONGS} songs were not played" in errors
    return errors


def files(folder):
    """All there is, but for rows: nothing else may be left."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("results-")
    }


def rows(folder):
    """The rows by id; every song has one."""
    lines = [
        json.loads(x)
        for path in sorted(folder.glob("results-*"))
        for x in path.read_text().splitlines()
    ]
    assert len(lines) == len({row["id"] for row in lines}) == NUM_SONGS
    return {row["id"]: row for row in lines}


def test_a_machine_is_lost_and_every_song_arrives_once(tmp_path, start, cluster):
    """First all in one process; then on Ray, where one of two machines is killed at work."""
    finish(start(tmp_path / "whole"))
    out, (_, lost) = tmp_path / "out", (cluster.head_node, next(iter(cluster.worker_nodes)))
    words = ("--engine", "ray", "--accelerator", "tpu", "--stall-seconds", "60")
    process = start(out, *words, address=cluster.address)
    while not list(out.rglob("*.bass.wav")):
        assert process.poll() is None and time.sleep(0.05) is None
    cluster.remove_node(lost, allow_graceful=False)
    finish(process)
    assert files(out) == files(tmp_path / "whole")
    assert [path.name for path in out.rglob(".*")] == []
    assert rows(out) == rows(tmp_path / "whole")
    # What is there is checked by the readers, and not played again.
    said = finish(start(out, *words, address=cluster.address))
    assert "songs are played again" not in said
    assert rows(out) == rows(tmp_path / "whole")


def test_a_killed_job_goes_on_and_a_torn_file_is_made_anew(tmp_path, start, cluster):
    """In one process, on Ray and in one process again: the engines know each other's rows."""
    finish(start(tmp_path / "whole"))
    out = tmp_path / "out"
    words = ("--engine", "ray", "--accelerator", "tpu", "--stall-seconds", "60")
    process = start(out, *words, address=cluster.address)
    while len(list(out.rglob("*.bass.wav"))) < 3:
        assert process.poll() is None and time.sleep(0.02) is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Its workers end with it, if not at once.
    time.sleep(5)
    torn = sorted(out.rglob("*.bass.wav"))[0]
    torn.write_bytes(torn.read_bytes()[:-100])
    finish(start(out, *words, address=cluster.address))
    finish(start(out))
    assert files(out) == files(tmp_path / "whole")
    assert [path.name for path in out.rglob(".*")] == []
