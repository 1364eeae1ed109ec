"""A progress bar of generation: in a terminal, or as a widget in a notebook."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tqdm.auto import tqdm

# What is done, how much of it, and of how much.
Progress = Callable[[str, int, int], None]


@contextlib.contextmanager
def shown_progress(label: str) -> Iterator[Progress]:
    """A bar that counts steps.

    Args:
      label: What is played.

    Yields:
      What `BassGenerator.generate` takes as its progress.
    """
    with tqdm(desc=label, unit="step", total=1) as bar:

        def show(stage: str, done: int, total: int) -> None:
            if stage == "playing":
                bar.total = total
                bar.update(done - bar.n)
            else:
                bar.set_postfix_str("" if done else stage)

        yield show
