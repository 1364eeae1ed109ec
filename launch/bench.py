"""Measures this machine, then bassdiff on it: `python -m launch.bench --out bench.json`.

`python -m launch.bench train` measures training instead, see `training_bench.py`;
`python -m launch.bench batch` how many songs an hour there are at several batch sizes, and
`python -m launch.bench jobs` the speed and memory of `bassdiff batch`, see `batch_bench.py`; and
`python -m launch.bench memory` what an hour of song and many songs take, see `memory_bench.py`.

Everything is measured in one run and compute is given as a share of the machine's own
matrix-product rate, so that figures of slow, fast and shared machines can be compared.
Times are medians of several runs after a warm-up.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

import bassdiff
from bassdiff.audio.io import SAMPLE_RATE_HZ, read_mono
from bassdiff.diffusion.chain import Chain, chain
from bassdiff.diffusion.denoiser import precondition
from bassdiff.diffusion.editing import Keep
from bassdiff.diffusion.grounding import MixAndStyle, StyleGrounding
from bassdiff.diffusion.guidance import CFG, GUIDANCES, Interval
from bassdiff.diffusion.sampling import make_guidance
from bassdiff.diffusion.settings import Sampling
from bassdiff.diffusion.types import Array, Cond, PyTree
from bassdiff.examples import example_mix
from bassdiff.inference.generator import BassGenerator
from bassdiff.models.unet import UNet
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import Weights, load_weights
from launch.batch_bench import measure_batches, measure_jobs
from launch.memory_bench import measure_memory, peak_memory_mb
from launch.training_bench import measure_training

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
SONG_SECONDS = (10, 15, 20, 23, 30, 40, 45, 50, 60, 70)
# The first is the shortest that is denoised in windows.
LONG_SONG_MINUTES = (15, 30, 45)


def main() -> None:
    """Runs every measurement, prints it and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        default="play",
        choices=("play", "batch", "jobs", "train", "memory"),
    )
    parser.add_argument("--config", default="configs/diffusion.py:small", help="train: of what")
    parser.add_argument("--weights", default="small", help="play, batch, jobs, memory: by whom")
    parser.add_argument("--out", help="JSON file for the figures")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--songs", type=int, default=200, help="memory: how many short ones")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.what == "train":
            figures = measure_training(arguments.config, Path(folder))
        elif arguments.what == "batch":
            figures = measure_batches(arguments.weights, arguments.repeats)
        elif arguments.what == "jobs":
            figures = measure_jobs(arguments.weights, arguments.repeats, Path(folder))
        elif arguments.what == "memory":
            figures = dict(measure_memory(arguments.weights, arguments.songs))
        else:
            figures = measure(arguments.weights, arguments.repeats, folder)
    for name, value in figures.items():
        print(f"{name:40} {value:.4g}" if isinstance(value, float) else f"{name:40} {value}")
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(figures, indent=1) + "\n")


def measure(weights_name: str, repeats: int, cache_folder: str) -> dict[str, Any]:
    """All figures by name; compiled programs go to the empty `cache_folder`."""
    weights = load_weights(weights_name)
    generator = BassGenerator(weights)
    figures: dict[str, Any] = {
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "bassdiff": bassdiff.__version__,
    }
    figures["matmul_gflops"] = matmul_gflops(repeats)

    unet, params = weights.unet.model, jax.device_put(weights.unet.params)
    cond = Cond(
        jnp.zeros((2, 512, weights.mix_codec.model.num_channels)),
        jnp.ones(2),
        jnp.full(2, 512, jnp.int32),
    )
    denoise = jax.jit(
        lambda p, x, sigma, c: precondition(functools.partial(_apply, unet, p))(x, sigma, c)
    )
    x, sigma = jnp.ones((2, 512, unet.num_channels)), jnp.ones(2)
    compiled = denoise.lower(params, x, sigma, cond).compile()
    gflop = (compiled.cost_analysis() or {})["flops"] / 1e9
    seconds = median_seconds(lambda: compiled(params, x, sigma, cond), repeats)
    figures["unet_gflop_per_512_frames"] = gflop / 2
    figures["unet_gflops"] = gflop / seconds
    figures["unet_share_of_matmul"] = gflop / seconds / figures["matmul_gflops"]

    figures |= guidance_costs(weights, repeats)

    minute = np.tile(read_mono(example_mix()), 3)[: 60 * SAMPLE_RATE_HZ]
    mix_codec, bass_codec = Codec(weights.mix_codec), Codec(weights.bass_codec)
    latents = bass_codec.encode(minute)
    figures["encode_mix_x_real_time"] = 60 / median_seconds(
        lambda: mix_codec.encode(minute), repeats
    )
    figures["encode_bass_x_real_time"] = 60 / median_seconds(
        lambda: bass_codec.encode(minute), repeats
    )
    figures["decode_x_real_time"] = 60 / median_seconds(lambda: bass_codec.decode(latents), repeats)

    def first_minute(name: str) -> None:
        jax.clear_caches()
        started = time.perf_counter()
        with counted_compiles() as durations:
            generator.generate(minute, SAMPLE_RATE_HZ, steps=30)
        figures[f"first_minute_{name}_seconds"] = time.perf_counter() - started
        figures[f"compile_{name}_seconds"] = sum(durations)

    jax.config.update("jax_compilation_cache_dir", cache_folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compilation_cache.reset_cache()
    first_minute("cold")
    figures["generate_x_real_time"] = 60 / median_seconds(
        lambda: generator.generate(minute, SAMPLE_RATE_HZ, steps=30), max(3, repeats // 2)
    )
    first_minute("warm_cache")

    jax.clear_caches()
    with counted_compiles() as count:
        for seconds_long in SONG_SECONDS:
            song = np.resize(minute, seconds_long * SAMPLE_RATE_HZ)
            generator.generate(song, SAMPLE_RATE_HZ, steps=2)
    figures["compiles_over_ten_songs"] = len(count)
    figures["song_seconds"] = list(SONG_SECONDS)
    figures["peak_memory_mb"] = peak_memory_mb()
    return figures | long_songs(generator, minute)


def long_songs(generator: BassGenerator, minute: np.ndarray) -> dict[str, float]:
    """Seconds per minute of song and peak memory, of songs that are denoised in windows.

    In 4 steps, so that the rest of the work counts too. Peak memory never falls, so songs grow.
    """
    figures = {}
    for minutes in LONG_SONG_MINUTES:
        song = np.tile(minute, minutes)
        # The first call compiles; only the second is timed.
        generator.generate(song, SAMPLE_RATE_HZ, steps=2)
        started = time.perf_counter()
        generator.generate(song, SAMPLE_RATE_HZ, steps=4)
        seconds = time.perf_counter() - started
        figures[f"song_of_{minutes}_min_seconds_per_minute"] = seconds / minutes
        figures[f"song_of_{minutes}_min_peak_memory_mb"] = peak_memory_mb()
    return figures


def guidance_costs(weights: Weights, repeats: int) -> dict[str, float]:
    """Time of a guided estimate of 512 frames relative to plain CFG, and CFG's to a doubled batch.

    All are timed in turn, round after round, and the medians of the rounds' ratios are returned,
    so that a machine that is slow for a while is slow for all of them.
    """
    unet, channels = weights.unet.model, weights.mix_codec.model.num_channels
    rng = np.random.default_rng(0)

    def rows(count: int) -> tuple[Any, ...]:
        mix = rng.normal(size=(1, 512, channels)).astype(np.float32)
        x = rng.normal(size=(1, 512, unet.num_channels)).astype(np.float32)
        cond = Cond(np.repeat(mix, count, 0), np.ones(count, np.float32), np.full(count, 512))
        return np.repeat(x, count, 0), np.ones(count, np.float32), cond

    def compiled(links: tuple[Any, ...], count: int) -> Callable[[], Any]:
        def run(params: PyTree, guidance: Chain, x: Array, sigma: Array, cond: Cond) -> Array:
            network = functools.partial(_apply, unet, params)
            return guidance(precondition(network))(x, sigma, cond)

        arguments = (jax.device_put(weights.unet.params), chain(*links), *rows(count))
        program = jax.jit(run).lower(*arguments).compile()
        return lambda: program(*arguments)

    style = np.zeros(unet.num_channels, np.float32)
    sampling = Sampling()
    programs = {
        kind: compiled(make_guidance(dataclasses.replace(sampling, guidance_kind=kind)), 1)
        for kind in GUIDANCES
    }
    programs["interval outside"] = compiled((Interval(CFG(), 2.0, 5.0),), 1)
    programs["mix_and_style"] = compiled((MixAndStyle(),), 1)
    programs["cfg with grounding and edit"] = compiled(
        (CFG(), StyleGrounding(style), Keep(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)))), 1
    )
    programs["doubled batch"] = compiled((), 2)
    rounds: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(2 * repeats + 1):
        for name, program in programs.items():
            started = time.perf_counter()
            jax.block_until_ready(program())
            if number:
                rounds[name].append(time.perf_counter() - started)
    times = {name: np.array(seconds) for name, seconds in rounds.items()}
    costs = {
        f"guidance_{name.replace(' ', '_')}_by_cfg": float(np.median(seconds / times["cfg"]))
        for name, seconds in times.items()
        if name not in ("cfg", "doubled batch")
    }
    by_batch = float(np.median(times["cfg"] / times["doubled batch"]))
    return {**costs, "guidance_cfg_by_doubled_batch": by_batch}


def _apply(unet: UNet, params: PyTree, x: Array, sigma: Array, cond: Cond) -> Array:
    return unet.apply({"params": params}, x, sigma, cond)


def matmul_gflops(repeats: int, size: int = 2048) -> float:
    """The machine's rate for float32 products of square matrices, in GFLOP/s."""
    a = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(jnp.matmul)
    return 2 * size**3 / median_seconds(lambda: product(a, a), 2 * repeats) / 1e9


def median_seconds(function: Callable[[], Any], repeats: int) -> float:
    """Median time of a call with its results ready, after a warm-up call."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - started)
    return float(np.median(times))


@contextlib.contextmanager
def counted_compiles() -> Iterator[list[float]]:
    """Collects the duration of every compilation inside the block."""
    durations: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILE_EVENT:
            durations.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield durations
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


if __name__ == "__main__":
    main()
