import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.statistics import (
    Sounding,
    frame_mean,
    inner_product,
    sample_std,
    sounding_mean,
)

# A last channel of -1 for a rest and 1 for a sound.
LAST = Sounding(jnp.asarray([0.0, 0.0, 0.0, 0.5]), 0.5)
EVERYTHING = Sounding(jnp.zeros(4), 1.0)


def test_only_real_frames_are_read(x, cond, real_rows):
    mask = cond.mask()
    spoilt = jnp.where(mask > 0, x, 1e3)
    found = zip(
        real_rows(x),
        frame_mean(spoilt, mask),
        sample_std(spoilt, mask),
        inner_product(spoilt, x, mask),
        strict=True,
    )
    for row, mean, std, square in found:
        np.testing.assert_allclose(mean[0], row.mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(std[0, 0], row.std(), rtol=1e-4)
        np.testing.assert_allclose(square[0, 0], np.square(row).sum(), rtol=1e-4)


def test_how_much_sounds_is_a_share(x):
    last = jnp.asarray([-9.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.0, 9.0])
    share = LAST(x.at[..., 3].set(last[None]))
    assert share.shape == (3, 8, 1)
    np.testing.assert_allclose(share[1, :, 0], [0, 0, 0.25, 0.5, 0.75, 1, 1, 1])
    np.testing.assert_array_equal(EVERYTHING(x), 1.0)


def test_appended_silence_does_not_move_the_mean_of_what_sounds(x):
    sounds = x.at[..., 3].set(1.0)
    rests = jnp.full((3, 20, 4), 7.0).at[..., 3].set(-1.0)
    longer = jnp.concatenate([sounds, rests], axis=1)
    alone = sounding_mean(sounds, LAST, jnp.ones((3, 8, 1)))
    appended = sounding_mean(longer, LAST, jnp.ones((3, 28, 1)))
    assert alone.shape == (3, 1, 4)
    np.testing.assert_allclose(alone[:, 0], np.asarray(sounds).mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(appended, alone, atol=3e-3)
    # Where all counts, it does.
    assert np.abs(frame_mean(longer, jnp.ones((3, 28, 1))) - alone).max() > 1.0


def test_a_frame_that_half_sounds_counts_half(x):
    half = x.at[..., 3].set(jnp.asarray([1.0, 0.0] * 4)[None])
    expected = np.average(half, axis=1, weights=np.asarray([1.0, 0.5] * 4))
    np.testing.assert_allclose(
        sounding_mean(half, LAST, jnp.ones((3, 8, 1)))[:, 0], expected, atol=1e-3
    )


def test_where_nothing_sounds_all_real_frames_count(x, cond, real_rows):
    silent = x.at[..., 3].set(-1.0)
    spoilt = jnp.where(cond.mask() > 0, silent, 1e3)
    for row, mean in zip(real_rows(silent), sounding_mean(spoilt, LAST, cond.mask()), strict=True):
        np.testing.assert_allclose(mean[0], row.mean(axis=0), rtol=1e-3, atol=1e-5)


def test_where_all_sounds_it_is_the_mean(x, cond):
    np.testing.assert_allclose(
        sounding_mean(x, EVERYTHING, cond.mask()), frame_mean(x, cond.mask()), rtol=1e-4, atol=1e-6
    )
