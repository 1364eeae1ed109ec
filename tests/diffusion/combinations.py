"""Covering designs: few combinations of choices, among which every few of them meet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any


def covering(strength: int, *choices: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Combinations of one of each of `choices`, so that any `strength` values meet in one of them.

    Greedy: the next is always one in which most of them meet for the first time.
    """

    def groups(one: tuple[Any, ...]) -> set[tuple[tuple[int, Any], ...]]:
        return set(itertools.combinations(enumerate(one), strength))

    candidates = {one: groups(one) for one in itertools.product(*choices)}
    left = set().union(*candidates.values())
    chosen = []
    while left:
        chosen.append(max(candidates, key=lambda one: len(candidates[one] & left)))
        left.difference_update(candidates[chosen[-1]])
    return chosen
