import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.layers import ChannelNorm, Downsample, NoiseEmbedding, ResidualBlock, Upsample


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.normal(size=(2, 8, 6)), jnp.float32)


def run(module, *inputs):
    return jax.jit(module.init_with_output)(jax.random.key(0), *inputs)[0]


def run_randomised(module, randomised, *inputs):
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    return jax.jit(module.apply)(randomised(shapes), *inputs)


def test_every_frame_gets_unit_power(x):
    y = run(ChannelNorm(), x * jnp.asarray([[[1.0]], [[100.0]]]))
    np.testing.assert_allclose(jnp.mean(jnp.square(y), axis=-1), 1.0, rtol=1e-4)


def test_the_norm_of_a_frame_ignores_all_other_frames(x):
    y = run(ChannelNorm(), x)
    np.testing.assert_array_equal(run(ChannelNorm(), x.at[:, 3:].mul(50.0))[:, :3], y[:, :3])


def test_silence_stays_silent(x):
    np.testing.assert_array_equal(run(ChannelNorm(), jnp.zeros_like(x)), 0.0)


def test_the_norm_computes_in_float32_and_answers_in_its_type():
    huge = jnp.full((1, 1, 4), 1e4, jnp.float16)
    y = run(ChannelNorm(jnp.float16), huge)
    assert y.dtype == jnp.float16
    np.testing.assert_allclose(y, 1.0, rtol=1e-3)


def test_a_fresh_block_is_the_identity(x):
    np.testing.assert_array_equal(run(ResidualBlock(6), x), x)


def test_a_block_reaches_two_frames_either_way(x, randomised):
    y = run_randomised(ResidualBlock(6), randomised, x)
    moved = run_randomised(ResidualBlock(6), randomised, x.at[:, 0].add(1.0))
    changed = np.abs(np.asarray(moved - y)).max(axis=(0, 2)) > 0
    np.testing.assert_array_equal(np.flatnonzero(changed), [0, 1, 2])


def test_masked_frames_act_as_the_zeros_past_an_end(x, randomised):
    mask = jnp.zeros((2, 8, 1)).at[:, :5].set(1.0)
    embedding = jnp.ones((2, 3))
    block = ResidualBlock(4)
    whole = run_randomised(block, randomised, x.at[:, 5:].set(9.0), embedding, mask)
    alone = run_randomised(block, randomised, x[:, :5], embedding, jnp.ones((2, 5, 1)))
    np.testing.assert_allclose(whole[:, :5], alone, rtol=1e-5, atol=1e-6)


def test_the_embedding_tells_rows_apart(x, randomised):
    same = jnp.tile(x[:1], (2, 1, 1))
    embedding = jnp.asarray([[1.0, 0.0], [0.0, 1.0]])
    y = run_randomised(ResidualBlock(6), randomised, same, embedding)
    assert np.abs(y[0] - y[1]).max() > 1e-3


@pytest.mark.parametrize("module", [Downsample(5), Upsample(5)])
def test_rates_change_without_mixing_neighbours(module, x, randomised):
    y = run_randomised(module, randomised, x)
    assert y.shape == ((2, 4, 5) if isinstance(module, Downsample) else (2, 16, 5))
    moved = run_randomised(module, randomised, x.at[:, 2].add(1.0))
    changed = np.flatnonzero(np.abs(np.asarray(moved - y)).max(axis=(0, 2)) > 0)
    np.testing.assert_array_equal(changed, [1] if isinstance(module, Downsample) else [4, 5])


def test_noise_levels_are_told_apart_over_their_whole_range():
    sigma = jnp.asarray(np.geomspace(0.005, 80.0, 200), jnp.float32)
    embedding = np.asarray(run(NoiseEmbedding(16), sigma))
    assert embedding.shape == (200, 16)
    assert np.all(np.isfinite(embedding))
    distances = np.linalg.norm(embedding[:, None] - embedding[None], axis=-1)
    assert distances[~np.eye(200, dtype=bool)].min() > 1e-3


def test_the_embedding_of_a_level_is_its_own(randomised):
    sigma = jnp.asarray([0.1, 3.0, 40.0])
    together = run_randomised(NoiseEmbedding(8), randomised, sigma)
    alone = run_randomised(NoiseEmbedding(8), randomised, sigma[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-5, atol=1e-6)
