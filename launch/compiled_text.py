"""Reads the text of a program that was compiled for a TPU: its traffic with HBM and its cycles.

The compiler's count of bytes includes what stays in a chip's own vector memory. In the text, the
layout of such an array ends with `S(1)`; only the others are in HBM.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import numpy as np

_ITEM_BYTES = {
    **{"f64": 8, "s64": 8, "u64": 8, "f32": 4, "s32": 4, "u32": 4},
    **{"bf16": 2, "f16": 2, "s16": 2, "u16": 2, "pred": 1, "s8": 1, "u8": 1},
}
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](\{[^}]*\})?")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", re.S | re.M)
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*?)\)(?:,|$)")
_INSIDE = re.compile(r"(?:body|to_apply|branch_computations)=\{?((?:%[\w.\-]+(?:, )?)+)")
_NAME = re.compile(r"%([\w.\-]+)")
# They move nothing, or finish what another has begun.
_FREE = {"parameter", "constant", "get-tuple-element", "bitcast", "tuple", "after-all"}
_WITHIN = {"while", "conditional", "call"}


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction that a chip executes.

    Attributes:
      operation: Its name in XLA, such as fusion.
      source: The JAX operation that it came from.
      hbm_bytes: What it reads from HBM and writes there, if it uses all of its arrays.
      cycles: The compiler's estimate of its time; 0 where there is none.
    """

    operation: str
    source: str
    hbm_bytes: int
    cycles: int


def instructions(text: str) -> list[Instruction]:
    """What one call of a program executes; bodies of loops count once.

    Args:
      text: `jax.stages.Compiled.as_text()`.
    """
    text = re.sub(r"/\*.*?\*/", "", text)
    bodies = {name: (entry, body) for entry, name, body in _COMPUTATION.findall(text)}
    start = next(name for name, (entry, _) in bodies.items() if entry)
    return list(_executed(start, {name: body for name, (_, body) in bodies.items()}))


def _executed(name: str, bodies: dict[str, str]) -> Iterator[Instruction]:
    shapes: dict[str, str] = {}
    for line in bodies[name].splitlines():
        match = _INSTRUCTION.match(line)
        if match is None:
            continue
        result, shape, operation, operands = match.groups()
        shapes[result] = shape
        if operation in _WITHIN:
            for inner in _INSIDE.findall(line):
                for one in _NAME.findall(inner):
                    yield from _executed(one, bodies)
        elif (
            operation not in _FREE
            and not operation.endswith("-done")
            and "ConcatBitcast" not in line
        ):
            moved = _moved(operation, shape, [shapes.get(o, "") for o in _NAME.findall(operands)])
            cycles = re.search(r'"estimated_cycles":"(\d+)"', line)
            source = re.search(r'op_name="([^"]*)"', line)
            yield Instruction(
                operation, source[1] if source else "", moved, int(cycles[1]) if cycles else 0
            )


def _moved(operation: str, shape: str, operands: list[str]) -> int:
    if operation in ("copy-start", "slice-start"):
        # The result names source and destination; of a slice, no more is moved than arrives.
        arrays = [(size, in_hbm) for size, in_hbm in _arrays(shape) if size > 4]
        size = min((size for size, _ in arrays), default=0)
        return sum(size for _, in_hbm in arrays if in_hbm)
    return sum(size for text in (shape, *operands) for size, in_hbm in _arrays(text) if in_hbm)


def _arrays(shape: str) -> Iterator[tuple[int, bool]]:
    """Size in bytes, and whether it is in HBM, of every array of a shape."""
    for dtype, dims, layout in _ARRAY.findall(shape):
        count = int(np.prod([int(n) for n in dims.split(",") if n]))
        yield _ITEM_BYTES.get(dtype, 0) * count, "S(" not in layout
