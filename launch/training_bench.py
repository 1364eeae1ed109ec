"""Measures training: the loop itself, as `python -m launch.bench train`.

A diffusion model trains on latents of noise, a codec on composed songs. The time that devices wait,
the delay by checkpoints and the utilisation of the machine come from the loop's own log. The growth
of a step with the number of devices is given in collectives and their bytes, from programs compiled
for simulated devices, whose times mean nothing.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
from ml_collections import ConfigDict

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.cli.configs import read_config
from bassdiff.data import store_building
from bassdiff.data.batches import local_batches
from bassdiff.models.features import LATENT_HOP
from bassdiff.pretrained.release import load_codecs
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Stems
from bassdiff.training import recipes
from bassdiff.training.objective import Objective
from bassdiff.training.utilisation import measured_flops, peak_flops

NUM_SONGS, SONG_FRAMES = 64, 2048
NUM_COMPOSED = 4
READ_WHILES, READ_SECONDS = 5, 2.0
NUM_STEPS, LOG_EVERY, SAVE_EVERY = 60, 10, 15
DEVICE_COUNTS = (2, 4, 8)


class _Songs:
    """Names of songs without any sound."""

    def __init__(self, title: str) -> None:
        self.names = [f"{title}{number}" for number in range(NUM_SONGS)]

    def __len__(self) -> int:
        return NUM_SONGS

    def __getitem__(self, index: int) -> Stems:
        silent = np.zeros(1, np.float32)
        return Stems(self.names[index], silent, {"drums": silent}, SAMPLE_RATE_HZ)

    def transposed(self, index: int, semitones: int) -> Stems:
        del semitones
        return self[index]


def measure_training(spec: str, folder: Path) -> dict[str, Any]:
    """Figures of training a diffusion model or an autoencoder, by name.

    Args:
      spec: Its config, `FILE:SIZE`.
      folder: Empty; receives the data and the run.

    Raises:
      InputError: The config is for another objective.
    """
    config = read_config(spec, [])
    build: Callable[[ConfigDict, Path], tuple[Objective, grain.MapDataset]]
    if config.objective == "diffusion":
        _store_noise(config, folder)
        build, crop_samples = recipes.diffusion.build, config.crop_frames * LATENT_HOP
    elif config.objective == "autoencoder":
        config.data.source = f"composed:{NUM_COMPOSED}"
        build, crop_samples = recipes.autoencoder.build, config.crop_samples
    else:
        raise InputError(f"{spec} configures {config.objective}; name diffusion or autoencoder")
    usual_interval = config.checkpoint_every
    config.num_steps, config.warmup_steps, config.log_every = NUM_STEPS, 1, LOG_EVERY
    config.checkpoint_every, config.validate_every = SAVE_EVERY, 10 * NUM_STEPS
    if "evaluate_every" in config:
        config.evaluate_every = 0
    before = peak_flops(jax.local_devices()[0])
    recipes.run(config, folder / "run")
    # The rate of a shared machine drifts: what the loop is compared with is measured around it.
    measured_flops.cache_clear()
    after = peak_flops(jax.local_devices()[0])

    lines = (folder / "run" / "logs" / "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if "seconds_per_step" in record]
    # The first holds what starting up leaves behind.
    steady = {
        name: statistics.median(record[name] for record in records[1:])
        for name in ("seconds_per_step", "model_flops_utilisation", "data_wait_share")
    }
    saving = {record["step"]: record["goodput/checkpoint_seconds"] for record in records}
    # The first save also compiles; the next two are between these records.
    stall = (saving[50] - saving[20]) / 2
    step_seconds = steady["seconds_per_step"]
    audio_seconds = config.batch_size * crop_samples / SAMPLE_RATE_HZ
    _, dataset = build(config, folder / "run")
    read = _batches_per_second(dataset, config.batch_size)
    figures = {
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "config": spec,
        "steps_per_second": 1.0 / step_seconds,
        "audio_seconds_per_second": audio_seconds / step_seconds,
        "model_flops_utilisation": steady["model_flops_utilisation"]
        * 2
        * before
        / (before + after),
        "peak_gflops_before_and_after": [round(before / 1e9, 1), round(after / 1e9, 1)],
        "data_wait_share": steady["data_wait_share"],
        "read_audio_seconds_per_second": audio_seconds * read,
        "read_times_training": read * step_seconds,
        "compile_seconds": records[-1]["goodput/compile_seconds"],
        "first_checkpoint_stall_seconds": saving[20],
        "checkpoint_stall_seconds": stall,
        "checkpoint_stall_share": stall / (usual_interval * step_seconds),
    }
    if config.objective == "diffusion":
        figures["weak_scaling"] = {
            str(count): _collectives(spec, count, config.batch_size, folder)
            for count in DEVICE_COUNTS
        }
    return figures


def _store_noise(config: ConfigDict, folder: Path) -> None:
    """Latents of nothing for a config, in both splits."""
    codecs = dict(zip(("mix", "bass"), load_codecs(config.data.codecs), strict=True))

    def noise(source: Any, song: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        del source, song
        latents = {
            name: rng.normal(size=(1, SONG_FRAMES, codec.model.num_channels)).astype(np.float16)
            for name, codec in codecs.items()
        }
        return {**latents, "active": np.ones((1, SONG_FRAMES), bool)}

    about = {"codecs": {name: codec.fingerprint for name, codec in codecs.items()}}
    for key, title in (("latents", "seen"), ("validation_latents", "unseen")):
        store_building.build(folder / key, _Songs(title), noise, about, seed=0)
        config.data[key] = str(folder / key)


def _batches_per_second(dataset: grain.MapDataset, batch_size: int) -> float:
    """Batches read per second without training; the median of several measurements."""
    batches = local_batches(dataset, batch_size, 0, (0, 1))
    next(batches)
    rates = []
    for _ in range(READ_WHILES):
        started, count = time.perf_counter(), 0
        while time.perf_counter() < started + READ_SECONDS:
            next(batches)
            count += 1
        rates.append(count / (time.perf_counter() - started))
    batches.close()
    return statistics.median(rates)


def _collectives(spec: str, num_devices: int, rows_per_device: int, folder: Path) -> dict[str, Any]:
    """Collectives of a step with a batch that grows with the devices."""
    out = folder / f"{num_devices}.json"
    words = ["--config", spec, "--topology", f"cpu:{num_devices}", "--out", str(out)]
    words.append(f"--config.batch_size={rows_per_device * num_devices}")
    subprocess.run(
        [sys.executable, "-m", "launch.roofline", *words], check=True, stdout=subprocess.DEVNULL
    )
    return dict(json.loads(out.read_text())["collectives"])
