import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from bassdiff.runtime.errors import InputError
from bassdiff.training.sharding import (
    arranged,
    batch_sharding,
    make_mesh,
    parameter_sharding,
    replicated,
    state_sharding,
    to_global,
)
from bassdiff.training.state import fresh_state


@pytest.mark.parametrize(
    ("asked", "made"),
    [((-1, 1), (8, 1)), ((-1, 2), (4, 2)), ((2, 4), (2, 4)), ((1, 8), (1, 8))],
)
def test_a_mesh_covers_all_devices(asked, made):
    mesh = make_mesh(*asked)
    assert mesh.axis_names == ("data", "fsdp")
    assert mesh.devices.shape == made
    assert set(mesh.devices.flat) == set(jax.devices())
    assert mesh.axis_types == (AxisType.Auto,) * 2


@pytest.mark.parametrize("asked", [(-1, 3), (4, 1), (16, 1), (0, 8), (-1, 0), (-1, -1), (-2, -4)])
def test_a_mesh_that_does_not_cover_them_is_refused(asked):
    with pytest.raises(InputError, match="does not cover 8 devices; set config"):
        make_mesh(*asked)


@dataclasses.dataclass(frozen=True)
class FakeDevice:
    id: int
    slice_index: int
    process_index: int = 0
    platform: str = "cpu"
    device_kind: str = "cpu"


@pytest.mark.parametrize(("data", "fsdp"), [(8, 1), (4, 2), (2, 4)])
def test_parameters_are_split_within_a_slice(data, fsdp):
    devices = [FakeDevice(number, number % 2) for number in range(8)]
    slices = np.vectorize(lambda device: device.slice_index)(arranged(devices, data, fsdp))
    assert slices.shape == (data, fsdp)
    np.testing.assert_array_equal(slices, np.repeat([0, 1], data // 2)[:, None].repeat(fsdp, 1))


def test_rows_lie_in_the_order_of_processes_whatever_the_network():
    """As on a torus, where a process holds a square of chips whose numbers are not in a row."""
    devices = [FakeDevice(number, 0, process_index=[0, 0, 1, 1][number % 4]) for number in range(8)]
    processes = [device.process_index for device in arranged(devices, 8, 1).flat]
    assert processes == [0] * 4 + [1] * 4


def test_parameters_are_not_split_over_slices():
    devices = [FakeDevice(number, number % 2) for number in range(8)]
    with pytest.raises(InputError, match="2 slices of 4 devices cannot hold fsdp=8"):
        arranged(devices, 1, 8)


def placed(shape, mesh, **options):
    return parameter_sharding(jax.ShapeDtypeStruct(shape, jnp.float32), mesh, **options).spec


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((512, 256), P("fsdp", None)),
        ((256, 512), P(None, "fsdp")),
        ((3, 128, 512), P(None, None, "fsdp")),
        ((513, 256), P(None, "fsdp")),
        ((511, 513), P()),
        ((64, 64), P()),
        ((), P()),
    ],
)
def test_large_arrays_are_split_along_their_largest_divisible_dimension(shape, spec):
    assert placed(shape, make_mesh(4, 2)) == spec


def test_without_fsdp_every_device_has_everything():
    assert placed((512, 512), make_mesh(8, 1)) == P()


def test_a_split_array_takes_its_share_of_memory():
    mesh = make_mesh(2, 4)
    array = jax.device_put(np.zeros((512, 256), np.float32), parameter_sharding(
        jax.ShapeDtypeStruct((512, 256), jnp.float32), mesh))  # fmt: skip
    assert {shard.data.shape for shard in array.addressable_shards} == {(128, 256)}


def test_a_tree_keeps_its_structure():
    tree = {"a": np.zeros((512, 256)), "b": [np.zeros(3)]}
    shardings = parameter_sharding(tree, make_mesh(4, 2))
    assert jax.tree.map(lambda s: s.spec, shardings) == {"a": P("fsdp", None), "b": [P()]}


@pytest.mark.parametrize("shape", [(8, 1), (4, 2), (1, 8)])
def test_what_only_the_optimiser_reads_is_split_over_all_devices(shape):
    weight = np.zeros((512, 264), np.float32)
    state = fresh_state({"w": weight}, optax.adam(1e-3))
    shardings = state_sharding(state, make_mesh(*shape))
    moments = shardings.opt_state[0].mu["w"], shardings.opt_state[0].nu["w"], shardings.ema["w"]
    assert all(place.shard_shape(weight.shape) == (64, 264) for place in moments)
    assert shardings.params["w"].shard_shape(weight.shape) == (512 // shape[1], 264)
    assert shardings.step.is_fully_replicated


@pytest.mark.parametrize("shape", [(8, 1), (4, 2), (1, 8)])
def test_rows_are_split_over_every_device(shape):
    mesh = make_mesh(*shape)
    rows = np.arange(16 * 3, dtype=np.float32).reshape(16, 3)
    batch = to_global({"x": rows}, mesh)
    assert batch["x"].sharding == batch_sharding(mesh)
    assert {shard.data.shape for shard in batch["x"].addressable_shards} == {(2, 3)}
    np.testing.assert_array_equal(batch["x"], rows)


def test_replicated_is_whole_everywhere():
    array = jax.device_put(np.ones((4, 2)), replicated(make_mesh(4, 2)))
    assert {shard.data.shape for shard in array.addressable_shards} == {(4, 2)}
