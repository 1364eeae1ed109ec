import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.models.adapter import adapted, init_adapter


def test_a_fresh_adapter_changes_nothing(tiny_unet, make_cond):
    _, params, apply = tiny_unet
    adapter = init_adapter(jax.random.key(0), params, 2)
    arguments = jnp.ones((1, 8, 4)), jnp.ones(1), make_cond(1, 8, 3)
    np.testing.assert_array_equal(
        apply({"params": adapted(params, adapter)}, *arguments),
        apply({"params": params}, *arguments),
    )


def test_a_matrix_is_corrected_by_the_product_and_everything_else_is_left():
    params = {
        "conv": {"kernel": jnp.ones((3, 5, 4)), "bias": jnp.ones(4)},
        "small": {"kernel": jnp.ones((2, 9))},
    }
    adapter = init_adapter(jax.random.key(0), params, 2)
    assert jax.tree.map(jnp.shape, adapter) == {"conv": {"kernel": {"down": (15, 2), "up": (2, 4)}}}
    up = jnp.arange(8.0).reshape(2, 4)
    adapter["conv"]["kernel"]["up"] = up
    full = adapted(params, adapter)
    product = np.asarray(adapter["conv"]["kernel"]["down"] @ up).reshape(3, 5, 4)
    np.testing.assert_allclose(full["conv"]["kernel"], 1.0 + product, rtol=1e-6)
    np.testing.assert_array_equal(full["conv"]["bias"], 1.0)
    np.testing.assert_array_equal(full["small"]["kernel"], 1.0)
    assert np.linalg.matrix_rank(product.reshape(15, 4)) == 2
