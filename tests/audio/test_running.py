import numpy as np
import pytest
import scipy.ndimage

from bassdiff.audio.running import (
    lasting,
    running_mean,
    running_median,
    running_minimum,
    running_sum,
    widened,
)


@pytest.mark.parametrize("count", [1, 4, 50])
@pytest.mark.parametrize("size", [1, 2, 5, 6, 21])
def test_sums_and_means_are_those_of_scipy(rng, count, size):
    values = rng.normal(size=(count, 3))
    mean = scipy.ndimage.uniform_filter1d(values, size, axis=0, mode="nearest")
    np.testing.assert_allclose(running_mean(values, size), mean, atol=1e-12)
    total = scipy.ndimage.convolve1d(values[::-1], np.ones(size), axis=0, mode="constant")[::-1]
    np.testing.assert_allclose(running_sum(values, size), total, atol=1e-12)


@pytest.mark.parametrize("count", [1, 7, 50])
@pytest.mark.parametrize("size", [1, 3, 7, 51])
def test_minima_are_those_of_scipy(rng, count, size):
    values = rng.normal(size=count).astype(np.float32)
    least = scipy.ndimage.minimum_filter1d(values, size, mode="nearest")
    np.testing.assert_array_equal(running_minimum(values, size), least)


def test_medians_are_those_of_scipy_where_windows_are_whole(rng):
    values = rng.normal(size=(4, 30))
    middle = scipy.ndimage.median_filter(values, size=(1, 7))[:, 3:-3]
    np.testing.assert_array_equal(running_median(values, 7), middle)


def test_what_is_widened_or_has_to_last(rng):
    values, marks = rng.normal(size=(20, 30)), rng.random(size=(20, 30)) < 0.4
    np.testing.assert_array_equal(
        widened(values, 2), scipy.ndimage.maximum_filter(values, size=(1, 5))
    )
    np.testing.assert_array_equal(
        widened(marks, 1), scipy.ndimage.binary_dilation(marks, np.ones((1, 3), bool))
    )
    for length in (1, 2, 3, 25):
        np.testing.assert_array_equal(
            lasting(marks, length), scipy.ndimage.binary_opening(marks, np.ones((length, 1), bool))
        )
