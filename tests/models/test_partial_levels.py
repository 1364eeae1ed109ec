"""Levels taken apart in time and put together again, and read off at partials."""

import jax.numpy as jnp
import numpy as np

from bassdiff.models import partial_levels
from bassdiff.models.partial_levels import NUM_SINGLE_PARTIALS


def test_a_spectrum_is_a_mean_and_dynamics_are_what_lines_miss(rng):
    levels = rng.normal(size=(2, 4 * 9, partial_levels.NUM_LEVELS)).astype(np.float32)
    spectrum, dynamics = partial_levels.split_time(jnp.asarray(levels))
    assert spectrum.shape == (2, 9, partial_levels.NUM_LEVELS)
    assert dynamics.shape == (2, 9, partial_levels.NUM_DYNAMICS)
    np.testing.assert_allclose(spectrum, levels.reshape(2, 9, 4, -1).mean(axis=2), atol=1e-5)


def test_levels_that_move_in_groups_come_back(rng):
    """Any spectrum by lines, and what every level of a group does alike on top of it."""
    spectrum = rng.normal(size=(2, 9, partial_levels.NUM_LEVELS)).astype(np.float32)
    dynamics = rng.normal(size=(2, 9, partial_levels.NUM_DYNAMICS)).astype(np.float32)
    alike = partial_levels.join_time(jnp.zeros_like(spectrum), jnp.asarray(dynamics))
    again = partial_levels.join_time(*partial_levels.split_time(alike))
    np.testing.assert_allclose(again, alike, atol=1e-4)
    # Four groups, and every level is in one.
    assert len({tuple(row) for row in np.asarray(alike)[0].T}) == partial_levels.NUM_GROUPS
    lines = partial_levels.join_time(jnp.asarray(spectrum), jnp.zeros_like(dynamics))
    means = np.asarray(lines).reshape(2, 9, 4, -1).mean(axis=2)
    # Lines between the middles: a quarter of a frame's neighbours on average, each an eighth.
    edges = np.pad(spectrum, ((0, 0), (1, 1), (0, 0)), mode="edge")
    smoothed = 0.75 * spectrum + 0.125 * (edges[:, :-2] + edges[:, 2:])
    np.testing.assert_allclose(means, smoothed, atol=1e-5)


def test_a_group_keeps_its_mean_where_its_levels_differ(rng):
    levels = jnp.asarray(rng.normal(size=(1, 4 * 6, partial_levels.NUM_LEVELS)), jnp.float32)
    again = partial_levels.join_time(*partial_levels.split_time(levels))
    for error in (np.asarray(again - levels)[0] @ member for member in membership()):
        np.testing.assert_allclose(error, 0.0, atol=1e-4)


def membership():
    """`[4, 36]`, 1 where a level belongs to a group, found by moving the groups one by one."""
    still = jnp.zeros((partial_levels.NUM_GROUPS, 1, partial_levels.NUM_LEVELS))
    one = np.zeros((partial_levels.NUM_GROUPS, 1, partial_levels.NUM_DYNAMICS), np.float32)
    one[:, 0, : partial_levels.NUM_GROUPS] = np.eye(partial_levels.NUM_GROUPS)
    return np.asarray(partial_levels.join_time(still, jnp.asarray(one)))[:, 0]


def test_slow_ramps_need_no_dynamics():
    slopes = np.linspace(-0.05, 0.05, partial_levels.NUM_LEVELS, dtype=np.float32)
    ramp = np.arange(4 * 8, dtype=np.float32)[None, :, None] * slopes[None, None]
    spectrum, dynamics = partial_levels.split_time(jnp.asarray(ramp))
    np.testing.assert_allclose(dynamics[:, 1:-1], 0.0, atol=1e-5)
    again = partial_levels.join_time(spectrum, dynamics)
    np.testing.assert_allclose(again[:, 4:-4], ramp[:, 4:-4], atol=1e-5)


def test_partials_take_levels_of_their_own_and_then_those_of_bands():
    levels = np.zeros((1, 2, partial_levels.NUM_LEVELS), np.float32)
    levels[..., :NUM_SINGLE_PARTIALS] = -np.arange(NUM_SINGLE_PARTIALS)
    # Bands that rise by a neper an octave do so for every partial between their middles.
    levels[..., NUM_SINGLE_PARTIALS:] = np.log2(partial_levels.BAND_CENTRES_HZ / 1000.0)
    f0_hz = jnp.asarray([[40.0, 100.0]])
    found = np.asarray(partial_levels.at_partials(jnp.asarray(levels), f0_hz, 60))[0]
    np.testing.assert_array_equal(found[:, :NUM_SINGLE_PARTIALS], levels[0, :, :16])
    expected = np.log2(np.arange(17, 61)[None] * np.array([[40.0], [100.0]]) / 1000.0)
    np.testing.assert_allclose(found[:, NUM_SINGLE_PARTIALS:], expected, atol=1e-4)


def test_beyond_the_middles_of_the_outer_bands_a_value_stays():
    centres_hz = np.geomspace(100.0, 1600.0, 5)
    values = jnp.asarray([[[1.0, 2.0, 4.0, 8.0, 16.0]]])
    places = jnp.asarray([[[10.0, 100.0, 400.0, 800.0 * 2**0.5, 1600.0, 9000.0]]])
    found = partial_levels.interpolate(values, centres_hz, places)
    np.testing.assert_allclose(found[0, 0], [1.0, 1.0, 4.0, 12.0, 16.0, 16.0], rtol=1e-5)
