"""Confidence intervals for functions of sets of embeddings, such as distances."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

MIN_GROUPS = 4
_NORMAL_QUANTILE = 1.959964


def distance_interval(
    function: Callable[..., float],
    sets: Sequence[np.ndarray],
    groups: Sequence[Sequence[Hashable] | None],
    num_resamples: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """A 95 % interval for a function of sets whose rows come in groups, such as songs.

    function(sets) ± 1.96 std of function(random halves of the groups): values of halves scatter
    around that of all groups as the latter does around the truth. A bootstrap would repeat groups,
    and distances increase with repeated rows, so its intervals can miss the estimate itself.

    Args:
      function: A function of as many arrays as there are sets, such as `frechet_distance`.
      sets: `[n, D]` float each.
      groups: For each set, the group of each row, or None to keep the set whole. A group is kept or
        left out in all sets together; a set with groups needs at least 4.
      num_resamples: Number of halves, 2 or more.
      seed: Seed of the halves.

    Returns:
      Low and high end, not clipped to the function's range.

    Raises:
      ValueError: If there are too few groups or resamples, or groups do not match the sets; or as
        raised by `function` for half of the rows.

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


def _group_numbers(
    sets: Sequence[np.ndarray], groups: Sequence[Sequence[Hashable] | None]
) -> list[np.ndarray | None]:
    """The numbers `[n]` of each set's groups, consistent across sets."""
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
    """Which rows belong to the lower half of the groups by rank, rounded down."""
    present = np.unique(ranks)
    return ranks < present[len(present) // 2]
