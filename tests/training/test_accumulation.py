import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.training.accumulation import accumulated_gradient


def loss(params, rows):
    """A mean over rows, and another as a metric."""
    error = jnp.square(rows["x"] @ params["w"] - rows["y"])
    return jnp.mean(error), {"mean_y": jnp.mean(rows["y"])}


@pytest.fixture
def params():
    return {"w": jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)}


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    return {
        name: jnp.asarray(rng.normal(size=(12, n)), jnp.float32) for name, n in (("x", 5), ("y", 3))
    }


@pytest.mark.parametrize("num_parts", [1, 2, 3, 12])
def test_parts_add_up_to_the_whole(params, rows, num_parts):
    whole = jax.value_and_grad(loss, has_aux=True)(params, rows)
    parts = jax.jit(lambda p, r: accumulated_gradient(loss, p, r, num_parts))(params, rows)
    for a, b in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)


def test_only_one_part_is_in_memory_at_a_time(params, rows):
    text = jax.jit(lambda p, r: accumulated_gradient(loss, p, r, 4)).lower(params, rows).as_text()
    assert "stablehlo.while" in text
    assert "tensor<3x5xf32>" in text
