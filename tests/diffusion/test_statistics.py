import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.statistics import frame_mean, inner_product, sample_std


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
