"""Precision, recall, density and coverage of one set of embeddings within another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from bassdiff.metrics.distributions import checked


@dataclass(frozen=True)
class Manifolds:
    """How two sets cover each other.

    Attributes:
      precision: Share of the candidates inside the reference, 0…1 (realism).
      recall: Share of the reference inside the candidates, 0…1 (diversity).
      density: Like precision, counting multiplicity; 0 or more, about 1 for equal distributions.
      coverage: Share of the reference with a candidate nearby, 0…1; like recall, but robust to
        outlying candidates.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(reference: np.ndarray, candidate: np.ndarray, k: int = 5) -> Manifolds:
    """Precision, recall, density and coverage of two sets.

    The manifold of a set is the union of balls around its rows, each reaching to the k-th nearest
    neighbour in the set.
    precision = mean over y of [y in any ball of x];  recall = mean over x of [x in any ball of y];
    density = mean over y of (balls of x that hold y) / k;
    coverage = mean over x of [any y in the ball of x].

    Args:
      reference: x, `[n, D]` float, n above k.
      candidate: y, `[m, D]` float, m above k.
      k: Number of neighbours, 1 or more; scores are comparable only for equal k, n and m.

    Returns:
      The four scores.

    Raises:
      ValueError: If there are too few rows for k, different D, or values that are not finite.

    Source: https://arxiv.org/abs/1904.06991 and https://arxiv.org/abs/2002.09797.
    """
    if k < 1:
        raise ValueError(f"k is {k}; a row needs at least 1 neighbour")
    reference, candidate = checked(reference, candidate, k + 1, k + 1)
    distances = cdist(reference, candidate)
    in_reference = distances <= _radii(reference, k)[:, None]
    in_candidate = distances <= _radii(candidate, k)
    return Manifolds(
        precision=float(in_reference.any(axis=0).mean()),
        recall=float(in_candidate.any(axis=1).mean()),
        density=float(in_reference.sum(axis=0).mean() / k),
        coverage=float(in_reference.any(axis=1).mean()),
    )


def _radii(rows: np.ndarray, k: int) -> np.ndarray:
    # Index 0 is the row itself.
    return np.partition(cdist(rows, rows), k, axis=1)[:, k]
