"""What limits the blocks of a U-Net on a TPU: `python -m launch.block_roofline --topology v6e:2x2`.

Each block, with its backward pass, is compiled alone for one chip, in a minute or so; the whole
step of `roofline.py` takes the compiler far longer. Per block: the model's work, what passes
between the chip and its HBM, all bytes that the compiler counts, which include its vector memory,
and the compiler's estimate of cycles, divided into operations with a matrix product or convolution
and all others. Nothing is run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.chips import CHIPS
from launch.compiled_text import instructions
from launch.roofline import devices_of

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the figures of every block, and writes them as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/diffusion.py:base", metavar="FILE:SIZE")
    parser.add_argument("--topology", default="v5e:2x2", help="v5e:2x2, v6e:2x2, v5p:2x2x1")
    parser.add_argument("--rows", type=int, default=32, help="of a batch, on the chip")
    parser.add_argument("--only", nargs="*", help="names of blocks; all by default")
    parser.add_argument("--out", type=Path, metavar="FILE")
    arguments, overrides = parser.parse_known_args(argv)
    from bassdiff.cli.configs import read_config

    config = read_config(arguments.config, overrides)
    figures = {}
    for name, block in blocks(config, arguments.rows).items():
        if not arguments.only or name in arguments.only:
            figures[name] = block_figures(*block, arguments.topology)
            print(name, json.dumps(figures[name], indent=1), flush=True)
    if arguments.out:
        about = {"config": arguments.config, "topology": arguments.topology, "rows": arguments.rows}
        arguments.out.write_text(json.dumps({**about, "blocks": figures}, indent=1) + "\n")


def blocks(config: ConfigDict, rows: int) -> dict[str, tuple[Any, list[tuple[Any, str]]]]:
    """Modules by name, with shapes and types of their inputs, of a row of training."""
    from bassdiff.models.attention import SelfAttention
    from bassdiff.models.layers import ResidualBlock
    from bassdiff.training.recipes.optimiser import compute_dtype

    model, dtype = config.model, compute_dtype(config)
    kind = "bfloat16" if config.bfloat16 else "float32"
    found: dict[str, tuple[Any, list[tuple[Any, str]]]] = {}
    for level, width in enumerate(model.widths):
        frames = config.crop_frames >> level
        mask = ((rows, frames, 1), "float32")
        embedding = ((rows, 2 * model.widths[0]), kind)
        for name, channels in (("down", width), ("up", 2 * width)):
            inputs = [((rows, frames, channels), kind), embedding, mask]
            found[f"{name}_{level}"] = ResidualBlock(width, dtype), inputs
        if level in model.attention_levels:
            attention = SelfAttention(model.num_heads, max(1, model.reach_frames >> level), dtype)
            found[f"attention_{level}"] = attention, [((rows, frames, width), kind), mask]
    return found


def block_figures(module: Any, inputs: list[tuple[Any, str]], topology: str) -> dict[str, Any]:
    """Compiles a block, its recomputation and its backward pass for one chip."""
    import jax

    from bassdiff.models.unet import is_kept
    from bassdiff.training.utilisation import program_bytes

    kind = topology.partition(":")[0]
    place = jax.sharding.SingleDeviceSharding(devices_of(topology)[0])
    here = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in inputs]
    params = jax.eval_shape(module.init, jax.random.key(0), *here)
    result = jax.eval_shape(module.apply, params, *here)
    again = jax.checkpoint(module.apply, policy=is_kept)

    def both_passes(params: Any, gradient: Any, *inputs: Any) -> Any:
        output, backward = jax.vjp(again, params, *inputs)
        return output, backward(gradient)

    there = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        (params, result, *here),
    )
    program = jax.jit(both_passes).lower(*there).compile()
    # Counted for the CPU: the TPU's compiler has no count before it compiles.
    costs = jax.jit(module.apply).lower(params, *here).cost_analysis() or {}
    flops = 3.0 * float(costs.get("flops", float("nan")))
    steps, chip = instructions(program.as_text() or ""), CHIPS[kind]
    hbm = sum(step.hbm_bytes for step in steps)
    cycles = sum(step.cycles for step in steps)
    products = sum(
        step.cycles
        for step in steps
        if "dot_general" in step.source or "conv_general_dilated" in step.source
    )
    return {
        "model_gflop": round(flops / 1e9, 2),
        "hbm_mb": round(hbm / 1e6, 1),
        "counted_mb": round(program_bytes(program) / 1e6, 1),
        "work_ms": round(1e3 * flops / chip.flops, 4),
        "hbm_ms": round(1e3 * hbm / chip.memory_rate, 4),
        "roofline_mfu": round(min(1.0, flops / chip.flops / (hbm / chip.memory_rate)), 3),
        "kilocycles": round(cycles / 1e3, 1),
        "kilocycles_with_products": round(products / 1e3, 1),
        "mfu_by_cycles": round(flops / chip.flops * chip.clock_hz / cycles, 3) if cycles else None,
        "slowest_without_product": [
            {"kilocycles": round(step.cycles / 1e3, 1), "source": step.source[-60:]}
            for step in sorted(steps, key=lambda step: -step.cycles)
            if "dot_general" not in step.source and "conv_general_dilated" not in step.source
        ][:5],
    }


if __name__ == "__main__":
    main()
