"""Distances between sets of embeddings.

A set is `[n, D]` float, one row per window of audio, made by `embedders`. Distances with different
embedders are not comparable, and neither are Fréchet distances of sets of different sizes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# The bias is linear in 1 / N only for large N, so subsets have half of the candidates or more.
_SMALLEST_SHARE, _NUM_SIZES, _NUM_DRAWS = 0.5, 15, 4
_MIN_ROWS_PER_DIMENSION = 3


def frechet_distance(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Fréchet distance of Gaussians with the sets' means and covariances (FAD for audio).

    ||m1 - m2||² + tr(S1 + S2 - 2 (S1 S2)^½), S unbiased (divided by n - 1). Finite sets are biased
    upwards, more so with fewer rows.

    Args:
      reference: `[n, D]` float, n at least 2; may have fewer rows than D.
      candidate: `[m, D]` float, m at least 2.

    Returns:
      0 or more, in squared units of the embeddings; symmetric.

    Raises:
      ValueError: If there are too few rows, different D, or values that are not finite.

    Source: https://arxiv.org/abs/1706.08500, for audio https://arxiv.org/abs/1812.08466.
    """
    reference, candidate = checked(reference, candidate)
    return _frechet(*_moments(reference), *_moments(candidate))


def frechet_distance_infinity(reference: np.ndarray, candidate: np.ndarray, seed: int = 0) -> float:
    """The Fréchet distance extrapolated to infinitely many candidates.

    Fits `FD(N) = value + slope / N` to random subsets of N candidates, from half of them to all.
    The bias from the reference's size remains, so give it many rows.

    Args:
      reference: `[n, D]` float, n at least 2.
      candidate: `[m, D]` float, m at least 2.
      seed: Seed of the subsets.

    Returns:
      The intercept, which may be negative. NaN if m is below 3 D: with so few rows the bias is not
      linear in 1 / N, and the result would be too low.

    Raises:
      ValueError: See `frechet_distance`.

    Source: https://arxiv.org/abs/1911.07023, for audio https://arxiv.org/abs/2311.01616.
    """
    reference, candidate = checked(reference, candidate)
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
    """Unbiased squared maximum mean discrepancy with a cubic kernel (KID for images).

    mean of k(x, x') + mean of k(y, y') - 2 mean of k(x, y), k(x, y) = (x·y / D + 1)³, where x and
    x', y and y' are different rows. KID averages this over random subsets to save time; whole sets
    have the same expectation and less variance. KAD is the same estimator with a Gaussian kernel
    whose width is the median distance within the reference, times a constant.

    Args:
      reference: `[n, D]` float, n at least 2.
      candidate: `[m, D]` float, m at least 2.

    Returns:
      0 in expectation for equal distributions, so it can be negative; symmetric; grows with the
      embeddings' scale.

    Raises:
      ValueError: If there are too few rows, different D, or values that are not finite.

    Source: https://arxiv.org/abs/1801.01401, for audio https://arxiv.org/abs/2502.15602.
    """
    reference, candidate = checked(reference, candidate)
    between = _cubic_kernel(reference, candidate).mean()
    return float(_mean_kernel_within(reference) + _mean_kernel_within(candidate) - 2 * between)


def accompaniment_prompt_adherence(
    candidate: np.ndarray,
    true_pairs: np.ndarray,
    mispaired: np.ndarray,
    distance: Callable[[np.ndarray, np.ndarray], float] = frechet_distance,
) -> float:
    """Accompaniment prompt adherence (APA): how well basses fit their mixes.

    ½ + (d(y, x') - d(y, x)) / (2 max(d(x, x'), |d(y, x') - d(y, x)|)) with candidate pairs y, true
    pairs x and mispaired ones x', and d clipped at 0.

    Args:
      candidate: y, `[n, D]` float: mixes with the basses generated for them.
      true_pairs: x, `[m, D]` float: mixes with their own basses.
      mispaired: x', `[l, D]` float: mixes with the true basses of other songs.
      distance: Distance of two sets, in the paper the Fréchet distance. The unbiased
        `kernel_distance` suits few windows better.

    Returns:
      0…1: 1 for the true pairs, 0 for the mispaired ones, ½ for equal distances; 0 if all three
      sets are alike.

    Raises:
      ValueError: See `distance`.

    Source: https://arxiv.org/abs/2503.06346; `max`, as in the authors' package
    `audio-metrics`, keeps the formula within 0…1.
    """
    to_true = max(0.0, distance(true_pairs, candidate))
    to_mispaired = max(0.0, distance(mispaired, candidate))
    gain = to_mispaired - to_true
    scale = max(distance(true_pairs, mispaired), abs(gain))
    return 0.5 + gain / (2 * scale) if scale > 0 else 0.0


def checked(
    reference: np.ndarray, candidate: np.ndarray, min_references: int = 2, min_candidates: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Converts two sets of embeddings to float64 and checks them.

    Raises:
      ValueError: If one has another shape than `[n, D]`, too few rows, values that are not finite,
        or another D than the other.
    """
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
