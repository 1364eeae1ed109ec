"""Estimates how a model would run on a slice: memory, work and the best possible speed.

    python -m launch.roofline --config configs/diffusion.py:base --topology v5e:4x4
    python -m launch.roofline generate --minutes 10 --rows 1 --topology v5e:2x2

Training steps and sampling steps are compiled by the compiler for TPUs, which needs no TPU
(`pip install -e '.[tpu]'`). The roofline follows from its figures for a program: a step takes at
least the time of its floating-point work, of its traffic with HBM and of its communication. Nothing
is run. `--topology cpu:16` compiles for that many simulated CPU devices, to see the collectives
without the TPU compiler; its figures of memory do not apply to TPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.chips import CHIPS, Chip
from launch.compiled_text import instructions

if TYPE_CHECKING:
    import jax
    from ml_collections import ConfigDict


# An all-reduce is a reduce-scatter and an all-gather: its result passes the links twice.
_PASSES = {"all-reduce": 2.0}


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the figures of one device, and writes them as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", choices=["train", "generate"], default="train")
    parser.add_argument("--config", default="configs/diffusion.py:base", metavar="FILE:SIZE")
    parser.add_argument("--topology", default="v5e:4x4", help="v5e:4x4, v6e:4x4, ..., or cpu:16")
    parser.add_argument("--fsdp", type=int, default=1, help="of training")
    parser.add_argument("--minutes", type=float, default=1.0, help="of each song to generate for")
    parser.add_argument("--rows", type=int, default=8, help="songs at once on each device")
    parser.add_argument("--out", type=Path, metavar="FILE")
    arguments, overrides = parser.parse_known_args(argv)
    kind, _, shape = arguments.topology.partition(":")
    if kind == "cpu":
        # Before jax is imported, which reads them once.
        flags = f"--xla_force_host_platform_device_count={shape} --xla_backend_optimization_level=0"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
    from bassdiff.cli.configs import read_config

    config = read_config(arguments.config, overrides)
    what: dict[str, Any]
    started = time.perf_counter()
    if arguments.program == "train":
        program, what = compiled_training(config, arguments.topology, arguments.fsdp)
    else:
        program, what = compiled_generation(
            config, arguments.topology, arguments.minutes, arguments.rows
        )
    figures = {
        "program": arguments.program,
        "config": arguments.config,
        "topology": arguments.topology,
        **what,
        **program_figures(program, what["model_gflop_per_device"] * 1e9, CHIPS.get(kind)),
        "compile_seconds": round(time.perf_counter() - started, 1),
    }
    for name, value in figures.items():
        print(f"{name:32} {value}")
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")


def compiled_training(
    config: ConfigDict, topology: str, fsdp: int
) -> tuple[jax.stages.Compiled, dict[str, Any]]:
    """A compiled training step on a slice, and its description."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import AxisType, Mesh

    from bassdiff.pretrained.codec import Codec
    from bassdiff.pretrained.release import load_codecs
    from bassdiff.training import sharding
    from bassdiff.training.loop import jitted_step
    from bassdiff.training.recipes import diffusion

    mix_codec, bass_codec = load_codecs(config.data.codecs)
    sizes = {"bass": bass_codec.model.num_channels, "mix": mix_codec.model.num_channels}
    sizes["reference"] = sizes["bass"]
    nothing = {
        name: np.zeros((1, config.crop_frames, size), np.float32) for name, size in sizes.items()
    }
    objective = diffusion.new_objective(
        config, diffusion.new_model(config, bass_codec), Codec(bass_codec), nothing, bindings={}
    )
    devices = devices_of(topology)
    data = len(devices) // fsdp
    mesh = Mesh(
        sharding.arranged(devices, data, fsdp), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2
    )
    key = jax.random.key(0)
    shapes = jax.eval_shape(objective.init, key)
    shardings = sharding.state_sharding(shapes, mesh)
    state = jax.tree.map(_placed, shapes, shardings)
    rows, crop = sharding.batch_sharding(mesh), (config.batch_size, config.crop_frames)
    batch = {
        name: jax.ShapeDtypeStruct((*crop, size), jnp.float32, sharding=rows)
        for name, size in sizes.items()
    }
    with jax.set_mesh(mesh):
        program = jitted_step(objective, key, shardings).lower(state, batch).compile()
    return program, {
        "mesh": f"data={data}, fsdp={fsdp}",
        "parameters": _count(shapes.params),
        "batch_size": config.batch_size,
        "remat": config.model.remat,
        "keep_products": config.model.keep_products,
        "model_gflop_per_device": objective.model_flops(config.batch_size) / len(devices) / 1e9,
    }


def compiled_generation(
    config: ConfigDict, topology: str, minutes: float, rows: int
) -> tuple[jax.stages.Compiled, dict[str, Any]]:
    """A compiled step of sampling with guidance on a slice, and its description."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

    from bassdiff.audio.io import SAMPLE_RATE_HZ
    from bassdiff.diffusion.generation import advance_requests, frame_bucket
    from bassdiff.diffusion.request import Request, blank
    from bassdiff.diffusion.sampling import make_guidance, make_solver, make_window, noise_levels
    from bassdiff.diffusion.settings import Sampling
    from bassdiff.diffusion.types import Cond
    from bassdiff.models.features import LATENT_HOP
    from bassdiff.pretrained.codec import Codec
    from bassdiff.pretrained.release import load_codecs
    from bassdiff.training.recipes import diffusion

    mix_codec, bass_codec = load_codecs(config.data.codecs)
    model = diffusion.new_model(config, bass_codec)
    devices = devices_of(topology)
    mesh = Mesh(np.asarray(devices), ("data",), axis_types=(AxisType.Auto,))
    by_row = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())

    frames = frame_bucket(int(minutes * 60.0 * SAMPLE_RATE_HZ / LATENT_HOP))
    sampling = Sampling(guidance_kind="cfg", guidance=2.5)
    solver = make_solver(sampling)
    num_mix_channels, num_rows = mix_codec.model.num_channels, rows * len(devices)
    request = Request.plain(
        np.zeros((num_rows, frames, num_mix_channels), np.float32),
        noise_levels(sampling),
        model.num_channels,
        make_guidance(sampling),
    )

    def inputs(num_frames: int) -> tuple[Any, Any, Cond]:
        mix = jnp.zeros((1, num_frames, num_mix_channels))
        cond = Cond(mix, jnp.ones(1), jnp.full(1, num_frames, jnp.int32))
        return jnp.zeros((1, num_frames, model.num_channels)), jnp.ones(1), cond

    params = jax.eval_shape(lambda: model.init(jax.random.key(0), *inputs(config.crop_frames)))
    layout = Codec(bass_codec).layout
    with jax.set_mesh(mesh):
        program = advance_requests.lower(
            model,
            make_window(sampling, frames, LATENT_HOP / SAMPLE_RATE_HZ),
            jax.tree.map(lambda leaf: _placed(leaf, whole), params["params"]),
            solver,
            layout,
            jax.tree.map(lambda leaf: _placed(leaf, by_row), request),
            jax.tree.map(lambda leaf: _placed(leaf, by_row), blank(solver, request)),
            np.int32(0),
            np.int32(1),
        ).compile()
    costs = jax.jit(model.apply).lower(params, *jax.eval_shape(lambda: inputs(frames)))
    # With the mix and without it.
    flops = 2.0 * rows * float((costs.cost_analysis() or {}).get("flops", np.nan))
    return program, {
        "parameters": _count(params),
        "rows_per_device": rows,
        "frames": frames,
        "minutes": round(frames * LATENT_HOP / SAMPLE_RATE_HZ / 60.0, 2),
        "model_gflop_per_device": flops / 1e9,
    }


def program_figures(
    program: jax.stages.Compiled, model_flops: float, chip: Chip | None
) -> dict[str, Any]:
    """The compiler's figures of a program, and the roofline if the chip is known.

    Args:
      program: The compiled program.
      model_flops: Work of the model per device, without recomputation.
      chip: The chip that it was compiled for.
    """
    from bassdiff.training.utilisation import (
        program_bytes,
        program_collectives,
        program_flops,
        program_memory,
    )

    memory, flops = program_memory(program), program_flops(program)
    traffic = sum(one.hbm_bytes for one in instructions(program.as_text() or ""))
    collectives = program_collectives(program)
    sent = sum(_PASSES.get(name, 1.0) * size for name, (_, size) in collectives.items())
    needed = sum(memory.values())
    figures: dict[str, Any] = {
        **{f"{name}_gb": round(size / 1e9, 3) for name, size in memory.items()},
        "needed_gb": round(needed / 1e9, 3),
        "gflop_per_device": round(flops / 1e9, 4),
        "traffic_gb": round(traffic / 1e9, 3),
        "traffic_with_vector_memory_gb": round(program_bytes(program) / 1e9, 3),
        "collectives": {
            name: {"count": count, "mb": round(size / 1e6, 3)}
            for name, (count, size) in collectives.items()
        },
    }
    if chip is None:
        return figures
    # A compiler that leaves products out of its count still has to do the model's.
    seconds = {
        "work": max(flops, model_flops) / chip.flops,
        "traffic": traffic / chip.memory_rate,
        "communication": sent / chip.link_rate,
    }
    apart = max(seconds["work"], seconds["traffic"]) + seconds["communication"]
    return {
        **figures,
        "hbm_gb": chip.memory_bytes / 1e9,
        "fits": needed < chip.memory_bytes,
        "roofline_milliseconds": {name: round(1e3 * s, 3) for name, s in seconds.items()},
        "roofline_mfu": round(model_flops / chip.flops / max(seconds.values()), 3),
        "roofline_mfu_without_overlap": round(model_flops / chip.flops / apart, 3),
    }


def devices_of(topology: str) -> list[Any]:
    """The devices of a TPU slice that is not there, or simulated ones for `cpu:N`."""
    import jax
    from jax.experimental import topologies

    if topology.startswith("cpu"):
        return list(jax.devices())
    # The compiler would ask a metadata server which TPU this machine has.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    try:
        return list(topologies.get_topology_desc(topology, platform="tpu").devices)
    except Exception as error:
        sys.exit(
            f"no compiler for {topology} ({str(error).splitlines()[0]}); install it by pip install "
            "-e '.[tpu]', or compile for --topology cpu:16"
        )


def _placed(leaf: Any, place: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    import jax

    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)


def _count(params: Any) -> int:
    import jax
    import numpy as np

    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


if __name__ == "__main__":
    main()
