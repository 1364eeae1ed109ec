"""A stretch of a song as it is written: `12.5:20` in seconds, or `bar:9-12` in bars."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from bassdiff.inference.grid import Grid

_BARS = re.compile(r"bar:(\d+)(?:(-)(\d+)?)?")


def is_in_bars(word: str) -> bool:
    """Whether a region counts bars."""
    return bool(_BARS.fullmatch(word))


def check_region(word: str) -> None:
    """Checks that a word is a region; its end may be open.

    Raises:
      InputError: It is not.
    """
    start, colon, end = word.partition(":")
    try:
        is_region = is_in_bars(word) or (
            bool(colon) and [float(part) for part in (start, end or "0")] != []
        )
    except ValueError:
        is_region = False
    if not is_region:
        raise InputError(
            f"{word!r} is not a region; write two times in seconds, as 12.5:20, or bars, as "
            "bar:9-12; without the second it lasts to the end"
        )


def region_seconds(word: str, grid: Grid | None) -> tuple[float, float]:
    """The start and end of a region that `check_region` has checked.

    Args:
      word: The region.
      grid: When bars are; None where they are not known.

    Raises:
      InputError: It is in bars, and no tempo is given, or the bars are out of order.
    """
    found = _BARS.fullmatch(word)
    if not found:
        start, _, end = word.partition(":")
        return float(start), float(end or "inf")
    if grid is None:
        raise InputError(f"{word} needs a tempo; give --bpm, or seconds")
    first, is_range, last = int(found[1]), found[2], found[3]
    until = int(last or first)
    if not 1 <= first <= until:
        raise InputError(f"{word} is empty; bars count from 1, as bar:9-12")
    end_seconds = float("inf") if is_range and not last else grid.bar_seconds(until)
    return grid.bar_seconds(first - 1), end_seconds
