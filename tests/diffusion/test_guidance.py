import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion import sampler
from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.editing import Keep
from bassdiff.diffusion.grounding import StyleGrounding, StyleReplacement
from bassdiff.diffusion.guidance import APG, CFG, CFGpp, CFGZeroStar, DynamicThresholding, Interval
from bassdiff.diffusion.solvers import Euler
from bassdiff.runtime.errors import InputError

UNIT = {"cfg": CFG(1.0), "apg": APG(1.0), "interval": Interval(CFG(1.0))}


@pytest.mark.parametrize("rescale", [0.0, 0.7, 1.0])
def test_scale_one_is_the_conditional_model(rescale, denoise, x, sigma, cond):
    guided = CFG(1.0, rescale)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(guided, denoise(x, sigma, cond), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", UNIT)
def test_one_is_off_for_every_guidance(name, denoise, x, sigma, cond):
    guided = UNIT[name](denoise)(x, sigma, cond)
    np.testing.assert_allclose(guided, denoise(x, sigma, cond), rtol=1e-5, atol=1e-5)


def test_scale_zero_is_the_unconditional_model(denoise, x, sigma, cond):
    guided = CFG(0.0, 0.0)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(guided, denoise(x, sigma, cond.null()), rtol=1e-5, atol=1e-6)


def test_scale_extrapolates_from_null_to_conditional(denoise, x, sigma, cond):
    guided = CFG(3.0, 0.0)(denoise)(x, sigma, cond)
    own, null = denoise(x, sigma, cond), denoise(x, sigma, cond.null())
    np.testing.assert_allclose(guided, null + 3.0 * (own - null), rtol=1e-5, atol=1e-5)


def test_full_rescaling_gives_the_conditional_estimates_deviation(
    denoise, x, sigma, cond, real_rows
):
    guided, plain = (CFG(6.0, rescale)(denoise)(x, sigma, cond) for rescale in (1.0, 0.0))
    own = real_rows(denoise(x, sigma, cond))
    for row, inflated, wanted in zip(real_rows(guided), real_rows(plain), own, strict=True):
        np.testing.assert_allclose(row.std(), wanted.std(), rtol=1e-4)
        assert inflated.std() > 1.2 * wanted.std()


def test_rescaling_by_channel_gives_each_channel_its_deviation(denoise, x, sigma, cond, real_rows):
    """But it makes none more than twice as large."""
    guided, plain = (CFG(6.0, r, 1.0)(denoise)(x, sigma, cond) for r in (1.0, 0.0))
    own = real_rows(denoise(x, sigma, cond))
    for row, before, wanted in zip(real_rows(guided), real_rows(plain), own, strict=True):
        expected = np.minimum(wanted.std(axis=0), 2.0 * before.std(axis=0))
        np.testing.assert_allclose(row.std(axis=0), expected, rtol=1e-3, atol=1e-5)


def test_rescaling_partly_by_channel_lies_between(denoise, x, sigma, cond):
    whole, part, each = (CFG(6.0, 0.7, c)(denoise)(x, sigma, cond) for c in (0.0, 0.4, 1.0))
    np.testing.assert_allclose(part, 0.6 * whole + 0.4 * each, rtol=1e-4, atol=1e-5)
    assert np.abs(whole - each).max() > 0.01


def test_partial_rescaling_lies_between(denoise, x, sigma, cond):
    none, part, full = (CFG(6.0, r)(denoise)(x, sigma, cond) for r in (0.0, 0.7, 1.0))
    np.testing.assert_allclose(part, 0.7 * full + 0.3 * none, rtol=1e-4, atol=1e-5)


@pytest.fixture
def counted(denoise):
    """A denoiser and the numbers of rows of its calls."""
    calls = []

    def count(x, sigma, cond):
        calls.append((len(x), len(sigma), *(len(leaf) for leaf in jax.tree.leaves(cond))))
        return denoise(x, sigma, cond)

    return count, calls


@pytest.mark.parametrize("guidance", [CFG(2.0), APG(2.0), CFGZeroStar(2.0), CFGpp()], ids=type)
def test_guidance_is_one_call_of_twice_the_rows(guidance, counted, x, sigma, cond):
    denoise, calls = counted
    guidance(denoise)(x, sigma, cond)
    assert calls == [(6,) * 5]


def test_a_row_that_already_has_no_mix_is_not_guided(denoise, x, sigma, make_cond):
    cond = make_cond(3, 8, 4, keep=[1, 0, 1])
    guided = CFG(5.0, 0.0)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(guided[1], denoise(x, sigma, cond)[1], rtol=1e-5, atol=1e-6)


def test_cfgpp_renoises_with_what_the_model_sees_without_the_mix(denoise, x, cond):
    levels, guidance = jnp.asarray([2.5, 1.0]), chain(CFGpp(0.4))
    at = sampler.Trajectory(x, ())
    keys = jax.random.split(jax.random.key(0), 3)
    stepped = sampler.advance(denoise, Euler(), guidance, levels, cond, at, 0, 1, keys).x
    level = jnp.full(3, 2.5)
    own, null = denoise(x, level, cond), denoise(x, level, cond.null())
    published = cond.mask() * (null + 0.4 * (own - null) - 1.0 / 2.5 * null) + 1.0 / 2.5 * x
    np.testing.assert_allclose(stepped, published, rtol=1e-4, atol=1e-5)


def test_cfgpp_ends_on_the_guided_estimate(denoise, x, cond):
    level = jnp.ones(3)
    last = CFGpp(0.4)(denoise)(x, level, cond)
    own, null = denoise(x, level, cond), denoise(x, level, cond.null())
    np.testing.assert_allclose(last, null + 0.4 * (own - null), rtol=1e-5, atol=1e-5)


def test_an_interval_guides_the_rows_inside(denoise, x, sigma, cond):
    guided = Interval(CFG(4.0), 1.0, 3.0)(denoise)(x, sigma, cond)
    inside, outside = CFG(4.0)(denoise)(x, sigma, cond), denoise(x, sigma, cond)
    np.testing.assert_allclose(guided[1], inside[1], rtol=1e-6)
    np.testing.assert_allclose(guided[jnp.asarray([0, 2])], outside[jnp.asarray([0, 2])], rtol=1e-5)


def test_outside_its_interval_a_guidance_costs_nothing(denoise, x, cond):
    def rows_computed(level):
        seen = []

        def spy(x, sigma, cond):
            jax.debug.callback(lambda n: seen.append(int(n)), len(x))
            return denoise(x, sigma, cond)

        jax.block_until_ready(Interval(CFG(4.0), 1.0, 3.0)(spy)(x, jnp.full(3, level), cond))
        jax.effects_barrier()
        return sum(seen)

    assert rows_computed(9.0) == 3
    assert rows_computed(2.0) == 6


def test_apg_drops_what_only_inflates(denoise, x, sigma, cond, real_rows):
    own = real_rows(denoise(x, sigma, cond))
    guided = real_rows(APG(5.0, 0.0, 1e9)(denoise)(x, sigma, cond))
    for row, wanted in zip(guided, own, strict=True):
        update = row - wanted
        assert abs(np.sum(update * wanted)) < 1e-3 * np.linalg.norm(update) * np.linalg.norm(wanted)


def test_apg_with_the_parallel_part_and_no_bound_is_plain_guidance(denoise, x, sigma, cond):
    whole = APG(5.0, 1.0, 1e9)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(whole, CFG(5.0, 0.0)(denoise)(x, sigma, cond), rtol=1e-4, atol=1e-4)


def test_apg_bounds_the_contrast(denoise, x, sigma, cond, real_rows):
    own = real_rows(denoise(x, sigma, cond))
    guided = real_rows(APG(2.0, 1.0, 0.1)(denoise)(x, sigma, cond))
    for row, wanted in zip(guided, own, strict=True):
        np.testing.assert_allclose(np.sqrt(np.mean(np.square(row - wanted))), 0.1, rtol=1e-3)


def test_cfg_zero_star_is_plain_guidance_of_a_fitted_null(x, cond, make_cond):
    # Without a mix this model says half of what it says with one: the fit undoes just that.
    def halved(x, sigma, cond):
        share = 0.5 + 0.5 * cond.keep[:, None, None]
        level = sigma[:, None, None]
        skip = 1.0 / (1.0 + jnp.square(level))
        return skip * x + share * level * jnp.sin(3.0 * x)

    level = jnp.full(3, 2.0)
    guided = CFGZeroStar(7.0)(halved)(x, level, cond)
    np.testing.assert_allclose(guided, halved(x, level, cond), rtol=1e-4, atol=1e-4)


def test_cfg_zero_star_does_not_move_above_its_level(denoise, x, sigma, cond):
    guided = CFGZeroStar(3.0, zero_above=10.0)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(guided[2], x[2] / (1.0 + 40.0**2), rtol=1e-5)
    free = CFGZeroStar(3.0)(denoise)(x, sigma, cond)
    np.testing.assert_allclose(guided[:2], free[:2], rtol=1e-6)


def test_thresholding_clips_real_outliers_and_leaves_the_rest(x, sigma, cond):
    def loud(x, sigma, cond):
        # Padding holds what must not count.
        return jnp.where(cond.mask() > 0, x.at[0, 0, 0].set(50.0), 1e4)

    squashed = DynamicThresholding(1.0, 3.0)(loud)(x, sigma, cond)
    np.testing.assert_allclose(squashed[0, 0, 0], 3.0, rtol=1e-5)
    np.testing.assert_allclose(squashed[0, 1], x[0, 1] * 3.0 / 50.0, rtol=1e-4)
    np.testing.assert_allclose(squashed[1, :5], x[1, :5], rtol=1e-6)


def test_the_right_link_acts_last(denoise, x, sigma, cond, style, real_rows):
    level = jnp.full(3, 1e5)
    cfg, grounding = CFG(6.0, 1.0), StyleGrounding(style)
    chained = chain(cfg, grounding)(denoise)(x, level, cond)
    np.testing.assert_array_equal(chained, grounding(cfg(denoise))(x, level, cond))
    # The documented order pins the mean; the other one rescales it away.
    other = cfg(grounding(denoise))(x, level, cond)
    for row, moved in zip(real_rows(chained), real_rows(other), strict=True):
        np.testing.assert_allclose(row.mean(axis=0), style, rtol=1e-4, atol=2e-3)
        assert np.abs(moved.mean(axis=0) - style).max() > 0.05


@pytest.mark.parametrize(
    "links",
    [
        lambda style: (StyleGrounding(style), CFG()),
        lambda style: (StyleGrounding(style), DynamicThresholding()),
        lambda style: (Keep(style, style), StyleGrounding(style)),
        lambda style: (DynamicThresholding(), lambda denoise: denoise, CFG()),
    ],
)
def test_an_order_in_which_one_undoes_another_is_refused(links, style):
    with pytest.raises(InputError, match=r"would undo .*; put it before"):
        chain(*links(style))


def test_an_empty_chain_changes_nothing(denoise):
    assert chain()(denoise) is denoise


def test_every_number_is_a_leaf(style):
    guidance = chain(CFG(2.0, 0.5), StyleGrounding(style, 0.3), StyleReplacement(style, 0.1))
    assert len(jax.tree.leaves(guidance)) == 10
    assert len(jax.tree.leaves(chain(Interval(APG()), DynamicThresholding()))) == 7
