"""Does a diffusion model fit its pod? Compiles the training step for one that is not at hand.

    python -m launch.memory --config configs/diffusion.py:base --topology v5e:4x4 --fsdp 4

The compiler for TPUs (`pip install -e '.[tpu]'`) needs no TPU: what it says of memory and
collectives is what the pod will do. `--topology cpu:16` compiles for as many fake CPU devices, to
see the collectives without it; its memory says little of a TPU's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Memory of one chip, as its maker gives it.
HBM_BYTES = {"v5e": 16e9, "v6e": 32e9, "v5p": 95e9, "v4": 32e9}


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the figures of one device, and writes them as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/diffusion.py:base", metavar="FILE:SIZE")
    parser.add_argument("--topology", default="v5e:4x4", help="v5e:4x4, v6e:4x4, ..., or cpu:16")
    parser.add_argument("--fsdp", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE")
    arguments, overrides = parser.parse_known_args(argv)
    kind, _, shape = arguments.topology.partition(":")
    if kind == "cpu":
        # Before jax is imported, which reads them once.
        flags = f"--xla_force_host_platform_device_count={shape} --xla_backend_optimization_level=0"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
    figures = step_figures(arguments.config, overrides, kind, arguments.topology, arguments.fsdp)
    for name, value in figures.items():
        print(f"{name:32} {value}")
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")


def step_figures(
    spec: str, overrides: Sequence[str], kind: str, topology: str, fsdp: int
) -> dict[str, Any]:
    """Memory, work and collectives of one training step on one device of a topology."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import AxisType, Mesh

    from bassdiff.cli.main import read_config
    from bassdiff.pretrained.codec import Codec
    from bassdiff.pretrained.release import load_codecs
    from bassdiff.training import sharding
    from bassdiff.training.loop import jitted_step
    from bassdiff.training.recipes import diffusion
    from bassdiff.training.utilisation import program_collectives, program_flops, program_memory

    config = read_config(spec, overrides)
    mix_codec, bass_codec = load_codecs(config.data.codecs)
    sizes = {"bass": bass_codec.model.num_channels, "mix": mix_codec.model.num_channels}
    sizes["reference"] = sizes["bass"]
    nothing = {
        name: np.zeros((1, config.crop_frames, size), np.float32) for name, size in sizes.items()
    }
    objective = diffusion.new_objective(
        config, diffusion.new_model(config, bass_codec), Codec(bass_codec), nothing, bindings={}
    )
    devices = pod(topology) if kind != "cpu" else jax.devices()
    data = len(devices) // fsdp
    mesh = Mesh(
        sharding.arranged(devices, data, fsdp), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2
    )
    key = jax.random.key(0)
    shapes = jax.eval_shape(objective.init, key)
    shardings = sharding.state_sharding(shapes, mesh)

    def placed(leaf: jax.ShapeDtypeStruct, place: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    state = jax.tree.map(placed, shapes, shardings)
    rows, crop = sharding.batch_sharding(mesh), (config.batch_size, config.crop_frames)
    batch = {
        name: jax.ShapeDtypeStruct((*crop, size), jnp.float32, sharding=rows)
        for name, size in sizes.items()
    }
    started = time.perf_counter()
    with jax.set_mesh(mesh):
        step = jitted_step(objective, key, shardings)
        program = step.lower(state, batch).compile()
    memory = program_memory(program)
    needed = sum(memory.values())
    return {
        "config": spec,
        "topology": topology,
        "mesh": f"data={data}, fsdp={fsdp}",
        "parameters": sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes.params)),
        "batch_size": config.batch_size,
        "remat": config.model.remat,
        **{f"{name}_gb": round(size / 1e9, 3) for name, size in memory.items()},
        "needed_gb": round(needed / 1e9, 3),
        "hbm_gb": HBM_BYTES[kind] / 1e9 if kind in HBM_BYTES else None,
        "fits": needed < HBM_BYTES[kind] if kind in HBM_BYTES else None,
        "gflop_per_device": round(program_flops(program) / 1e9, 1),
        "collectives": {
            name: {"count": count, "mb": round(size / 1e6, 3)}
            for name, (count, size) in program_collectives(program).items()
        },
        "compile_seconds": round(time.perf_counter() - started, 1),
    }


def pod(topology: str) -> list[Any]:
    """The devices of a TPU slice that is not there."""
    from jax.experimental import topologies

    # The compiler would ask a metadata server which TPU this machine has.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    try:
        return list(topologies.get_topology_desc(topology, platform="tpu").devices)
    except Exception as error:
        sys.exit(
            f"no compiler for {topology} ({str(error).splitlines()[0]}); install it by pip install "
            "-e '.[tpu]', or compile for --topology cpu:16"
        )


if __name__ == "__main__":
    main()
