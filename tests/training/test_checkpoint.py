import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.errors import InputError
from bassdiff.training.checkpoint import Checkpoints
from bassdiff.training.partition import make_mesh, parameter_sharding
from bassdiff.training.state import TrainState


def make_state(step, width=256):
    rng = np.random.default_rng(step)
    w = rng.normal(size=(512, width)).astype(np.float32)
    return TrainState(
        step=np.int32(step), params={"w": w}, ema={"w": -w}, opt_state=(np.int32(step), {"w": w**2})
    )


def placed(state, mesh):
    return jax.device_put(state, parameter_sharding(state, mesh))


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def saved(folder, mesh, steps=(1,), every_steps=1):
    checkpoints = Checkpoints(folder, every_steps)
    for step in steps:
        checkpoints.save(step, placed(make_state(step), mesh), {"next_index": 10 * step})
    checkpoints.close()


def restored(folder, mesh, width=256):
    checkpoints = Checkpoints(folder, 1)
    shapes = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, make_state(0, width)))
    try:
        return checkpoints.restore(shapes, parameter_sharding(shapes, mesh))
    finally:
        checkpoints.close()


@pytest.mark.parametrize("shape", [(4, 2), (8, 1), (1, 8)])
def test_any_mesh_restores_what_another_saved(tmp_path, shape):
    saved(tmp_path, make_mesh(4, 2))
    state, data = restored(tmp_path, make_mesh(*shape))
    assert_equal(state, make_state(1))
    assert data == {"next_index": 10}
    rows = {shard.data.shape[0] for shard in state.params["w"].addressable_shards}
    assert rows == {512 // shape[1]}


def test_the_newest_of_three_kept_checkpoints_comes_back(tmp_path):
    saved(tmp_path, make_mesh(), steps=range(1, 6))
    assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"3", "4", "5"}
    state, data = restored(tmp_path, make_mesh())
    assert_equal(state, make_state(5))
    assert data == {"next_index": 50}


def test_only_every_nth_step_is_saved_unless_forced(tmp_path):
    checkpoints = Checkpoints(tmp_path, every_steps=4)
    steps = [s for s in range(1, 10) if checkpoints.save(s, make_state(s), {})]
    assert set(steps) >= {4, 8}
    assert 5 not in steps
    assert 9 not in steps
    assert checkpoints.save(9, make_state(9), {}, force=True)
    assert not checkpoints.save(9, make_state(9), {}, force=True)
    assert checkpoints.latest_step() == 9
    checkpoints.close()


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path, 1)
    assert checkpoints.latest_step() is None
    checkpoints.close()


def test_what_is_saved_is_the_state_of_that_moment(tmp_path):
    """Saving goes on in the background while the next step overwrites the donated buffers."""
    mesh = make_mesh()
    state = placed(make_state(1), mesh)
    step = jax.jit(lambda s: jax.tree.map(lambda leaf: leaf + 1, s), donate_argnums=0)
    step(placed(make_state(2), mesh))
    checkpoints = Checkpoints(tmp_path, 1)
    checkpoints.save(int(state.step), state, {})
    for _ in range(5):
        state = step(state)
    checkpoints.close()
    assert_equal(restored(tmp_path, mesh)[0], make_state(1))


def test_an_unfinished_save_is_ignored_and_cleared_away(tmp_path):
    saved(tmp_path, make_mesh(), steps=[1])
    unfinished = tmp_path / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "state").mkdir()
    state, _ = restored(tmp_path, make_mesh())
    assert int(state.step) == 1
    assert not unfinished.exists()


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    saved(tmp_path, make_mesh())
    with pytest.raises(InputError, match=r"step 1 in .* does not fit this configuration"):
        restored(tmp_path, make_mesh(), width=128)
    gc.collect()
