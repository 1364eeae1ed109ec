import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.unet import UNet

LENGTHS = [1, 3, 4, 6, 7, 9, 12, 16]


def unit_noise(*shape, seed=1):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.fixture(scope="module")
def run(tiny_unet):
    _, params, apply = tiny_unet
    return lambda x, sigma, cond: np.asarray(apply({"params": params}, x, sigma, cond))


@pytest.fixture(scope="module")
def batch(make_cond):
    """Eight rows of eight lengths, padded to 16 with nonsense."""
    cond = make_cond(8, 16, 3, frames=LENGTHS)
    real = cond.mask() > 0
    x = jnp.where(real, unit_noise(8, 16, 4), 1e3)
    return x, jnp.linspace(0.1, 20.0, 8), cond.replace(mix=jnp.where(real, cond.mix, -1e3))


@pytest.fixture(scope="module")
def padded(run, batch):
    return run(*batch)


def test_output_is_a_float32_sequence_of_the_same_length(padded, batch):
    assert padded.shape == batch[0].shape
    assert padded.dtype == np.float32
    assert np.all(np.isfinite(padded))
    assert padded.std() > 0.01


@pytest.mark.parametrize("row", range(len(LENGTHS)))
def test_a_padded_row_gets_what_it_gets_alone(run, batch, padded, row):
    """Alone means padded no further than to a multiple of the stride."""
    frames = LENGTHS[row]
    length = 4 * math.ceil(frames / 4)
    x, sigma, cond = jax.tree.map(lambda leaf: leaf[row : row + 1], batch)
    alone = run(x[:, :length], sigma, cond.replace(mix=cond.mix[:, :length]))
    np.testing.assert_allclose(padded[row, :frames], alone[0, :frames], rtol=1e-3, atol=1e-5)


def test_padding_comes_out_as_zeros(batch, padded):
    np.testing.assert_array_equal(padded * (1 - np.asarray(batch[2].mask())), 0.0)


def test_rows_are_independent(run, batch, padded):
    x, sigma, cond = batch
    other = cond.replace(mix=cond.mix.at[1:].add(1.0), keep=cond.keep.at[1:].set(0.0))
    moved = run(x.at[1:].add(3.0), sigma.at[1:].mul(2.0), other)
    np.testing.assert_allclose(moved[0], padded[0], rtol=1e-5, atol=1e-6)
    assert np.abs(moved[1:] - padded[1:]).max(axis=(1, 2)).min() > 1e-3


def test_without_its_mix_a_row_gets_what_a_zero_mix_gives(run, batch, padded):
    x, sigma, cond = batch
    null = run(x, sigma, cond.null())
    np.testing.assert_array_equal(null, run(x, sigma, cond.replace(mix=jnp.zeros_like(cond.mix))))
    assert np.abs(null - padded).max(axis=(1, 2)).min() > 1e-3


def test_the_noise_level_is_heard(run, batch, padded):
    x, sigma, cond = batch
    assert np.abs(run(x, 2 * sigma, cond) - padded).max(axis=(1, 2)).min() > 1e-3


def test_every_real_frame_sees_every_other(run, batch, padded):
    x, sigma, cond = batch
    moved = run(x.at[7, 0].add(1.0), sigma, cond)
    assert np.abs(moved[7] - padded[7]).max(axis=1).min() > 1e-7


@pytest.fixture(scope="module")
def told(batch):
    """The batch, each row with a style and noise on its mix."""
    x, sigma, cond = batch
    style = unit_noise(8, 4, seed=2)
    return x, sigma, cond.replace(style=style, keep_style=jnp.ones(8), mix_noise=jnp.full(8, 0.3))


def test_a_style_and_the_noise_of_the_mix_are_heard(run, padded, told):
    x, sigma, cond = told
    heard = run(*told)
    for other in (
        cond.replace(style=cond.style + 1.0),
        cond.replace(mix_noise=2 * cond.mix_noise),
        cond.unstyled(),
        cond.unstyled().replace(mix_noise=None),
    ):
        assert np.abs(run(x, sigma, other) - heard).max(axis=(1, 2)).min() > 1e-4


def test_nothing_told_is_the_same_as_nothing_to_tell(run, padded, told):
    x, sigma, cond = told
    silent = cond.unstyled().replace(mix_noise=jnp.zeros(8))
    np.testing.assert_array_equal(run(x, sigma, silent), padded)
    # No style is not the same as an average one.
    average = cond.replace(style=jnp.zeros_like(cond.style), mix_noise=jnp.zeros(8))
    assert np.abs(run(x, sigma, average) - padded).max(axis=(1, 2)).min() > 1e-4


def test_without_its_mix_a_row_is_not_told_of_its_noise(run, told):
    x, sigma, cond = told
    null = run(x, sigma, cond.null())
    np.testing.assert_array_equal(null, run(x, sigma, cond.null().replace(mix_noise=None)))


def test_a_style_tells_its_own_row_alone(run, told):
    x, sigma, cond = told
    moved = run(x, sigma, cond.replace(style=cond.style.at[1:].add(1.0)))
    np.testing.assert_allclose(moved[0], run(*told)[0], rtol=1e-5, atol=1e-6)


def test_beyond_reach_a_frame_changes_nothing(make_cond, randomised):
    """Attention at half the rate, so that its reach is counted in latent frames."""
    model = UNet(4, (8, 8), num_blocks=1, attention_levels=(1,), num_heads=2, reach_frames=8)
    cond, x = make_cond(1, 128, 3), unit_noise(1, 128, 4)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x, jnp.ones(1), cond)
    apply = jax.jit(functools.partial(model.apply, {"params": randomised(shapes["params"])}))
    moved = apply(x.at[0, 64].add(1.0), jnp.ones(1), cond) - apply(x, jnp.ones(1), cond)
    heard = np.flatnonzero(np.abs(np.asarray(moved)[0]).max(axis=1))
    # Two attentions of 8 frames each, and the few frames of the convolutions.
    assert 8 < 64 - heard[0] < 40
    assert 8 < heard[-1] - 64 < 40


def test_other_lengths_than_the_first_work(run, make_cond):
    out = run(unit_noise(1, 64, 4), jnp.ones(1), make_cond(1, 64, 3))
    assert out.shape == (1, 64, 4)
    assert np.all(np.isfinite(out))


def test_lengths_that_cannot_be_halved_are_refused(run, make_cond):
    with pytest.raises(ValueError, match="10 frames are not a multiple of 4"):
        run(unit_noise(1, 10, 4), jnp.ones(1), make_cond(1, 10, 3))


def test_a_fresh_network_says_zero(make_cond):
    """So that its first loss is the variance of white data."""
    inputs = unit_noise(1, 8, 4), jnp.ones(1), make_cond(1, 8, 3)
    fresh = UNet(num_channels=4, widths=(8,), num_blocks=1, attention_levels=())
    out, _ = jax.jit(fresh.init_with_output)(jax.random.key(0), *inputs)
    np.testing.assert_allclose(out, 0.0, atol=1e-6)


def test_bfloat16_computes_nearly_the_same_in_float32_parameters(tiny_unet, batch, padded):
    model, params, _ = tiny_unet
    half = model.clone(dtype=jnp.bfloat16)
    out = jax.jit(half.apply)({"params": params}, *batch)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, padded, atol=0.1 * padded.std())
    shapes = jax.eval_shape(half.init, jax.random.key(0), *batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(("size", "low", "high"), [("small", 10e6, 20e6), ("base", 100e6, 200e6)])
def test_sizes_are_what_the_config_promises(get_config, make_cond, size, low, high):
    model = UNet(num_channels=64, **get_config("diffusion", size).model)
    inputs = (jnp.zeros((1, 512, 64)), jnp.ones(1), make_cond(1, 512, 128))
    params = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    assert low <= sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) <= high
    if size == "small":
        flops = jax.jit(model.apply).lower(params, *inputs).cost_analysis()["flops"]
        assert 2e9 < flops < 6e9


def test_computing_blocks_again_changes_nothing_but_memory(make_cond):
    cond = make_cond(2, 256, 3)
    x, sigma = jnp.ones((2, 256, 4)), jnp.ones(2)
    results, kept_bytes = [], []
    for how in ({}, {"remat": True, "keep_products": True}, {"remat": True}):
        model = UNet(4, (16, 24), num_blocks=1, attention_levels=(1,), num_heads=2, **how)
        params = jax.jit(model.init)(jax.random.key(0), x, sigma, cond)["params"]
        params = jax.tree.map(lambda leaf: leaf + 0.01, params)

        def loss(params, model=model):
            return jnp.mean(jnp.square(model.apply({"params": params}, x, sigma, cond) - 1.0))

        value, pull_back = jax.jit(lambda params, loss=loss: jax.vjp(loss, params))(params)
        results.append((value, *pull_back(1.0)))
        kept_bytes.append(sum(leaf.nbytes for leaf in jax.tree.leaves(pull_back)))
    # Also: the same names of parameters.
    for other in results[1:]:
        for a, b in zip(*map(jax.tree.leaves_with_path, (results[0], other)), strict=True):
            assert a[0] == b[0]
            np.testing.assert_allclose(a[1], b[1], rtol=1e-4, atol=1e-6)
    assert kept_bytes[2] < 0.5 * kept_bytes[0]
    assert kept_bytes[2] < kept_bytes[1] < 0.9 * kept_bytes[0]
