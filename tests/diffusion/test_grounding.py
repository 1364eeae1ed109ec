import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.grounding import MixAndStyle, StyleGrounding, StyleReplacement
from bassdiff.diffusion.guidance import CFG
from bassdiff.diffusion.schedules import noise_rate


@pytest.fixture
def all_noise(sigma):
    return jnp.full_like(sigma, 1e5)


@pytest.mark.parametrize("grounding", [StyleGrounding, StyleReplacement])
def test_strength_zero_is_off(grounding, denoise, x, sigma, cond, style):
    grounded = grounding(style, 0.0)(denoise)(x, sigma, cond)
    np.testing.assert_array_equal(grounded, denoise(x, sigma, cond))


def test_grounding_pins_the_mean_when_all_is_noise(denoise, x, all_noise, cond, style, real_rows):
    grounded = StyleGrounding(style, 1.0)(denoise)(x, all_noise, cond)
    for row in real_rows(grounded):
        np.testing.assert_allclose(row.mean(axis=0), style, rtol=1e-4, atol=2e-3)


def test_grounding_moves_the_mean_by_strength_times_noise_rate(
    denoise, x, sigma, cond, style, real_rows
):
    x0 = denoise(x, sigma, cond)
    grounded = StyleGrounding(style, 0.6)(denoise)(x, sigma, cond)
    for level, before, after in zip(sigma, real_rows(x0), real_rows(grounded), strict=True):
        shift = 0.6 * float(noise_rate(level)) * (np.asarray(style) - before.mean(axis=0))
        np.testing.assert_allclose(after, before + shift, rtol=1e-4, atol=1e-5)


def test_rows_may_have_styles_of_their_own(denoise, x, sigma, cond, style):
    styles = jnp.stack([style, -style, 2 * style])
    together = StyleGrounding(styles[:, None])(denoise)(x, sigma, cond)
    for row in range(3):
        alone = StyleGrounding(styles[row])(denoise)(x, sigma, cond)
        np.testing.assert_allclose(together[row], alone[row], rtol=1e-6)


def test_channels_that_hold_notes_can_be_spared(denoise, x, sigma, cond, style):
    shares = jnp.asarray([0.0, 1.0, 0.5, 0.0])
    x0 = denoise(x, sigma, cond)
    spared = StyleGrounding(style, 0.6, shares)(denoise)(x, sigma, cond)
    whole = StyleGrounding(style, 0.6)(denoise)(x, sigma, cond)
    expected = np.asarray(x0) + np.asarray(shares) * np.asarray(whole - x0)
    np.testing.assert_allclose(spared, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(spared[..., [0, 3]], x0[..., [0, 3]])


def test_mean_and_spread_are_those_of_the_reference(denoise, x, all_noise, cond, style, real_rows):
    spread = jnp.asarray([0.2, 1.0, 0.5, 2.0])
    both = StyleGrounding(style, spread=spread)(denoise)(x, all_noise, cond)
    for row in real_rows(both):
        np.testing.assert_allclose(row.mean(axis=0), style, rtol=1e-3, atol=2e-3)
        np.testing.assert_allclose(row.std(axis=0), spread, rtol=2e-2)


def test_spread_is_a_knob_of_its_own(denoise, x, sigma, cond, style):
    mean_only = StyleGrounding(style, 0.7)(denoise)(x, sigma, cond)
    off = StyleGrounding(style, 0.7, spread=2 * jnp.ones(4), match_spread=0.0)
    np.testing.assert_allclose(off(denoise)(x, sigma, cond), mean_only, rtol=1e-6)


def test_references_take_turns_by_section(denoise, x, all_noise, make_cond, style):
    cond, styles = make_cond(3, 8, 4), jnp.stack([style, -style])
    sections = jnp.repeat(jnp.eye(2), 4, axis=0)
    grounded = StyleGrounding(styles, sections=sections)(denoise)(x, all_noise, cond)
    for part, wanted in ((grounded[:, :4], style), (grounded[:, 4:], -style)):
        np.testing.assert_allclose(part.mean(axis=1), np.tile(wanted, (3, 1)), atol=2e-3)


def test_sections_that_nobody_needs_change_nothing(denoise, x, sigma, cond, style):
    sections = jnp.eye(3)[jnp.zeros(8, int)]
    padded = StyleGrounding(jnp.stack([style, 9 * style, -style]), sections=sections)
    plain = StyleGrounding(style)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(padded(denoise)(x, sigma, cond), plain, rtol=1e-5, atol=1e-6)


def test_replacement_shows_the_denoiser_the_style_as_mean(x, sigma, cond, style, real_rows):
    seen = StyleReplacement(style, 1.0)(lambda x, sigma, cond: x)(x, sigma, cond)
    for row in real_rows(seen):
        np.testing.assert_allclose(row.mean(axis=0), style, rtol=1e-4, atol=1e-5)


def test_without_its_style_scale_mix_and_style_is_cfg(denoise, x, sigma, cond, style):
    both = MixAndStyle(style, scale=3.0, style_scale=0.0)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(both, CFG(3.0)(denoise)(x, sigma, cond), rtol=1e-5, atol=1e-5)


def test_the_two_scales_add_contrasts_of_their_own(denoise, x, sigma, cond, style):
    both = MixAndStyle(style, scale=2.0, style_scale=1.5, rescale=0.0)(denoise)(x, sigma, cond)
    mixed = CFG(2.0, 0.0)(denoise)(x, sigma, cond)
    nudged = StyleReplacement(style)(denoise)(x, sigma, cond)
    contrast = 1.5 * (nudged - denoise(x, sigma, cond))
    np.testing.assert_allclose(both, mixed + contrast, rtol=1e-4, atol=1e-5)
