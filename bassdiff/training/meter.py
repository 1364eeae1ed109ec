"""What steps report, and how fast they were: one step waits for the device, none for the host."""

from __future__ import annotations

import time
from typing import TypeAlias

import jax
import numpy as np

from bassdiff.diffusion.types import Array
from bassdiff.training.goodput import Goodput

Metrics: TypeAlias = dict[str, Array]


class Meter:
    """What steps reported since the last look, and how fast they were.

    Args:
      batch_size: Examples per step.
      peak: Floating-point operations that one device can do in a second.
    """

    def __init__(self, batch_size: int, peak: float) -> None:
        self._batch_size, self._peak = batch_size, peak
        self._pending: list[Metrics] = []
        self._flops = self._waited = 0.0
        self.restart()

    def start(self, flops: float, goodput: Goodput) -> None:
        """Learns what a step costs a device, and leaves out how long the first had to wait."""
        self._flops, self._waited = flops, goodput["data_wait"]
        self.restart()

    def restart(self) -> None:
        """Leaves out the time until now."""
        self._started = time.perf_counter()

    def add(self, metrics: Metrics) -> None:
        """Takes in what a step that has just begun will report, and waits for the one before.

        So one step waits for the device and none for the host, and no more: otherwise the host
        would be many steps ahead, and nobody could tell a hung step from many slow ones.
        """
        self._pending.append(metrics)
        jax.block_until_ready(self._pending[-2:-1])

    def is_busy(self) -> bool:
        """Whether the device still works on the last step."""
        return not all(x.is_ready() for x in jax.tree.leaves(self._pending[-1:]))

    @property
    def has_unread(self) -> bool:
        """Whether steps have reported since they were last read."""
        return bool(self._pending)

    def read(self) -> list[dict[str, float]]:
        """Waits for all steps and empties what they reported."""
        records = jax.device_get(self._pending)
        self._pending = []
        return [{name: float(value) for name, value in record.items()} for record in records]

    def summary(self, records: list[dict[str, float]], goodput: Goodput) -> dict[str, float]:
        """Means of what steps reported, and their speed."""
        elapsed = time.perf_counter() - self._started
        waited, self._waited = goodput["data_wait"] - self._waited, goodput["data_wait"]
        seconds = elapsed / len(records)
        return {
            **{name: float(np.mean([r[name] for r in records])) for name in records[0]},
            "seconds_per_step": seconds,
            "examples_per_second": self._batch_size / seconds,
            "data_wait_share": waited / elapsed,
            "model_flops_utilisation": self._flops / seconds / self._peak,
        }
