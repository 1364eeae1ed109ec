import functools
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bassdiff.diffusion.solvers import Exponential
from bassdiff.runtime import traced_programs
from bassdiff.runtime.traced_programs import run_kept

traced = []


@functools.partial(jax.jit, static_argnums=0)
def scaled(factor, tree):
    traced.append(factor)
    return {"x": factor * tree["x"] + tree["y"][0]}


class Own(struct.PyTreeNode):
    """A class of a user, whose source nobody knows."""

    x: jax.Array


@pytest.fixture(autouse=True)
def folder(tmp_path):
    """A cache of its own, and nothing known."""
    before = {
        name: jax.config.values.get(name)
        for name in ("jax_compilation_cache_dir", "jax_enable_compilation_cache")
    }
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_enable_compilation_cache", True)
    traced.clear()
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)


def run(factor=2.0, size=3, **changes):
    """As a process would that begins, with what it traced."""
    traced_programs._known.clear()
    scaled.clear_cache()
    tree = {"x": jnp.arange(size, dtype=jnp.float32), "y": (np.float32(1.0),), **changes}
    result = run_kept(scaled, (factor,), (tree,), like={"x": 0})
    again = run_kept(scaled, (factor,), (tree,), like={"x": 0})
    np.testing.assert_array_equal(result["x"], again["x"])
    count = len(traced)
    traced.clear()
    return np.asarray(result["x"]), count


def test_what_was_traced_once_is_not_traced_again(folder):
    np.testing.assert_array_equal(run()[0], [1, 3, 5])
    again, count = run()
    np.testing.assert_array_equal(again, [1, 3, 5])
    assert count == 0 and len(list(folder.glob("traced-*"))) == 1


def test_whatever_decides_a_program_makes_another(folder, monkeypatch):
    run()
    assert run(factor=3.0)[1] == 1
    assert run(size=4)[1] == 1
    assert run(y=(np.float64(1.0).astype(np.int32),))[1] == 1
    with jax.default_matmul_precision("float32"):
        assert run()[1] == 1
    monkeypatch.setattr(traced_programs, "_sources", lambda: "changed")
    assert run()[1] == 1
    monkeypatch.setattr(traced_programs, "_versions", lambda: ("0.0",))
    assert run()[1] == 1
    assert len(list(folder.glob("traced-*"))) == 7


@pytest.mark.parametrize(
    "damage", [lambda kept: kept[:-9], lambda kept: b"", lambda kept: kept[::-1]]
)
def test_what_is_damaged_is_made_anew_once(folder, damage):
    first, _ = run()
    (path,) = folder.glob("traced-*")
    path.write_bytes(damage(path.read_bytes()))
    mended, count = run()
    assert count == 1
    np.testing.assert_array_equal(mended, first)
    assert run()[1] == 0


def test_traces_that_were_used_least_recently_are_deleted(folder, monkeypatch):
    monkeypatch.setattr(traced_programs, "_MOST_FILES", 2)
    (folder / "jit_other-cache").touch()
    run(size=1)
    (first,) = folder.glob("traced-*")
    run(size=2)
    (second,) = set(folder.glob("traced-*")) - {first}
    for age, path in ((2000, first), (1000, second)):
        os.utime(path, (time.time() - age,) * 2)
    # Used again, it is no longer the oldest.
    assert run(size=1)[1] == 0
    run(size=3)
    kept = set(folder.glob("traced-*"))
    assert first in kept and second not in kept and len(kept) == 2
    assert (folder / "jit_other-cache").exists()
    assert run(size=2)[1] == 1


def test_without_a_cache_or_with_one_that_is_full_it_is_traced(folder, monkeypatch):
    jax.config.update("jax_enable_compilation_cache", False)
    assert run()[1] == 1
    jax.config.update("jax_enable_compilation_cache", True)
    (folder / "file").write_bytes(b"")
    jax.config.update("jax_compilation_cache_dir", str(folder / "file"))
    assert run()[1] == 1
    assert not list(folder.glob("traced-*"))


def test_classes_of_a_user_s_own_are_traced_as_ever(folder):
    for argument in (Own(jnp.ones(2)), {"deep": [Own(jnp.ones(2))]}):
        (leaf,) = jax.tree.leaves(run_kept(jax.jit(lambda tree: tree), (), (argument,), argument))
        np.testing.assert_array_equal(leaf, 1.0)
    assert not list(folder.glob("traced-*"))
    solver = Exponential(np.float32(2.0))
    run_kept(jax.jit(lambda tree: tree), (), (solver,), solver)
    assert len(list(folder.glob("traced-*"))) == 1


def test_what_cannot_be_kept_is_traced_as_ever(folder, monkeypatch):
    def refuse(*_):
        raise ValueError("a custom call without guarantees")

    monkeypatch.setattr(jax.export, "export", refuse)
    np.testing.assert_array_equal(run()[0], [1, 3, 5])
    assert run()[1] == 1 and not list(folder.glob("traced-*"))


def test_what_several_devices_share_is_traced_as_ever(folder):
    mesh = Mesh(np.asarray(jax.devices()[:2]), ("data",))
    x = jax.device_put(jnp.arange(4.0), NamedSharding(mesh, PartitionSpec("data")))
    result, count = run(x=x)
    np.testing.assert_array_equal(result, [1, 3, 5, 7])
    assert count == 1 and not list(folder.glob("traced-*"))
