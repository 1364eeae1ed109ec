"""Chips that programs are compiled for."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip, in its maker's figures.

    Attributes:
      flops: Products in bfloat16, floating-point operations per second.
      memory_bytes: Size of its HBM.
      memory_rate: Bytes per second between it and the cores.
      link_rate: Bytes per second of all links to its neighbours.
      clock_hz: Cycles per second, of which its maker says nothing: as widely reported.
    """

    flops: float
    memory_bytes: float
    memory_rate: float
    link_rate: float
    clock_hz: float


# Source: the system architecture pages of Cloud TPU.
CHIPS = {
    "v5e": Chip(197e12, 16e9, 819e9, 200e9, 1.5e9),
    "v5p": Chip(459e12, 95e9, 2765e9, 600e9, 1.75e9),
    "v6e": Chip(918e12, 32e9, 1640e9, 448e9, 1.75e9),
}
