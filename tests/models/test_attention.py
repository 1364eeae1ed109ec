import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from bassdiff.models.attention import DynamicPositionalBias, SelfAttention

HEADS, REACH, WIDTH = 2, 4, 6
OFFSETS = np.arange(-REACH, REACH + 1)


@pytest.fixture(scope="module")
def table(randomised):
    """The bias of offsets -4 to 4, with parameters of noise."""
    module = DynamicPositionalBias(HEADS, REACH)
    init = functools.partial(module.init, offsets=OFFSETS)
    params = randomised(jax.eval_shape(init, jax.random.key(0)))
    return np.asarray(module.apply(params, OFFSETS))


@pytest.fixture(scope="module")
def attend(randomised):
    module = SelfAttention(HEADS, REACH)
    shapes = jax.eval_shape(
        module.init, jax.random.key(0), jnp.zeros((1, 3, WIDTH)), jnp.ones((1, 3, 1))
    )
    params = randomised(shapes)
    return params, jax.jit(functools.partial(module.apply, params))


def test_every_offset_has_a_bias_of_its_own(table):
    """Also those that differ in nothing but their sign."""
    assert table.shape == (2 * REACH + 1, HEADS)
    for head in table.T:
        assert np.diff(np.sort(head)).min() > 1e-4


def test_fresh_attention_is_the_identity(rng):
    x = jnp.asarray(rng.normal(size=(2, 5, WIDTH)), jnp.float32)
    fresh = jax.jit(SelfAttention(HEADS, REACH).init_with_output)
    y, _ = fresh(jax.random.key(0), x, jnp.ones((2, 5, 1)))
    np.testing.assert_array_equal(y, x)


def dense(params, x, mask):
    """The formula with all frames before all others, and a mask of those that are near."""
    p, num_frames = jax.tree.map(np.asarray, params["params"]), x.shape[1]
    normed = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * p["ChannelNorm_0"]["gain"]
    qkv = np.split(normed[0] @ p["Dense_0"]["kernel"], 3, axis=-1)
    query, key, value = (part.reshape(num_frames, HEADS, -1).transpose(1, 0, 2) for part in qkv)
    table = DynamicPositionalBias(HEADS, REACH).apply(
        {"params": params["params"]["DynamicPositionalBias_0"]}, OFFSETS
    )
    offset = np.arange(num_frames)[:, None] - np.arange(num_frames)[None]
    bias = np.asarray(table)[np.clip(offset, -REACH, REACH) + REACH].transpose(2, 0, 1)
    logits = query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH // HEADS) + bias
    seen = (np.abs(offset) <= REACH) & (mask[0, :, 0] > 0)[None]
    weights = scipy.special.softmax(np.where(seen[None], logits, -np.inf), axis=-1)
    mixed = (weights @ value).transpose(1, 0, 2).reshape(num_frames, WIDTH)
    return x[0] + mixed @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]


@pytest.mark.parametrize("num_frames", [1, 3, REACH, 5, 2 * REACH, 11, 3 * REACH, 17])
def test_attention_in_blocks_is_the_formula_within_reach(attend, rng, num_frames):
    """Lengths below the reach, its multiples, and others."""
    params, apply = attend
    x = rng.normal(size=(1, num_frames, WIDTH)).astype(np.float32)
    mask = np.ones((1, num_frames, 1), np.float32)
    # A hole that leaves a frame to look at everywhere.
    mask[0, 2::4] = 0.0
    np.testing.assert_allclose(apply(x, mask)[0], dense(params, x, mask), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changed", [0, 3, 4, 9, 13])
def test_frames_within_reach_are_seen_and_no_others(attend, rng, changed):
    _, apply = attend
    x = jnp.asarray(rng.normal(size=(1, 14, WIDTH)), jnp.float32)
    mask = jnp.ones((1, 14, 1))
    moved = np.asarray(apply(x.at[0, changed].add(1.0), mask) - apply(x, mask))[0]
    near = np.abs(np.arange(14) - changed) <= REACH
    assert np.abs(moved[near]).max(axis=1).min() > 1e-4
    np.testing.assert_array_equal(moved[~near], 0.0)


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_how_frames_fall_into_blocks_is_all_the_same(attend, rng, shift):
    _, apply = attend
    x = jnp.asarray(rng.normal(size=(1, 13, WIDTH)), jnp.float32)
    later = jnp.pad(x, ((0, 0), (shift, 0), (0, 0)))
    mask = (jnp.arange(13 + shift) >= shift).astype(jnp.float32)[None, :, None]
    np.testing.assert_allclose(
        apply(later, mask)[0, shift:], apply(x, jnp.ones((1, 13, 1)))[0], rtol=1e-4, atol=1e-5
    )


def test_with_nothing_to_see_a_frame_stays_finite(attend, rng):
    _, apply = attend
    x = jnp.asarray(rng.normal(size=(1, 9, WIDTH)), jnp.float32)
    assert np.all(np.isfinite(apply(x, jnp.zeros((1, 9, 1)))))


def test_masked_frames_are_unseen(attend, rng):
    _, apply = attend
    x = jnp.asarray(rng.normal(size=(2, 8, WIDTH)), jnp.float32)
    mask = jnp.ones((2, 8, 1)).at[0, 5:].set(0.0)
    y = apply(x.at[0, 5:].set(1e3), mask)
    np.testing.assert_allclose(y[0, :5], apply(x[:1, :5], mask[:1, :5])[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[1:], apply(x[1:], mask[1:]), rtol=1e-5, atol=1e-6)


def test_gradients_of_the_bias_need_no_scatter(attend):
    """Which accelerators are slow at: positions are laid out by reshapes."""
    params, _ = attend
    module, x = SelfAttention(HEADS, REACH), jnp.ones((1, 12, WIDTH))

    def loss(params):
        return jnp.sum(module.apply(params, x, jnp.ones((1, 12, 1))) ** 2)

    assert "scatter" not in str(jax.make_jaxpr(jax.grad(loss))(params))
