import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.attention import DynamicPositionalBias, SelfAttention

HEADS, REACH, WIDTH = 2, 4, 6


@pytest.fixture(scope="module")
def bias(randomised):
    """The bias at any length, with parameters that were made at a length of 3."""
    module = DynamicPositionalBias(HEADS, REACH)
    params = randomised(
        jax.eval_shape(functools.partial(module.init, num_frames=3), jax.random.key(0))
    )
    apply = jax.jit(module.apply, static_argnums=1)
    return lambda num_frames: np.asarray(apply(params, num_frames))


@pytest.fixture(scope="module")
def attend(randomised):
    module = SelfAttention(HEADS, REACH)
    shapes = jax.eval_shape(
        module.init, jax.random.key(0), jnp.zeros((1, 3, WIDTH)), jnp.ones((1, 3, 1))
    )
    params = randomised(shapes)
    return params, jax.jit(functools.partial(module.apply, params))


def test_the_bias_is_a_function_of_the_offset(bias):
    b = bias(9)
    assert b.shape == (HEADS, 9, 9)
    np.testing.assert_array_equal(b[:, 1:, 1:], b[:, :-1, :-1])


def test_the_bias_knows_the_sign_of_the_offset(bias):
    b = bias(5)
    assert np.abs(b - b.transpose(0, 2, 1)).max() > 1e-3


def test_offsets_beyond_reach_share_a_bias(bias):
    b = bias(3 * REACH)
    for h in range(HEADS):
        np.testing.assert_array_equal(b[h, REACH:, 0], b[h, REACH, 0])
        np.testing.assert_array_equal(b[h, 0, REACH:], b[h, 0, REACH])
        inside = b[h, : REACH + 1, 0]
        assert np.unique(inside).size == REACH + 1


def test_a_longer_bias_contains_the_shorter_one(bias):
    np.testing.assert_allclose(bias(12)[:, :5, :5], bias(5), rtol=1e-6)


def test_fresh_attention_is_the_identity(rng):
    x = jnp.asarray(rng.normal(size=(2, 5, WIDTH)), jnp.float32)
    fresh = jax.jit(SelfAttention(HEADS, REACH).init_with_output)
    y, _ = fresh(jax.random.key(0), x, jnp.ones((2, 5, 1)))
    np.testing.assert_array_equal(y, x)


def test_attention_agrees_with_its_formula(attend, rng):
    params, apply = attend
    x = rng.normal(size=(1, 7, WIDTH)).astype(np.float32)
    p = jax.tree.map(np.asarray, params["params"])
    normed = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * p["ChannelNorm_0"]["gain"]
    qkv = np.split(normed[0] @ p["Dense_0"]["kernel"], 3, axis=-1)
    query, key, value = (part.reshape(7, HEADS, -1).transpose(1, 0, 2) for part in qkv)
    table = DynamicPositionalBias(HEADS, REACH).apply(
        {"params": params["params"]["DynamicPositionalBias_0"]}, 7
    )
    logits = query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH // HEADS) + table
    weights = np.asarray(jax.nn.softmax(logits, axis=-1))
    mixed = (weights @ value).transpose(1, 0, 2).reshape(7, WIDTH)
    expected = x[0] + mixed @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]
    np.testing.assert_allclose(apply(x, jnp.ones((1, 7, 1)))[0], expected, rtol=1e-4, atol=1e-5)


def test_masked_frames_are_unseen(attend, rng):
    _, apply = attend
    x = jnp.asarray(rng.normal(size=(2, 8, WIDTH)), jnp.float32)
    mask = jnp.ones((2, 8, 1)).at[0, 5:].set(0.0)
    y = apply(x.at[0, 5:].set(1e3), mask)
    np.testing.assert_allclose(y[0, :5], apply(x[:1, :5], mask[:1, :5])[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[1:], apply(x[1:], mask[1:]), rtol=1e-5, atol=1e-6)


def test_shifting_the_frames_shifts_the_output(attend, rng):
    """Positions enter as offsets only: with masked ends, where the frames sit is all the same."""
    _, apply = attend
    x = jnp.asarray(rng.normal(size=(1, 9, WIDTH)), jnp.float32)
    mask = jnp.zeros((1, 9, 1)).at[:, 1:7].set(1.0)
    here = apply(x, mask)[:, 1:7]
    there = apply(jnp.roll(x, 2, axis=1), jnp.roll(mask, 2, axis=1))[:, 3:9]
    np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)
