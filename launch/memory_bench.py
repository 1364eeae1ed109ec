"""Memory of long songs and of many songs: `python -m launch.bench memory`, see `bench.py`."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from bassdiff.audio.io import SAMPLE_RATE_HZ, read_mono
from bassdiff.examples import example_mix
from bassdiff.inference.generator import load

# Memory does not depend on how many there are.
_STEPS = 2
_MANY_SECONDS = 5
_LONG_MINUTES = (10, 60)


def peak_memory_mb() -> float:
    """The most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024**2)


def held_memory_mb() -> float:
    """What it holds now; of Linux."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1024**2


def measure_memory(weights: str, num_songs: int) -> dict[str, float]:
    """Peaks of a song of ten minutes and of one of an hour, and what many short songs leave behind.

    Peaks only grow, so the songs do. In Python mixes are mono; the song and its bass, which a
    caller holds, are 635 MB each of an hour. On the command line they are files of stereo.

    Args:
      weights: By whom.
      num_songs: How many short songs.
    """
    generator = load(weights)
    figures = {"loaded_mb": peak_memory_mb()}
    minute = np.resize(read_mono(example_mix()), 60 * SAMPLE_RATE_HZ)
    short = minute[: _MANY_SECONDS * SAMPLE_RATE_HZ]
    held = []
    for number in range(num_songs):
        generator.generate(short, SAMPLE_RATE_HZ, steps=_STEPS, seed=number)
        held.append(held_memory_mb())
    figures["songs"] = num_songs
    figures["held_after_a_tenth_of_them_mb"] = held[num_songs // 10]
    figures["held_after_all_of_them_mb"] = held[-1]
    for minutes in _LONG_MINUTES:
        generator.generate(np.tile(minute, minutes), SAMPLE_RATE_HZ, steps=_STEPS)
        figures[f"song_of_{minutes}_min_peak_mb"] = peak_memory_mb()
    first, last = (figures[f"song_of_{minutes}_min_peak_mb"] for minutes in _LONG_MINUTES)
    figures["an_hour_above_ten_minutes_mb"] = last - first
    with tempfile.TemporaryDirectory() as folder:
        first, last = (_command_peak_mb(minute, n, weights, Path(folder)) for n in _LONG_MINUTES)
    return {
        **figures,
        **{
            f"command_of_{minutes}_min_peak_mb": peak
            for minutes, peak in zip(_LONG_MINUTES, (first, last), strict=True)
        },
        "command_an_hour_above_ten_minutes_mb": last - first,
    }


def _command_peak_mb(minute: np.ndarray, minutes: int, weights: str, folder: Path) -> float:
    """The most memory of `bassdiff generate` on a file of stereo; call it with growing ones."""
    path = folder / f"{minutes}.wav"
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 2, "PCM_16") as file:
        for _ in range(minutes):
            file.write(np.stack([minute, 0.9 * np.roll(minute, 5)], axis=1))
    words = ["generate", path, "--weights", weights, "--steps", _STEPS, "--out", folder / "a.wav"]
    command = [sys.executable, "-m", "bassdiff", *words, "--overwrite"]
    subprocess.run(list(map(str, command)), check=True, stderr=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024**2)
