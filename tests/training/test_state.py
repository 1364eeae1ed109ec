import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.training.state import TrainState, keep_if_finite, update_ema


def state(step, value, moment=None):
    moment = value if moment is None else moment
    return TrainState(
        step=jnp.int32(step),
        params={"w": jnp.full(3, value, jnp.float32)},
        ema={"w": jnp.full(3, value, jnp.float32)},
        opt_state=(jnp.int32(step), {"w": jnp.full(3, moment, jnp.float32)}),
    )


def test_the_average_forgets_by_its_decay():
    ema = update_ema({"w": jnp.asarray([1.0])}, {"w": jnp.asarray([3.0])}, jnp.int32(10**6), 0.9)
    np.testing.assert_allclose(ema["w"], 0.9 * 1.0 + 0.1 * 3.0, rtol=1e-6)


@pytest.mark.parametrize("step", [0, 5, 80])
def test_a_young_average_forgets_faster(step):
    ema = update_ema({"w": jnp.asarray([1.0])}, {"w": jnp.asarray([3.0])}, jnp.int32(step), 0.999)
    rate = (1 + step) / (10 + step)
    np.testing.assert_allclose(ema["w"], rate * 1.0 + (1 - rate) * 3.0, rtol=1e-5)


def test_the_average_of_constant_parameters_is_theirs():
    ema = jnp.zeros(1)
    for step in range(200):
        ema = update_ema(ema, jnp.asarray([7.0]), jnp.int32(step), 0.99)
    np.testing.assert_allclose(ema, 7.0, rtol=1e-3)


def test_a_finite_step_is_taken():
    new, old = state(4, 2.0), state(3, 1.0)
    kept, skipped = jax.jit(keep_if_finite)(jnp.float32(0.5), new, old)
    assert float(skipped) == 0.0
    for a, b in zip(jax.tree.leaves(kept), jax.tree.leaves(new), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("loss", "value", "moment"),
    [
        (np.nan, 2.0, 2.0),
        (np.inf, 2.0, 2.0),
        (0.5, np.nan, 2.0),
        (0.5, -np.inf, 2.0),
        (0.5, 2.0, np.inf),
        (0.5, 2.0, np.nan),
    ],
)
def test_a_step_that_is_not_finite_changes_nothing_but_the_count(loss, value, moment):
    new, old = state(4, value, moment), state(3, 1.0)
    kept, skipped = jax.jit(keep_if_finite)(jnp.float32(loss), new, old)
    assert float(skipped) == 1.0
    assert int(kept.step) == 4
    for a, b in zip(
        jax.tree.leaves(kept.replace(step=old.step)), jax.tree.leaves(old), strict=True
    ):
        np.testing.assert_array_equal(a, b)
