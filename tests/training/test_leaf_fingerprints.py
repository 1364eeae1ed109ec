import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from bassdiff.training.leaf_fingerprints import fingerprints
from bassdiff.training.sharding import make_mesh

DTYPES = ["float32", "bfloat16", "float16", "int32", "int8", "uint16", "bool"]
MESHES = [(8, 1), (2, 4), (1, 8)]


def noise(dtype, shape=(16, 8, 24), seed=0):
    """Any bits at all, so also NaNs with payloads, infinities and denormals."""
    dtype = jnp.dtype(dtype)
    raw = np.random.default_rng(seed).integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    return (raw & 1).astype(bool)[..., 0] if dtype.kind == "b" else raw.view(dtype)[..., 0]


def one(x):
    return fingerprints({"x": x})["x"]


def closed_form(x):
    """The formula of the docstring in arbitrary precision."""
    bits = [int(word) for word in x.reshape(-1).view(f"u{x.dtype.itemsize}")]
    first = second = 0
    for i, word in enumerate(bits):
        h = word ^ (i * 0x9E3779B9 & 0xFFFFFFFF)
        h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
        h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
        h ^= h >> 16
        first, second = first + h, second + (2 * i + 1) * h
    return f"{first & 0xFFFFFFFF:08x}{second & 0xFFFFFFFF:08x}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_the_published_sum(dtype):
    x = noise(dtype)
    assert one(x) == closed_form(x)
    assert one(jnp.asarray(x)) == closed_form(x)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (7,), (2, 3, 5, 7)])
def test_any_shape_has_one(shape):
    x = noise("float32", shape)
    assert one(x) == closed_form(x)


def test_elements_of_64_bits_count_whole():
    with jax.enable_x64(True):
        x = noise("int64", (4, 6))
        assert one(x) == closed_form(x.view(np.uint32))


@pytest.mark.parametrize("mesh_shape", MESHES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool"])
def test_every_mesh_gives_the_same(dtype, mesh_shape):
    x = noise(dtype)
    mesh = make_mesh(*mesh_shape)
    for spec in (P(), P("fsdp"), P(None, "data"), P("data", None, "fsdp"), P(("data", "fsdp"))):
        assert one(jax.device_put(x, NamedSharding(mesh, spec))) == one(x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_flipped_bit_anywhere_changes_both_halves(dtype, rng):
    x = noise(dtype)
    whole = one(x)
    for _ in range(50):
        flipped = x.copy()
        raw = flipped.reshape(-1).view(np.uint8)
        place, bit = rng.integers(raw.size), 0 if dtype == "bool" else rng.integers(8)
        raw[place] ^= np.uint8(1 << bit)
        other = one(flipped)
        assert other[:8] != whole[:8]
        assert other[8:] != whole[8:]


def test_two_swapped_elements_change_it(rng):
    x = rng.permutation(4096).astype(np.float32).reshape(64, 64)
    seen = {one(x)}
    for count in range(1, 51):
        i, j = rng.choice(x.size, 2, replace=False)
        swapped = x.copy().reshape(-1)
        swapped[[i, j]] = swapped[[j, i]]
        seen.add(one(swapped.reshape(x.shape)))
        assert len(seen) == count + 1


def test_the_sign_of_zero_and_the_payload_of_nan_count():
    zeros = np.zeros(3, np.float32)
    assert one(zeros) != one(-zeros)
    nans = np.array([0x7FC00000, 0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)
    assert len({one(nans[i : i + 1]) for i in range(3)}) == 3


def test_leaves_are_named_by_their_paths():
    tree = {"params": {"w": jnp.ones(3)}, "moments": (jnp.zeros(2), jnp.zeros(2))}
    prints = fingerprints(tree)
    assert set(prints) == {"params/w", "moments/0", "moments/1"}
    assert prints["moments/0"] == prints["moments/1"] != prints["params/w"]


def test_arrays_of_one_shape_share_one_program(compilations):
    fingerprints([jnp.full((3, 11), float(i)) for i in range(5)])
    before = len(compilations)
    fingerprints([np.full((3, 11), float(i), np.float32) for i in range(5)])
    fingerprints([jnp.full((3, 11), float(i)) for i in range(5)])
    assert len(compilations) <= before + 1
