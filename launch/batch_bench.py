"""Songs at once against songs one by one: `python -m launch.bench batch` and `jobs`."""

from __future__ import annotations

import functools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, read_mono, write
from bassdiff.batch.job import Job, run
from bassdiff.batch.order import Order
from bassdiff.examples import example_mix
from bassdiff.inference.generator import BassGenerator
from bassdiff.inference.inputs import Task
from bassdiff.pretrained.release import load_weights
from launch.memory_bench import peak_memory_mb

BATCH_SIZES = (1, 4, 8, 16)
_SONG_SECONDS = 24
_SONGS = 8
_SHORT_SONGS = 24
# Memory hardly depends on it.
_STEPS = "2"


def measure_batches(weights_name: str, rounds: int = 5) -> dict[str, Any]:
    """Songs an hour and peak memory by batch size: songs of 24 s, in the weights' own settings.

    Memory only grows, so the batches do. Sizes take turns, round after round, so that a slow moment
    is everybody's: songs an hour are of the median round, and what a batch gains is the median of
    the rounds' ratios to single songs. Processor time hardly depends on what else the machine does.
    """
    generator = BassGenerator(load_weights(weights_name))
    song = _song()
    figures: dict[str, Any] = {"device": jax.devices()[0].device_kind, "rounds": rounds}
    seconds: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    busy: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    for number in range(rounds + 1):
        for size in BATCH_SIZES:
            tasks = [Task(song, SAMPLE_RATE_HZ, seed=i) for i in range(size)]
            taken, worked = _timed(functools.partial(generator.generate_batch, tasks))
            if number:
                seconds[size].append(taken / size)
                busy[size].append(worked / size)
            else:
                # The first call compiles.
                figures[f"batch_{size}_peak_memory_mb"] = peak_memory_mb()
    for size in BATCH_SIZES:
        figures[f"batch_{size}_songs_per_hour"] = 3600 / float(np.median(seconds[size]))
        figures[f"batch_{size}_x_real_time"] = _SONG_SECONDS / float(np.median(seconds[size]))
        figures[f"batch_{size}_cpu_seconds_per_song"] = float(np.median(busy[size]))
        figures[f"batch_{size}_by_single_songs"] = float(
            np.median(np.divide(seconds[1], seconds[size]))
        )
    return figures


def measure_jobs(weights: str, rounds: int, folder: Path) -> dict[str, Any]:
    """A job of 8 songs of 24 s against one song after the other, and a job with an hour in it.

    Both read files and write basses. The generator is loaded before; the job loads the weights
    within its time, and writes records besides. They take turns, and ratios are of one round.
    """
    songs = folder / "songs"
    songs.mkdir()
    for number in range(_SONGS):
        write(songs / f"{number}.wav", _song(), SAMPLE_RATE_HZ)
    generator = BassGenerator(load_weights(weights))

    def one_by_one() -> None:
        for number in range(_SONGS):
            mix = read_mono(songs / f"{number}.wav")
            bass = generator.generate(mix, SAMPLE_RATE_HZ, seed=number)
            write(folder / "bass.wav", bass, SAMPLE_RATE_HZ)

    idle: list[float] = []

    def at_once() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            job = Job([str(songs)], out, Order(weights))
            idle.append(run(job, lambda count: lambda tally: None).idle_share)

    figures: dict[str, Any] = {"device": jax.devices()[0].device_kind, "rounds": rounds}
    ways = {"one_by_one": one_by_one, "at_once": at_once}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            taken = _timed(way)
            # The first call compiles.
            times[name] += [taken] if number else []
    for name in ways:
        seconds, busy = np.median(times[name], axis=0)
        figures[f"{name}_seconds_per_song"] = float(seconds) / _SONGS
        figures[f"{name}_cpu_seconds_per_song"] = float(busy) / _SONGS
    ratios = np.divide(times["one_by_one"], times["at_once"])
    figures["speed_by_one_by_one"], figures["cpu_by_one_by_one"] = map(
        float, np.median(ratios, axis=0)
    )
    figures["idle_share"] = float(np.median(idle[1:]))
    return figures | _memory(weights, folder)


def _memory(weights: str, folder: Path) -> dict[str, float]:
    """Peaks of the command: short songs only, and then with one of an hour, stereo, among them."""
    songs = folder / "many"
    songs.mkdir()
    mix = _song()
    for number in range(_SHORT_SONGS):
        write(songs / f"{number:02}.wav", mix[: (5 + number % 20) * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ)
    figures = {}
    for name in ("short_songs", "with_an_hour"):
        if name == "with_an_hour":
            hour = np.resize(mix, 3600 * SAMPLE_RATE_HZ)
            write(songs / "12-hour.flac", np.stack([hour, hour], axis=1), SAMPLE_RATE_HZ)
            del hour
        command = [sys.executable, "-m", "bassdiff", "batch", songs, "--out", folder / name]
        command += ["--weights", weights, "--steps", _STEPS]
        subprocess.run(list(map(str, command)), check=True)
        # Of all children, the peak only grows, so the jobs do.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        figures[f"{name}_peak_memory_mb"] = peak
    short, long = figures.values()
    return {**figures, "an_hour_above_short_songs_mb": long - short}


def _song() -> np.ndarray:
    return np.resize(read_mono(example_mix()), _SONG_SECONDS * SAMPLE_RATE_HZ)


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and seconds of the processor."""
    started, worked = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - worked
