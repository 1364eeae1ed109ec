import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.matching import AttentionPool, MatchingModel


@pytest.fixture(scope="module")
def towers(randomised):
    model = MatchingModel(
        width=8, num_blocks=1, num_heads=2, reach_frames=8, embedding_size=16, window_frames=12
    )
    mix, bass = jnp.zeros((1, 12, 5)), jnp.zeros((1, 12, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), mix, bass, jnp.full(1, 12, jnp.int32))
    return model, {**randomised(shapes["params"]), "log_scale": jnp.log(20.0)}, jax.jit(model.apply)


@pytest.fixture
def batch(rng):
    mix, bass = rng.normal(size=(2, 12, 5)), rng.normal(size=(2, 12, 3))
    return jnp.asarray(mix, jnp.float32), jnp.asarray(bass, jnp.float32)


def test_vectors_are_of_unit_length_and_the_scale_is_as_set(towers, batch):
    _, params, apply = towers
    mix, bass, scale = apply({"params": params}, *batch, jnp.full(2, 12, jnp.int32))
    for vectors in (mix, bass):
        assert vectors.shape == (2, 16)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert float(scale) == pytest.approx(20.0, rel=1e-5)


@pytest.mark.parametrize(("log_scale", "expected"), [(9.0, 100.0), (-3.0, 1.0)])
def test_the_scale_stays_within_its_bounds(towers, batch, log_scale, expected):
    _, params, apply = towers
    params = {**params, "log_scale": jnp.asarray(log_scale)}
    assert float(apply({"params": params}, *batch, jnp.full(2, 12, jnp.int32))[2]) == pytest.approx(
        expected, rel=1e-5
    )


def test_a_padded_row_gets_what_it_would_get_alone(towers, batch):
    model, params, _ = towers
    for method, x in (("embed_mix", batch[0]), ("embed_bass", batch[1])):
        embed = jax.jit(
            lambda x, frames, m=method: model.apply({"params": params}, x, frames, method=m)
        )
        padded = x.at[:, 8:].set(99.0)
        ragged = embed(padded, jnp.asarray([8, 12]))
        alone = embed(x[:1, :8], jnp.asarray([8]))
        np.testing.assert_allclose(ragged[0], alone[0], rtol=1e-4, atol=1e-5)
        assert not np.allclose(ragged[1], alone[0], atol=1e-2)


def test_the_pool_hears_when_something_happens(randomised):
    """Its mean cannot: a late pattern has the same values, each as often."""
    pool = AttentionPool(num_heads=2, head_width=4, num_rhythms=3, num_rates=10, size=8)
    pattern = jnp.zeros((1, 64, 4)).at[:, ::8].set(1.0)
    mask = jnp.ones((1, 64, 1))
    shapes = jax.eval_shape(pool.init, jax.random.key(0), pattern, mask)
    params = randomised(shapes["params"])

    def vector(h, **changed):
        return pool.apply({"params": {**params, **changed}}, h, mask)[0]

    late = jnp.roll(pattern, 4, axis=1)
    silent = {"recurrence": jax.tree.map(jnp.zeros_like, params["recurrence"])}
    np.testing.assert_allclose(vector(late, **silent), vector(pattern, **silent), rtol=1e-5)
    assert np.abs(vector(late) - vector(pattern)).max() > 0.1
