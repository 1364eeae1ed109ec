"""Resources of a compiled step: floating-point operations, collectives and memory."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Mapping

import jax
import numpy as np

# Dense bfloat16 operations per second and device, as published by the vendors.
PEAK_FLOPS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_BYTES = {
    "f64": 8,
    "s64": 8,
    "u64": 8,
    "f32": 4,
    "s32": 4,
    "u32": 4,
    "bf16": 2,
    "f16": 2,
    "pred": 1,
}


def peak_flops(device: jax.Device) -> float:
    """Peak floating-point operations per second of a device.

    For unknown devices, such as CPUs, float32 matrix products are timed.
    """
    for kind, flops in PEAK_FLOPS.items():
        if device.device_kind.startswith(kind):
            return flops
    return measured_flops(device)


@functools.cache
def measured_flops(device: jax.Device, size: int = 1024, during_seconds: float = 0.3) -> float:
    """Median floating-point operations per second of float32 matrix products.

    It runs long enough to average over other load on the machine.
    """
    a = jax.device_put(np.ones((size, size), np.float32), device)
    product = jax.jit(lambda x: x @ x)
    jax.block_until_ready(product(a))
    seconds: list[float] = []
    while sum(seconds) < during_seconds:
        started = time.perf_counter()
        jax.block_until_ready(product(a))
        seconds.append(time.perf_counter() - started)
    return 2.0 * size**3 / float(np.median(seconds))


def program_flops(program: jax.stages.Compiled) -> float:
    """Floating-point operations of one call on one device; NaN if the compiler has no count."""
    costs = program.cost_analysis()
    return float(costs["flops"]) if isinstance(costs, Mapping) and "flops" in costs else np.nan


def program_bytes(program: jax.stages.Compiled) -> float:
    """Bytes that one call reads and writes on one device; NaN where the compiler does not say."""
    costs = program.cost_analysis()
    if not isinstance(costs, Mapping) or "bytes accessed" not in costs:
        return np.nan
    return float(costs["bytes accessed"])


def program_collectives(program: jax.stages.Compiled) -> dict[str, tuple[int, int]]:
    """Number of each collective in a program, and the bytes of its results per device.

    >>> program = jax.jit(lambda x: x + 1.0).lower(1.0).compile()
    >>> program_collectives(program)
    {}
    """
    found: dict[str, tuple[int, int]] = {}
    kinds = "|".join(COLLECTIVES)
    # `%x = f32[8,4]{1,0} all-reduce(`, or a tuple of such shapes before the name; only the start of
    # an asynchronous one.
    pattern = re.compile(rf"= (\([^=]*?\)|\S+) ({kinds})(?:-start)?\(")
    # Long tuples are numbered in comments.
    text = re.sub(r"/\*.*?\*/", "", program.as_text() or "")
    for shapes, kind in pattern.findall(text):
        size = sum(
            _BYTES.get(dtype, 0) * int(np.prod([int(n) for n in dims.split(",") if n]))
            for dtype, dims in re.findall(r"(\w+)\[([\d,]*)\]", shapes)
        )
        count, total = found.get(kind, (0, 0))
        found[kind] = count + 1, total + size
    return found


def program_memory(program: jax.stages.Compiled) -> dict[str, int]:
    """Bytes that a program needs on one device; empty if the compiler has no figure."""
    memory = program.memory_analysis()
    if memory is None:
        return {}
    # Donated buffers count once.
    return {
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
    }
