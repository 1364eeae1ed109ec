"""The device mesh of a training job, and the rules that shard arrays over it.

`jit` over arrays with a `NamedSharding` is today's pjit: the compiler splits the step and inserts
collectives. Model files do not mention devices.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from bassdiff.diffusion.types import Array, PyTree
from bassdiff.runtime.errors import InputError
from bassdiff.training.state import TrainState


def make_mesh(data: int = -1, fsdp: int = 1) -> Mesh:
    """A `(data, fsdp)` mesh over all devices.

    Args:
      data: Devices that hold different rows of a batch and the same parameters;
        -1 takes all that `fsdp` leaves.
      fsdp: Devices over which each parameter is split. Rows are split over both.

    Raises:
      InputError: If the product is not the number of devices.
    """
    num_devices = len(jax.devices())
    rest = num_devices // fsdp if data == -1 and fsdp > 0 else data
    if rest < 1 or fsdp < 1 or rest * fsdp != num_devices:
        raise InputError(
            f"a mesh of data={data} and fsdp={fsdp} does not cover {num_devices} devices; "
            "set config.mesh.data=-1 and config.mesh.fsdp to a divisor of that number"
        )
    devices = arranged(jax.devices(), rest, fsdp)
    return Mesh(devices, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def arranged(devices: Sequence[jax.Device], data: int, fsdp: int) -> np.ndarray:
    """Devices `[data, fsdp]`, in order of slice, process and number.

    Neighbours along `fsdp` are close on their network: parameters are gathered within a slice, and
    only gradients are summed over the slower network between slices. Rows follow the order of
    processes, so that batches and noise do not depend on the network's shape.

    Raises:
      InputError: If `fsdp` would reach beyond a slice.
    """
    num_slices = len({getattr(device, "slice_index", 0) for device in devices})
    if data % num_slices:
        raise InputError(
            f"{num_slices} slices of {len(devices) // num_slices} devices cannot hold fsdp={fsdp}; "
            "set config.mesh.fsdp to a divisor of the devices of a slice"
        )
    ordered = sorted(devices, key=lambda d: (getattr(d, "slice_index", 0), d.process_index, d.id))
    return np.asarray(ordered).reshape(data, fsdp)


def share_of_batch(mesh: Mesh) -> tuple[int, int]:
    """The index of this process's part of every batch, and the number of parts."""
    processes = list(dict.fromkeys(device.process_index for device in mesh.devices.flat))
    return processes.index(jax.process_index()), len(processes)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """For work of a single process, on its first device: with the mesh of all, it would hang."""
    devices = np.asarray(jax.local_devices()[:1]).reshape(1, 1)
    own = Mesh(devices, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)
    with jax.set_mesh(own):
        yield


def parameter_sharding(
    shapes: PyTree, mesh: Mesh, axes: tuple[str, ...] = ("fsdp",), min_size: int = 2**16
) -> PyTree:
    """Splits each large array along its largest divisible dimension.

    Args:
      shapes: A pytree of arrays or `ShapeDtypeStruct`s, such as `jax.eval_shape` gives.
      mesh: From `make_mesh`.
      axes: Axes of the mesh over which arrays are split.
      min_size: Smaller arrays are replicated: splitting them costs more than it saves.

    Returns:
      A pytree of `NamedSharding` of the same structure.
    """
    parts = math.prod(mesh.shape[axis] for axis in axes)

    def place(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        divisible = [axis for axis, size in enumerate(leaf.shape) if size % parts == 0]
        if parts == 1 or np.prod(leaf.shape) < min_size or not divisible:
            return NamedSharding(mesh, P())
        axis = max(divisible, key=lambda a: leaf.shape[a])
        split = axes[0] if len(axes) == 1 else axes
        return NamedSharding(mesh, P(*(split if a == axis else None for a in range(leaf.ndim))))

    return jax.tree.map(place, shapes)


def state_sharding(shapes: TrainState, mesh: Mesh) -> TrainState:
    """Shards a training state; the optimiser's state and the EMA are split over all devices.

    These are used once per step, in place: each device updates its part of the parameters and sends
    it to the others, at the cost of an all-reduce of gradients. The parameters themselves are split
    over `fsdp` only. Source: the first stage of ZeRO, arXiv 1910.02054.
    """
    everywhere = ("data", "fsdp")
    return parameter_sharding(shapes, mesh).replace(
        ema=parameter_sharding(shapes.ema, mesh, everywhere),
        opt_state=parameter_sharding(shapes.opt_state, mesh, everywhere),
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Splits rows of a batch over all devices."""
    return NamedSharding(mesh, P(("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
    """Replicates an array on every device."""
    return NamedSharding(mesh, P())


def spread(rows: PyTree) -> PyTree:
    """Splits rows that every process has over all devices of the mesh that is set.

    Args:
      rows: A pytree of `[n, ...]`. The last row is repeated up to a multiple of the devices.

    Returns:
      The same as global arrays; without a mesh, as they are.
    """
    mesh = jax.sharding.get_mesh()
    if mesh.empty:
        return rows

    def place(values: Any) -> Array:
        values = np.asarray(values)
        idle = np.repeat(values[-1:], -len(values) % mesh.size, axis=0)
        return jax.device_put(np.concatenate([values, idle]), batch_sharding(mesh))

    return jax.tree.map(place, rows)


def collected(values: PyTree) -> PyTree:
    """Global arrays as numpy arrays, in every process of the mesh that is set."""
    mesh = jax.sharding.get_mesh()
    if not mesh.empty:
        values = jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(values)
    return jax.tree.map(np.asarray, values)


def to_global(batch: PyTree, mesh: Mesh) -> PyTree:
    """Assembles this process's rows (numpy) into global arrays sharded by rows."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(
        lambda rows: jax.make_array_from_process_local_data(sharding, np.asarray(rows)), batch
    )
