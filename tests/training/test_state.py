import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.training.state import update_ema


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
