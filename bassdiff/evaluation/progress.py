"""The type of progress bars that callers hand in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

# As `tqdm(items, description)`: yields the items one by one.
Progress: TypeAlias = Callable[[Iterable[Any], str], Iterable[Any]]
