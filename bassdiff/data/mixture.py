"""Several stores read as one, each with a share of the examples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from bassdiff.data.store import Store
from bassdiff.runtime.errors import InputError


class Part(NamedTuple):
    """One store of a mixture.

    Attributes:
      folder: Where it is.
      store: What is read.
      weight: Its share of the examples, relative to those of the others.
    """

    folder: str
    store: Store
    weight: float


def open_mixture(spec: str) -> list[Part]:
    """Opens the stores that a specification names.

    Args:
      spec: Folders joined by `+`, each with `*` and its weight, as in `"runs/real*3+runs/made"`.
        Where none has a weight, every song counts alike; otherwise those without one weigh 1.

    Raises:
      InputError: A folder holds no latents, a weight is no positive number, or two stores were not
        made by the same codecs.
    """
    parts, is_weighted = [], "*" in spec
    for folder, weight in _folders(spec):
        store = Store(folder)
        if "codecs" not in store.manifest:
            raise InputError(f"{folder} holds waveforms; name latents, made by `bassdiff encode`")
        parts.append(Part(folder, store, weight if is_weighted else len(store)))
    for part in parts[1:]:
        if part.store.manifest["codecs"] != parts[0].store.manifest["codecs"]:
            raise InputError(
                f"{parts[0].folder} and {part.folder} come from different codecs; encode both with "
                "the same weights"
            )
    return parts


def _folders(spec: str) -> Iterator[tuple[str, float]]:
    for one in spec.split("+"):
        folder, star, text = one.strip().partition("*")
        try:
            weight = float(text) if star else 1.0
        except ValueError:
            weight = math.nan
        if not (folder and 0.0 < weight < math.inf):
            raise InputError(
                f"{spec!r} names no stores; join folders by + and give weights as in DIR*2+DIR*1"
            )
        yield folder, weight
