import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.grounding import MixAndStyle, StyleGrounding, StyleReplacement
from bassdiff.diffusion.guidance import CFG
from bassdiff.diffusion.schedules import noise_rate
from bassdiff.diffusion.statistics import Sounding


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


def test_spread_is_a_setting_of_its_own(denoise, x, sigma, cond, style):
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


@pytest.fixture
def sounding():
    """Says that a frame sounds as much as its last channel is, between 0 and 1."""
    return Sounding(jnp.asarray([0.0, 0.0, 0.0, 1.0]), 0.0)


@pytest.fixture
def timbre():
    """Shares of the pull: all but the channel that says whether a frame sounds."""
    return jnp.asarray([1.0, 1.0, 1.0, 0.0])


def with_rests(x, rests):
    """Frames that sound in full, but for those at `rests`."""
    return x.at[..., 3].set(1.0).at[:, jnp.asarray(rests), 3].set(0.0)


def test_grounding_pins_the_mean_of_what_sounds(x, all_noise, make_cond, style, sounding, timbre):
    """Rests are moved along, and have no say in how far."""
    cond, rests = make_cond(3, 8, 4), [1, 2, 6]
    x0 = with_rests(x, rests)
    grounding = StyleGrounding(style, 1.0, timbre, sounding)
    grounded = np.asarray(grounding(lambda *_: x0)(x, all_noise, cond))
    heard = np.delete(grounded, rests, axis=1)
    expected = np.tile(style[:3], (3, 1))
    np.testing.assert_allclose(heard.mean(axis=1)[:, :3], expected, atol=2e-3)
    assert np.abs(grounded.mean(axis=1)[:, :3] - expected).max() > 0.05
    np.testing.assert_array_equal(grounded[..., 3], x0[..., 3])


def test_what_rests_hold_changes_nothing(x, sigma, make_cond, style, sounding, timbre):
    cond, rests = make_cond(3, 8, 4), [0, 7]
    x0 = with_rests(x, rests)
    loud = x0.at[:, jnp.asarray(rests), :3].add(9.0)
    grounding = StyleGrounding(style, 0.8, timbre, sounding)
    moved, other = (
        np.asarray(grounding(lambda *_, x0=x0: x0)(x, sigma, cond)) for x0 in (x0, loud)
    )
    sounds = np.arange(1, 7)
    np.testing.assert_allclose(moved[:, sounds], other[:, sounds], atol=2e-3)
    assert np.abs(moved[:, sounds] - x0[:, sounds]).max() > 0.05


def test_the_spread_is_that_of_what_sounds(x, all_noise, make_cond, style, sounding, timbre):
    cond, rests, spread = make_cond(3, 8, 4), [3, 4], jnp.asarray([0.2, 1.0, 0.5, 1.0])
    x0 = with_rests(x, rests)
    grounding = StyleGrounding(style, 1.0, timbre, sounding, spread=spread)
    grounded = np.asarray(grounding(lambda *_: x0)(x, all_noise, cond))
    heard = np.delete(grounded, rests, axis=1)
    np.testing.assert_allclose(heard.std(axis=1)[:, :3], np.tile(spread[:3], (3, 1)), rtol=2e-2)


def test_all_sounds_unless_told_otherwise(denoise, x, sigma, cond, style):
    everything = Sounding(jnp.zeros(4), 1.0)
    told = StyleGrounding(style, 0.7, sounding=everything)(denoise)(x, sigma, cond)
    plain = StyleGrounding(style, 0.7)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(told, plain, rtol=1e-5, atol=1e-6)


def test_where_nothing_sounds_a_mean_is_over_all(x, all_noise, make_cond, style, sounding, timbre):
    x0 = with_rests(x, range(8))
    grounding = StyleGrounding(style, 1.0, timbre, sounding)
    grounded = grounding(lambda *_: x0)(x, all_noise, make_cond(3, 8, 4))
    np.testing.assert_allclose(grounded.mean(axis=1)[:, :3], np.tile(style[:3], (3, 1)), atol=2e-3)


@pytest.fixture
def told(cond, style):
    """The condition, with a style of its own in each row; the last one's is not to be used."""
    styles = jnp.stack([style, -style, 2 * style])
    return cond.replace(
        style=styles, keep_style=jnp.asarray([1.0, 1.0, 0.0]), mix_noise=jnp.full(3, 0.2)
    )


@pytest.fixture
def styled(denoise):
    """Depends on the style too, as far as it may be used."""

    def toy(x, sigma, cond):
        keep = 0.0 if cond.keep_style is None else cond.keep_style[:, None, None]
        style = 0.0 if cond.style is None else cond.style[:, None]
        heard = 0.2 * jnp.sin(cond.mix) * cond.keep[:, None, None]
        return denoise(x, sigma, cond) + 0.5 * keep * style + keep * heard

    return toy


@pytest.mark.parametrize("rescale", [0.0, 0.7])
def test_without_its_style_scale_mix_and_style_is_cfg(styled, x, sigma, told, rescale):
    both = MixAndStyle(3.0, 0.0, rescale)(styled)(x, sigma, told)
    plain = CFG(3.0, rescale)(styled)(x, sigma, told.unstyled())
    np.testing.assert_allclose(both, plain, rtol=1e-5, atol=1e-5)


def test_the_two_scales_add_contrasts_of_their_own(styled, x, sigma, told):
    guided = MixAndStyle(scale=2.0, style_scale=1.5, rescale=0.0)(styled)(x, sigma, told)
    null, mix, both = (
        styled(x, sigma, cond) for cond in (told.unstyled().null(), told.unstyled(), told)
    )
    np.testing.assert_allclose(
        guided, null + 2.0 * (mix - null) + 1.5 * (both - mix), rtol=1e-4, atol=1e-5
    )
    # Scales of one are the model that knows both.
    ones = MixAndStyle(1.0, 1.0, 0.0)(styled)(x, sigma, told)
    np.testing.assert_allclose(ones, both, rtol=1e-4, atol=1e-5)
    # The last row has no style to contrast.
    plain = CFG(2.0, 0.0)(styled)(x, sigma, told)
    np.testing.assert_allclose(guided[2], plain[2], rtol=1e-4, atol=1e-5)
    assert np.abs(guided[:2] - plain[:2]).max(axis=(1, 2)).min() > 0.1


def test_mix_and_style_is_one_call_of_three_times_the_rows(styled, x, sigma, told):
    calls = []

    def spy(x, sigma, cond):
        calls.append([len(leaf) for leaf in jax.tree.leaves((x, sigma, cond))])
        return styled(x, sigma, cond)

    MixAndStyle(2.0, 1.5)(spy)(x, sigma, told)
    assert calls == [[9] * 8]


def test_without_any_style_mix_and_style_is_cfg(denoise, x, sigma, cond):
    both = MixAndStyle(3.0, 5.0)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(both, CFG(3.0, 0.7)(denoise)(x, sigma, cond), rtol=1e-5, atol=1e-5)
