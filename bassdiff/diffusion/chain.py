"""Chains of guidances, in an order in which none undoes another.

Contrasts come first, then changes of the estimate's scale, then grounding, then edits.
"""

from __future__ import annotations

import itertools
from enum import IntEnum

from flax import struct

from bassdiff.diffusion.types import Denoise, Guidance
from bassdiff.runtime.errors import InputError


class Place(IntEnum):
    """Where in a chain a guidance belongs."""

    MODEL = 0
    CONTRAST = 1
    SCALE = 2
    GROUNDING = 3
    EDIT = 4


class Chain(struct.PyTreeNode):
    """Several guidances as one; the first wraps first, so the last acts last."""

    links: tuple[Guidance, ...]

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise` by every link."""
        for link in self.links:
            denoise = link(denoise)
        return denoise


def chain(*links: Guidance) -> Chain:
    """`Chain` of its arguments; without any it changes nothing.

    Raises:
      InputError: One would undo another in this order. A guidance without a `place` may stand
        anywhere.

    >>> chain()(max) is max
    True
    """
    placed = [link for link in links if hasattr(link, "place")]
    for earlier, later in itertools.pairwise(placed):
        if earlier.place > later.place:
            raise InputError(
                f"{type(later).__name__} would undo {type(earlier).__name__}; put it before"
            )
    return Chain(links)
