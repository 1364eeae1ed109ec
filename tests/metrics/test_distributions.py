import numpy as np
import pytest
from scipy.linalg import sqrtm

from bassdiff.metrics import manifolds
from bassdiff.metrics.distributions import (
    accompaniment_prompt_adherence,
    frechet_distance,
    frechet_distance_infinity,
    kernel_distance,
)
from bassdiff.metrics.manifolds import prdc
from bassdiff.metrics.set_intervals import distance_interval

DISTANCES = (frechet_distance, frechet_distance_infinity, kernel_distance, prdc)


def _gaussian(rng, num_rows, mean, covariance):
    """Rows whose sample mean and covariance are exactly these."""
    rows = rng.normal(size=(num_rows, len(mean)))
    rows -= rows.mean(axis=0)
    whiten = np.linalg.cholesky(np.linalg.inv(np.cov(rows.T).reshape(len(mean), -1)))
    return mean + rows @ whiten @ np.linalg.cholesky(covariance).T


def _covariance(rng, size):
    root = rng.normal(size=(size, size))
    return root @ root.T + 0.1 * np.eye(size)


def _closed_form(mean1, cov1, mean2, cov2):
    root = sqrtm(cov1 @ cov2).real
    return ((mean1 - mean2) ** 2).sum() + np.trace(cov1 + cov2 - 2 * root)


def test_frechet_distance_of_equal_covariances_is_that_of_the_means(rng):
    covariance, shift = _covariance(rng, 6), np.arange(6.0)
    reference = _gaussian(rng, 50, np.zeros(6), covariance)
    candidate = _gaussian(rng, 80, shift, covariance)
    assert frechet_distance(reference, candidate) == pytest.approx((shift**2).sum(), rel=1e-9)


def test_frechet_distance_in_one_dimension(rng):
    reference = _gaussian(rng, 30, np.array([1.0]), np.array([[4.0]]))
    candidate = _gaussian(rng, 20, np.array([-2.0]), np.array([[0.25]]))
    assert frechet_distance(reference, candidate) == pytest.approx(3**2 + (2 - 0.5) ** 2, rel=1e-9)


def test_frechet_distance_of_commuting_covariances(rng):
    variances1, variances2 = np.array([1.0, 4.0, 9.0]), np.array([16.0, 1.0, 0.25])
    axes = np.linalg.qr(rng.normal(size=(3, 3))).Q
    reference = _gaussian(rng, 40, np.zeros(3), (axes * variances1) @ axes.T)
    candidate = _gaussian(rng, 40, np.zeros(3), (axes * variances2) @ axes.T)
    known = ((np.sqrt(variances1) - np.sqrt(variances2)) ** 2).sum()
    assert frechet_distance(reference, candidate) == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize("num_rows", [9, 300])
def test_frechet_distance_of_covariances_that_do_not_commute(rng, num_rows):
    cov1, cov2 = _covariance(rng, 8), _covariance(rng, 8)
    assert np.abs(cov1 @ cov2 - cov2 @ cov1).max() > 1
    mean1, mean2 = rng.normal(size=(2, 8))
    reference = _gaussian(rng, num_rows, mean1, cov1)
    candidate = _gaussian(rng, num_rows + 1, mean2, cov2)
    known = _closed_form(mean1, cov1, mean2, cov2)
    assert frechet_distance(reference, candidate) == pytest.approx(known, rel=1e-8)


def test_frechet_distance_of_fewer_rows_than_columns(rng):
    """Both sets in one plane: the distance is what it is there, without the other 198 axes."""
    plane = np.linalg.qr(rng.normal(size=(200, 2))).Q
    reference, candidate = rng.normal(size=(7, 2)), 3 * rng.normal(size=(5, 2)) + 1
    flat = frechet_distance(reference, candidate)
    assert frechet_distance(reference @ plane.T, candidate @ plane.T) == pytest.approx(flat)
    wide = rng.normal(size=(2, 12, 200))
    assert frechet_distance(wide[0], wide[0]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(*wide) > 100


def test_frechet_distance_of_constant_sets_is_that_of_the_points():
    assert frechet_distance(np.zeros((3, 4)), np.ones((2, 4))) == pytest.approx(4)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_distances_are_symmetric_and_do_not_mind_order_or_rotation(rng, distance):
    reference, candidate = rng.normal(size=(30, 10)), rng.normal(size=(40, 10)) * 2 + 1
    value = distance(reference, candidate)
    assert distance(candidate, reference) == pytest.approx(value)
    assert distance(reference[::-1], rng.permutation(candidate)) == pytest.approx(value)
    axes = np.linalg.qr(rng.normal(size=(10, 10))).Q
    assert distance(reference @ axes, candidate @ axes) == pytest.approx(value)
    assert distance(reference.astype(np.float32), candidate) == pytest.approx(value, rel=1e-5)


def test_frechet_distance_is_zero_on_itself_and_scales_squared(rng):
    reference, candidate = rng.normal(size=(2, 30, 10))
    assert 0 <= frechet_distance(reference, reference) < 1e-12
    scaled = frechet_distance(3 * reference + 5, 3 * candidate + 5)
    assert scaled == pytest.approx(9 * frechet_distance(reference, candidate))


def test_extrapolation_comes_closer_to_the_population_than_the_distance_itself(rng):
    truth = 16 * (0.3**2 + (1 - 0.8) ** 2)
    reference = _gaussian(rng, 100, np.zeros(16), np.eye(16))
    plain, extrapolated = [], []
    for seed in range(40):
        candidate = 0.8 * rng.normal(size=(80, 16)) + 0.3
        plain.append(frechet_distance(reference, candidate))
        extrapolated.append(frechet_distance_infinity(reference, candidate, seed))
    excess = np.mean(plain) - truth
    assert excess > 0.4
    assert abs(np.mean(extrapolated) - truth) < excess / 3


def test_extrapolation_needs_three_rows_for_each_dimension(rng):
    reference, candidate = rng.normal(size=(2, 48, 16))
    value = frechet_distance_infinity(reference, candidate)
    assert value == frechet_distance_infinity(reference, candidate, seed=0)
    assert value != frechet_distance_infinity(reference, candidate, seed=1)
    assert np.isnan(frechet_distance_infinity(reference, candidate[:47]))
    constant = frechet_distance_infinity(reference[:, :1] * 0, candidate[:, :1] * 0 + 2)
    assert constant == pytest.approx(4)


def test_kernel_distance_is_the_mean_over_pairs(rng):
    reference, candidate = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 0.5

    def mean(left, right, same):
        pairs = [
            (float(x @ y) / 3 + 1) ** 3
            for i, x in enumerate(left)
            for j, y in enumerate(right)
            if not (same and i == j)
        ]
        return sum(pairs) / len(pairs)

    known = mean(reference, reference, True) + mean(candidate, candidate, True)
    known -= 2 * mean(reference, candidate, False)
    assert kernel_distance(reference, candidate) == pytest.approx(known, abs=1e-9)


def test_kernel_distance_has_no_bias(rng):
    """On sets of 10 rows, where a biased estimate would be 0.6 too high."""
    values = np.array([kernel_distance(*rng.normal(size=(2, 10, 4))) for _ in range(4000)])
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean()) < 4 * error < 0.1
    assert 0.3 < (values < 0).mean() < 0.8


def test_identical_sets_cover_one_another(rng):
    rows = rng.normal(size=(40, 3))
    scores = prdc(rows, rows, k=5)
    assert (scores.precision, scores.recall, scores.coverage) == (1, 1, 1)
    # Each ball holds its own row and five neighbours.
    assert scores.density == pytest.approx(6 / 5)
    repeated = np.repeat(rows[:2], 20, axis=0)
    assert prdc(repeated, repeated, k=5).coverage == 1


def test_disjoint_sets_do_not_cover_one_another(rng):
    rows = rng.normal(size=(40, 3))
    scores = prdc(rows, rows + 100)
    assert scores == manifolds.Manifolds(0, 0, 0, 0)


def test_prdc_on_a_line():
    """By hand: at k = 1 the balls of 0, 1, 4 have the radii 1, 1, 3; those of 2, 2.5 have 0.5."""
    reference, candidate = np.array([[0.0], [1.0], [4.0]]), np.array([[2.0], [2.5]])
    scores = prdc(reference, candidate, k=1)
    assert scores.precision == 1
    assert scores.recall == 0
    assert scores.density == (2 + 1) / 2
    assert scores.coverage == pytest.approx(2 / 3)


def test_dropped_modes_cost_recall_and_invented_ones_precision(rng):
    modes = rng.normal(size=(2, 100, 2)) + np.array([[[0, 0]], [[50, 0]]])
    both, one = np.concatenate(modes), rng.normal(size=(100, 2))
    dropped, invented = prdc(both, one), prdc(one, both)
    assert dropped.precision > 0.9 and invented.recall > 0.9
    assert 0.4 < dropped.recall <= 0.5 and 0.4 < dropped.coverage <= 0.5
    assert 0.4 < invented.precision <= 0.5 and invented.coverage > 0.8
    assert dropped.density == pytest.approx(1, abs=0.2)


def test_prdc_is_invariant_to_scale_and_place(rng):
    reference, candidate = rng.normal(size=(2, 60, 4))
    scores = prdc(reference, candidate)
    assert 0.3 < scores.coverage < 1
    assert prdc(7 * reference + 3, 7 * candidate + 3) == scores


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_adherence_has_its_anchors(rng, distance):
    true_pairs, mispaired = rng.normal(size=(50, 6)), rng.normal(size=(60, 6)) + 1
    score = accompaniment_prompt_adherence
    assert score(true_pairs, true_pairs, mispaired, distance) == pytest.approx(1, abs=1e-9)
    assert score(mispaired, true_pairs, mispaired, distance) == pytest.approx(0, abs=1e-9)
    between = [
        score(rng.normal(size=(400, 6)) + share, true_pairs, mispaired, distance)
        for share in (0.3, 0.5, 0.7)
    ]
    assert 1 > between[0] > between[1] > between[2] > 0


def test_adherence_is_one_half_where_both_are_equally_far(rng):
    rows = rng.normal(size=(50, 2))
    shift = np.array([1.0, 0.0])
    aside = rows + np.array([0.0, 5.0])
    assert accompaniment_prompt_adherence(aside, rows - shift, rows + shift) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("to_true", "to_mispaired", "apart", "score"),
    [
        (1, 3, 4, 0.75),
        (3, 1, 4, 0.25),
        (1, 9, 4, 1),  # farther apart than true and mispaired pairs: the formula would leave 0…1
        (9, 1, 4, 0),
        (-1, 2, 4, 0.75),  # an unbiased distance below 0 counts as 0
        (1, 2, -5, 1),
        (0, 0, 0, 0),
        (-1, -2, -3, 0),
    ],
)
def test_adherence_follows_its_formula(to_true, to_mispaired, apart, score):
    table = {("true", "made"): to_true, ("other", "made"): to_mispaired, ("true", "other"): apart}
    value = accompaniment_prompt_adherence(
        "made", "true", "other", lambda reference, candidate: table[reference, candidate]
    )
    assert value == score


def _songs(rng, num_songs, shift=0.0, num_rows=4):
    """Rows of one song have half of their variance in common."""
    own = rng.normal(size=(num_songs, 1, 6))
    return (shift + own + rng.normal(size=(num_songs, num_rows, 6))).reshape(-1, 6) / 2**0.5


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_interval_is_as_wide_as_the_distance_scatters(distance):
    songs = np.repeat(np.arange(16), 4)
    values, widths, hits = [], [], []
    truth = distance(*(_songs(np.random.default_rng(9), 1000, shift) for shift in (0, 1)))
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sets = _songs(rng, 16), _songs(rng, 16, 1.0)
        values.append(distance(*sets))
        low, high = distance_interval(distance, sets, [songs, songs], 40)
        assert (low + high) / 2 == pytest.approx(values[-1])
        widths.append(high - low)
        hits.append(low <= truth <= high)
    assert 0.7 < np.mean(widths) / (2 * 1.96 * np.std(values)) < 1.6
    if distance is kernel_distance:
        assert np.mean(hits) > 0.8


def test_interval_draws_songs_and_not_rows(rng):
    sets = _songs(rng, 20), _songs(rng, 20, 1.0)
    songs = np.repeat(np.arange(20), 4).tolist()

    def width(sets, *groups):
        low, high = distance_interval(kernel_distance, sets, groups, 100)
        return high - low

    by_song, by_row = width(sets, songs, songs), width(sets, range(80), range(80))
    assert by_song > 1.2 * by_row
    # Names may be anything, and a set without groups is left whole.
    names = [f"song {song}" for song in songs]
    assert width(sets, names, names) == by_song
    assert 0 < width(sets, None, songs) < by_song


def test_interval_keeps_a_song_in_all_sets_or_in_none(rng):
    songs = np.repeat(np.arange(10), 3)
    seen = []

    def function(first, second, fixed):
        seen.append((sorted(set(first[:, 0])), sorted(set(second[:, 0])), len(fixed)))
        return 0.0

    rows = songs[:, None].astype(float)
    distance_interval(function, [rows, rows[::-1], rows], [songs, songs[::-1], None], 20, seed=3)
    assert all(first == second and fixed == 30 for first, second, fixed in seen)
    assert {len(first) for first, *_ in seen[:-1]} == {5}
    assert len({tuple(first) for first, *_ in seen}) > 10


def test_interval_halves_sets_of_different_songs_each(rng):
    sizes = set()

    def function(first, second):
        sizes.add((len(first), len(second)))
        return 0.0

    distance_interval(function, [np.ones((7, 1)), np.ones((12, 1))], ["abcdefg", range(12)], 20)
    assert sizes == {(3, 6), (7, 12)}


def test_interval_of_adherence_and_coverage(rng):
    songs = np.repeat(np.arange(12), 4)
    true, other, made = _songs(rng, 12), _songs(rng, 12, 2.0), _songs(rng, 12, 0.5)
    low, high = distance_interval(
        accompaniment_prompt_adherence, [made, true, other], [songs] * 3, 50
    )
    assert low < accompaniment_prompt_adherence(made, true, other) < high < low + 1
    low, high = distance_interval(lambda x, y: prdc(x, y).coverage, [true, made], [songs] * 2, 50)
    assert low < prdc(true, made).coverage < high


@pytest.mark.parametrize("distance", DISTANCES)
def test_bad_sets_are_named(rng, distance):
    good = rng.normal(size=(20, 3))
    bad = good.copy()
    bad[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"the reference has 1 rows; at least \d are needed"):
        distance(good[:1], good)
    with pytest.raises(ValueError, match=r"the candidate has 1 rows; at least \d are needed"):
        distance(good, good[:1])
    with pytest.raises(ValueError, match="3 columns and the candidate 2; take both from one"):
        distance(good, good[:, :2])
    with pytest.raises(ValueError, match="the candidate has values that are NaN or infinite"):
        distance(good, bad)
    with pytest.raises(ValueError, match=r"the reference has shape \(20,\); give .* \[n, D\]"):
        distance(good[:, 0], good)


def test_prdc_needs_more_rows_than_neighbours(rng):
    rows = rng.normal(size=(6, 2))
    assert prdc(rows, rows, k=5).coverage == 1
    with pytest.raises(ValueError, match="the candidate has 5 rows; at least 6 are needed"):
        prdc(rows, rows[:5], k=5)
    with pytest.raises(ValueError, match="k is 0"):
        prdc(rows, rows, k=0)


@pytest.mark.parametrize(
    ("groups", "num_resamples", "message"),
    [
        ([range(8)], 10, "2 sets and 1 groups"),
        ([range(8), range(7)], 10, "8 rows and 7 groups"),
        ([[0, 0, 0, 1, 1, 1, 2, 2], None], 10, "of 3 groups; an interval needs 4"),
        ([range(8), range(8)], 1, "num_resamples is 1"),
    ],
)
def test_bad_groups_are_named(rng, groups, num_resamples, message):
    rows = rng.normal(size=(8, 2))
    with pytest.raises(ValueError, match=message):
        distance_interval(frechet_distance, [rows, rows], groups, num_resamples)
