import numpy as np
import pytest

from bassdiff.inference.inputs import Draft, Style, edit, section_shares, variation
from bassdiff.runtime.errors import InputError


def test_sections_follow_each_other_and_cross_over():
    times = np.asarray([0.0, 4.0, 9.76, 10.0, 10.24, 15.0, 30.0])
    shares = section_shares(np.asarray([0.0, 10.0, 20.0, np.inf]), times)
    expected = [[1, 0], [1, 0], [0.98, 0.02], [0.5, 0.5], [0.02, 0.98], [0, 1], [0, 0]]
    np.testing.assert_allclose(shares[:, :2], expected, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(shares[:, 3], 0.0)


def test_a_single_section_is_everywhere():
    np.testing.assert_array_equal(section_shares(np.asarray([5.0]), np.arange(4.0)), 1.0)


def test_strength_is_an_angle():
    levels = [variation("bass.wav", strength).sigma_max for strength in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(levels, [0.0, 1.0, 80.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: variation("bass.wav", 1.5), "the strength is 1.5"),
        (lambda: edit("bass.wav", 5.0, 5.0), "a region from 5 to 5 s is invalid"),
        (lambda: edit("bass.wav", -1.0, 5.0), "a region from -1 to 5 s is invalid"),
        (lambda: Draft("bass.wav", float("nan")), "the strength is nan"),
        (lambda: Style("bass.wav", 0.0), "the weight of a style is 0.0"),
        (lambda: Style("bass.wav", 1.0, -2.0), "a style starts at -2.0 s"),
    ],
)
def test_impossible_material_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
