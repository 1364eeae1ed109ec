"""Collects the metrics and the speed of steps, without stalling the device."""

from __future__ import annotations

import time
from typing import TypeAlias

import jax
import numpy as np

from bassdiff.diffusion.types import Array
from bassdiff.training.goodput import Goodput

Metrics: TypeAlias = dict[str, Array]


class Meter:
    """Metrics and speed of the steps since the last read.

    Args:
      batch_size: Examples per step.
      peak: Peak floating-point operations per second of one device.
    """

    def __init__(self, batch_size: int, peak: float) -> None:
        self._batch_size, self._peak = batch_size, peak
        self._pending: list[Metrics] = []
        self._flops = self._waited = 0.0
        self.restart()

    def start(self, flops: float, goodput: Goodput) -> None:
        """Sets the operations of a step per device, and excludes the wait for the first batch."""
        self._flops, self._waited = flops, goodput["data_wait"]
        self.restart()

    def restart(self) -> None:
        """Excludes the time until now."""
        self._started = time.perf_counter()

    def add(self, metrics: Metrics) -> None:
        """Adds the metrics of a step that was just dispatched, and waits for the step before.

        One step is always queued, so the device never waits for the host. With more, the host would
        run ahead, and a hung step would look like many slow ones.
        """
        self._pending.append(metrics)
        jax.block_until_ready(self._pending[-2:-1])

    def is_busy(self) -> bool:
        """Whether the device is still computing the last step."""
        return not all(x.is_ready() for x in jax.tree.leaves(self._pending[-1:]))

    @property
    def has_unread(self) -> bool:
        """Whether there are metrics since the last read."""
        return bool(self._pending)

    def read(self) -> list[dict[str, float]]:
        """Waits for all steps and returns their metrics."""
        records = jax.device_get(self._pending)
        self._pending = []
        return [{name: float(value) for name, value in record.items()} for record in records]

    def summary(self, records: list[dict[str, float]], goodput: Goodput) -> dict[str, float]:
        """Means of the metrics that all steps have, and the speed."""
        elapsed = time.perf_counter() - self._started
        waited, self._waited = goodput["data_wait"] - self._waited, goodput["data_wait"]
        seconds = elapsed / len(records)
        names = [name for name in records[0] if all(name in record for record in records)]
        return {
            **{name: float(np.mean([r[name] for r in records])) for name in names},
            "seconds_per_step": seconds,
            "examples_per_second": self._batch_size / seconds,
            "data_wait_share": waited / elapsed,
            "model_flops_utilisation": self._flops / seconds / self._peak,
        }
