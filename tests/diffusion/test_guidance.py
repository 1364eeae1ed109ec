import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.guidance import (
    CFG,
    StyleGrounding,
    StyleReplacement,
    chain,
    frame_mean,
    sample_std,
)
from bassdiff.diffusion.schedules import noise_rate

BATCH, FRAMES, CHANNELS = 3, 8, 4
LENGTHS = [8, 5, 3]
SIGMA = jnp.asarray([0.2, 2.0, 40.0])


def toy_denoise(x, sigma, cond):
    """Depends on everything: position, level, mix and whether the mix may be used."""
    heard = cond.mix[..., :CHANNELS] * cond.keep[:, None, None]
    return jnp.tanh(x) + 0.3 * heard + 0.01 * sigma[:, None, None]


@pytest.fixture
def cond(make_cond):
    return make_cond(BATCH, FRAMES, CHANNELS, frames=LENGTHS)


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (BATCH, FRAMES, CHANNELS))


@pytest.fixture
def style():
    return jnp.asarray([0.5, -1.0, 2.0, 0.1])


def real(values, row):
    return np.asarray(values[row, : LENGTHS[row]])


def test_statistics_read_real_frames_only(x, cond):
    spoilt = jnp.where(cond.mask() > 0, x, 1e3)
    mean, std = frame_mean(spoilt, cond.mask()), sample_std(spoilt, cond.mask())
    for row in range(BATCH):
        np.testing.assert_allclose(mean[row, 0], real(x, row).mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(std[row, 0, 0], real(x, row).std(), rtol=1e-4)


@pytest.mark.parametrize("rescale", [0.0, 0.7, 1.0])
def test_scale_one_is_the_conditional_model(x, cond, rescale):
    guided = CFG(1.0, rescale)(toy_denoise)(x, SIGMA, cond)
    np.testing.assert_allclose(guided, toy_denoise(x, SIGMA, cond), rtol=1e-5, atol=1e-6)


def test_scale_zero_is_the_unconditional_model(x, cond):
    guided = CFG(0.0, 0.0)(toy_denoise)(x, SIGMA, cond)
    np.testing.assert_allclose(guided, toy_denoise(x, SIGMA, cond.null()), rtol=1e-5, atol=1e-6)


def test_scale_extrapolates_from_null_to_conditional(x, cond):
    guided = CFG(3.0, 0.0)(toy_denoise)(x, SIGMA, cond)
    own, null = toy_denoise(x, SIGMA, cond), toy_denoise(x, SIGMA, cond.null())
    np.testing.assert_allclose(guided, null + 3.0 * (own - null), rtol=1e-5, atol=1e-5)


def test_full_rescaling_gives_the_conditional_estimates_deviation(x, cond):
    guided = CFG(6.0, 1.0)(toy_denoise)(x, SIGMA, cond)
    own = toy_denoise(x, SIGMA, cond)
    plain = CFG(6.0, 0.0)(toy_denoise)(x, SIGMA, cond)
    for row in range(BATCH):
        np.testing.assert_allclose(real(guided, row).std(), real(own, row).std(), rtol=1e-4)
        assert real(plain, row).std() > 1.2 * real(own, row).std()


def test_partial_rescaling_lies_between(x, cond):
    none, part, full = (CFG(6.0, r)(toy_denoise)(x, SIGMA, cond) for r in (0.0, 0.7, 1.0))
    np.testing.assert_allclose(part, 0.7 * full + 0.3 * none, rtol=1e-4, atol=1e-5)


def test_guidance_is_one_call_of_twice_the_rows(x, cond):
    calls = []

    def denoise(x, sigma, cond):
        calls.append(
            (x.shape[0], sigma.shape[0], *(leaf.shape[0] for leaf in jax.tree.leaves(cond)))
        )
        return toy_denoise(x, sigma, cond)

    CFG(2.0)(denoise)(x, SIGMA, cond)
    assert calls == [(2 * BATCH,) * 5]


def test_a_row_that_already_has_no_mix_is_not_guided(x, make_cond):
    cond = make_cond(BATCH, FRAMES, CHANNELS, keep=[1, 0, 1])
    guided = CFG(5.0, 0.0)(toy_denoise)(x, SIGMA, cond)
    np.testing.assert_allclose(guided[1], toy_denoise(x, SIGMA, cond)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("grounding", [StyleGrounding, StyleReplacement])
def test_strength_zero_is_off(grounding, x, cond, style):
    grounded = grounding(style, 0.0)(toy_denoise)(x, SIGMA, cond)
    np.testing.assert_array_equal(grounded, toy_denoise(x, SIGMA, cond))


def test_grounding_pins_the_mean_when_all_is_noise(x, cond, style):
    sigma = jnp.full(BATCH, 1e5)
    grounded = StyleGrounding(style, 1.0)(toy_denoise)(x, sigma, cond)
    for row in range(BATCH):
        np.testing.assert_allclose(real(grounded, row).mean(axis=0), style, rtol=1e-4, atol=2e-3)


def test_grounding_moves_the_mean_by_strength_times_noise_rate(x, cond, style):
    x0 = toy_denoise(x, SIGMA, cond)
    grounded = StyleGrounding(style, 0.6)(toy_denoise)(x, SIGMA, cond)
    for row in range(BATCH):
        mean = real(x0, row).mean(axis=0)
        shift = 0.6 * float(noise_rate(SIGMA[row])) * (np.asarray(style) - mean)
        np.testing.assert_allclose(real(grounded, row), real(x0, row) + shift, rtol=1e-4, atol=1e-5)


def test_rows_may_have_styles_of_their_own(x, cond, style):
    styles = jnp.stack([style, -style, 2 * style])
    together = StyleGrounding(styles)(toy_denoise)(x, SIGMA, cond)
    for row in range(BATCH):
        alone = StyleGrounding(styles[row])(toy_denoise)(x, SIGMA, cond)
        np.testing.assert_allclose(together[row], alone[row], rtol=1e-6)


def test_channels_that_hold_notes_can_be_spared(x, cond, style):
    shares = jnp.asarray([0.0, 1.0, 0.5, 0.0])
    x0 = toy_denoise(x, SIGMA, cond)
    spared = StyleGrounding(style, 0.6, shares)(toy_denoise)(x, SIGMA, cond)
    whole = StyleGrounding(style, 0.6)(toy_denoise)(x, SIGMA, cond)
    expected = np.asarray(x0) + np.asarray(shares) * np.asarray(whole - x0)
    np.testing.assert_allclose(spared, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(spared[..., [0, 3]], x0[..., [0, 3]])


def test_replacement_shows_the_denoiser_the_style_as_mean(x, cond, style):
    seen = StyleReplacement(style, 1.0)(lambda x, sigma, cond: x)(x, SIGMA, cond)
    for row in range(BATCH):
        np.testing.assert_allclose(real(seen, row).mean(axis=0), style, rtol=1e-4, atol=1e-5)


def test_the_right_link_acts_last(x, cond, style):
    sigma = jnp.full(BATCH, 1e5)
    cfg, grounding = CFG(6.0, 1.0), StyleGrounding(style)
    chained = chain(cfg, grounding)(toy_denoise)(x, sigma, cond)
    np.testing.assert_array_equal(chained, grounding(cfg(toy_denoise))(x, sigma, cond))
    # The documented order pins the mean; the other one rescales it away.
    other = chain(grounding, cfg)(toy_denoise)(x, sigma, cond)
    for row in range(BATCH):
        np.testing.assert_allclose(real(chained, row).mean(axis=0), style, rtol=1e-4, atol=2e-3)
        assert np.abs(real(other, row).mean(axis=0) - style).max() > 0.05


def test_an_empty_chain_changes_nothing():
    assert chain()(toy_denoise) is toy_denoise


def test_every_number_is_a_leaf(style):
    guidance = chain(CFG(2.0, 0.5), StyleGrounding(style, 0.3), StyleReplacement(style, 0.1))
    assert len(jax.tree.leaves(guidance)) == 7
