"""How far one set of embeddings is from another: sound and fit without a matching pair.

A set is `[n, D]` float, one row for each window of audio; `embedders` makes them. Distances of
different embedders cannot be compared, nor Fréchet distances of sets of different sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

# The excess bends away from a line in 1 / N towards small N: sizes from half of the candidates up.
_SMALLEST_SHARE, _NUM_SIZES, _NUM_DRAWS = 0.5, 15, 4
_MIN_ROWS_PER_DIMENSION = 3
MIN_GROUPS = 4
_NORMAL_QUANTILE = 1.959964


@dataclass(frozen=True)
class Manifolds:
    """How two sets cover one another.

    Attributes:
      precision: share of the candidates inside the reference, 0…1: are they realistic?
      recall: share of the reference inside the candidates, 0…1: is all of it played?
      density: as precision, counting how often; 0 or more, about 1 for sets that are alike.
      coverage: share of the reference with a candidate near by, 0…1; as recall, but not
        deceived by candidates far out.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def frechet_distance(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Distance of two Gaussians with the sets' means and covariances (FAD, of audio).

    ||m1 - m2||² + tr(S1 + S2 - 2 (S1 S2)^½), S unbiased (divided by n - 1). Finite sets are
    farther apart than what they are drawn from, the more so the fewer rows they have.

    Args:
      reference: `[n, D]` float, n at least 2; fewer rows than D are no hindrance.
      candidate: `[m, D]` float, m at least 2.

    Returns:
      0 or more, in squared units of the embeddings; symmetric.

    Raises:
      ValueError: too few rows, another D, or values that are not finite.

    Source: https://arxiv.org/abs/1706.08500, of audio https://arxiv.org/abs/1812.08466.
    """
    reference, candidate = _checked(reference, candidate)
    return _frechet(*_moments(reference), *_moments(candidate))


def frechet_distance_infinity(reference: np.ndarray, candidate: np.ndarray, seed: int = 0) -> float:
    """The Fréchet distance that infinitely many candidates would have.

    Fits `FD(N) = value + slope / N` to random subsets of N candidates, from half of them to
    all. What the reference's own size adds remains, so give it many rows.

    Args:
      reference: `[n, D]` float, n at least 2.
      candidate: `[m, D]` float, m at least 2.
      seed: of the subsets.

    Returns:
      The intercept; unlike the distance itself it may be negative. NaN where m is below 3 D:
      with so few rows the excess is not linear in 1 / N, and it would come out too low.

    Raises:
      ValueError: as `frechet_distance`.

    Source: https://arxiv.org/abs/1911.07023, of audio https://arxiv.org/abs/2311.01616.
    """
    reference, candidate = _checked(reference, candidate)
    num_rows, width = candidate.shape
    if num_rows < _MIN_ROWS_PER_DIMENSION * width:
        return np.nan
    rng, fixed = np.random.default_rng(seed), _moments(reference)
    sizes = np.linspace(_SMALLEST_SHARE * num_rows, num_rows, _NUM_SIZES).round().astype(int)
    sizes = np.repeat(sizes, _NUM_DRAWS)
    subsets = (candidate[rng.permutation(num_rows)[:size]] for size in sizes)
    distances = np.array([_frechet(*fixed, *_moments(subset)) for subset in subsets])
    return float(np.polyfit(1 / sizes, distances, 1)[1])


def kernel_distance(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Squared maximum mean discrepancy with a cubic kernel, free of bias (KID, of images).

    mean of k(x, x') + mean of k(y, y') - 2 mean of k(x, y), k(x, y) = (x·y / D + 1)³, where x
    and x', y and y' are different rows. KID averages it over random subsets to save time; whole
    sets have the same expectation and less variance. KAD is the same estimator with a Gaussian
    kernel, as wide as the median distance within the reference, times a constant.

    Args:
      reference: `[n, D]` float, n at least 2.
      candidate: `[m, D]` float, m at least 2.

    Returns:
      0 in expectation for sets of one distribution, hence sometimes negative; symmetric; grows
      with the embeddings' scale.

    Raises:
      ValueError: too few rows, another D, or values that are not finite.

    Source: https://arxiv.org/abs/1801.01401, of audio https://arxiv.org/abs/2502.15602.
    """
    reference, candidate = _checked(reference, candidate)
    between = _cubic_kernel(reference, candidate).mean()
    return float(_mean_kernel_within(reference) + _mean_kernel_within(candidate) - 2 * between)


def prdc(reference: np.ndarray, candidate: np.ndarray, k: int = 5) -> Manifolds:
    """Precision, recall, density and coverage: how two sets cover one another.

    Around each row lies a ball that reaches to its k-th nearest neighbour in its own set, that
    neighbour included; a set's balls are its manifold.
    precision = mean over y of [y in any ball of x];  recall = mean over x of [x in any ball of y];
    density = mean over y of (balls of x that hold y) / k;
    coverage = mean over x of [any y in the ball of x].

    Args:
      reference: x, `[n, D]` float, n above k.
      candidate: y, `[m, D]` float, m above k.
      k: neighbours, 1 or more; compare scores of equal k, n and m only.

    Returns:
      The four scores.

    Raises:
      ValueError: too few rows for k, another D, or values that are not finite.

    Source: https://arxiv.org/abs/1904.06991 and https://arxiv.org/abs/2002.09797.
    """
    if k < 1:
        raise ValueError(f"k is {k}; a row needs at least 1 neighbour")
    reference, candidate = _checked(reference, candidate, k + 1, k + 1)
    distances = cdist(reference, candidate)
    in_reference = distances <= _radii(reference, k)[:, None]
    in_candidate = distances <= _radii(candidate, k)
    return Manifolds(
        precision=float(in_reference.any(axis=0).mean()),
        recall=float(in_candidate.any(axis=1).mean()),
        density=float(in_reference.sum(axis=0).mean() / k),
        coverage=float(in_reference.any(axis=1).mean()),
    )


def accompaniment_prompt_adherence(
    candidate: np.ndarray,
    true_pairs: np.ndarray,
    mispaired: np.ndarray,
    distance: Callable[[np.ndarray, np.ndarray], float] = frechet_distance,
) -> float:
    """How well basses go with their mixes, from embeddings of both together (APA).

    ½ + (d(y, x') - d(y, x)) / (2 max(d(x, x'), |d(y, x') - d(y, x)|)), of candidate pairs y, true
    pairs x and mispaired ones x', each d raised to 0 where it is below.

    Args:
      candidate: y, `[n, D]` float: mixes with the basses generated for them.
      true_pairs: x, `[m, D]` float: mixes with their own basses.
      mispaired: x', `[l, D]` float: mixes with the true basses of other songs.
      distance: of two sets; the paper's is the Fréchet distance. `kernel_distance` suits few
        windows better, for it has no bias.

    Returns:
      0…1: 1 for the true pairs, 0 for the mispaired ones, ½ as far from either; 0 if all three
      are alike, of which nothing can be said.

    Raises:
      ValueError: as `distance`.

    Source: https://arxiv.org/abs/2503.06346; `max` is how the authors' package `audio-metrics`
    keeps the paper's formula within 0…1.
    """
    to_true = max(0.0, distance(true_pairs, candidate))
    to_mispaired = max(0.0, distance(mispaired, candidate))
    gain = to_mispaired - to_true
    scale = max(distance(true_pairs, mispaired), abs(gain))
    return 0.5 + gain / (2 * scale) if scale > 0 else 0.0


def distance_interval(
    function: Callable[..., float],
    sets: Sequence[np.ndarray],
    groups: Sequence[Sequence[Hashable] | None],
    num_resamples: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """A 95 % interval for a function of sets whose rows come in groups, such as songs.

    function(sets) ± 1.96 std of function(random halves of the songs): what half of the songs
    gives scatters about what all give as the latter does about the truth. A bootstrap would draw
    songs twice, and a distance that takes the repeated rows for structure grows: such intervals
    miss the very estimate they are for.

    Args:
      function: of as many arrays as there are sets, such as `frechet_distance`.
      sets: `[n, D]` float each.
      groups: for each set, the group of each of its rows, or None to leave the set whole. A
        group is kept or left out in all sets at once; a set with groups needs at least 4.
      num_resamples: halves to draw, 2 or more.
      seed: of the halves.

    Returns:
      Low and high end; they are not cut to the function's range.

    Raises:
      ValueError: too few groups or resamples, groups that do not match the sets, or as
        `function`, of half of the rows.

    Source: Shao and Wu, A general theory for jackknife variance estimation, 1989.
    """
    numbers = _group_numbers(sets, groups)
    if num_resamples < 2:
        raise ValueError(f"num_resamples is {num_resamples}; at least 2 are needed")
    num_groups = 1 + max((int(number.max()) for number in numbers if number is not None), default=0)
    rng, values = np.random.default_rng(seed), []
    for _ in range(num_resamples):
        order = rng.permutation(num_groups)
        halves = [
            rows if number is None else rows[_lower_half(order[number])]
            for rows, number in zip(sets, numbers, strict=True)
        ]
        values.append(function(*halves))
    middle, reach = function(*sets), _NORMAL_QUANTILE * np.std(values, ddof=1)
    return float(middle - reach), float(middle + reach)


def _checked(
    reference: np.ndarray, candidate: np.ndarray, min_references: int = 2, min_candidates: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, or what is wrong with them."""
    reference, candidate = np.asarray(reference, float), np.asarray(candidate, float)
    for name, rows, least in (
        ("reference", reference, min_references),
        ("candidate", candidate, min_candidates),
    ):
        if rows.ndim != 2 or not rows.shape[1]:
            raise ValueError(f"the {name} has shape {rows.shape}; give embeddings of shape [n, D]")
        if len(rows) < least:
            raise ValueError(f"the {name} has {len(rows)} rows; at least {least} are needed")
        if not np.isfinite(rows).all():
            raise ValueError(f"the {name} has values that are NaN or infinite")
    if reference.shape[1] != candidate.shape[1]:
        raise ValueError(
            f"the reference has {reference.shape[1]} columns and the candidate "
            f"{candidate.shape[1]}; take both from one embedder"
        )
    return reference, candidate


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean `[D]` and a factor F `[min(n, D), D]` of the covariance FᵀF."""
    mean = rows.mean(axis=0)
    factor = (rows - mean) / np.sqrt(len(rows) - 1)
    return mean, np.asarray(np.linalg.qr(factor, mode="r")) if len(rows) > len(mean) else factor


def _frechet(mean1: np.ndarray, f1: np.ndarray, mean2: np.ndarray, f2: np.ndarray) -> float:
    # S1 S2 = f1ᵀf1 f2ᵀf2 has the eigenvalues of the symmetric (f1 f2ᵀ)(f1 f2ᵀ)ᵀ, whose roots are
    # singular values: real, and accurate where roots of eigenvalues near 0 are not.
    root_trace = np.linalg.svd(f1 @ f2.T, compute_uv=False).sum()
    distance = ((mean1 - mean2) ** 2).sum() + (f1**2).sum() + (f2**2).sum() - 2 * root_trace
    return max(0.0, float(distance))


def _cubic_kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left @ right.T / left.shape[1] + 1) ** 3


def _mean_kernel_within(rows: np.ndarray) -> float:
    kernel = _cubic_kernel(rows, rows)
    return (kernel.sum() - np.trace(kernel)) / (len(rows) * (len(rows) - 1))


def _radii(rows: np.ndarray, k: int) -> np.ndarray:
    # The nearest of all is the row itself.
    return np.partition(cdist(rows, rows), k, axis=1)[:, k]


def _group_numbers(
    sets: Sequence[np.ndarray], groups: Sequence[Sequence[Hashable] | None]
) -> list[np.ndarray | None]:
    """For each set the number `[n]` of each row's group, the same in all sets."""
    if len(sets) != len(groups):
        raise ValueError(f"{len(sets)} sets and {len(groups)} groups: give as many of each")
    number: dict[Hashable, int] = {}
    found: list[np.ndarray | None] = []
    for rows, names in zip(sets, groups, strict=True):
        if names is None:
            found.append(None)
            continue
        if len(names) != len(rows):
            raise ValueError(f"{len(rows)} rows and {len(names)} groups: name one for each row")
        if len(set(names)) < MIN_GROUPS:
            raise ValueError(
                f"the rows are of {len(set(names))} groups; an interval needs {MIN_GROUPS}"
            )
        found.append(np.array([number.setdefault(name, len(number)) for name in names]))
    return found


def _lower_half(ranks: np.ndarray) -> np.ndarray:
    """Of which rows the group is among the lower half of the ranks; of an odd number, less."""
    present = np.unique(ranks)
    return ranks < present[len(present) // 2]
