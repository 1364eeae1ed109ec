"""Reads several stores as one, each with a share of the examples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from bassdiff.data.quoting import folders_of
from bassdiff.data.store import Store
from bassdiff.runtime.errors import InputError


class Part(NamedTuple):
    """One store of a mixture.

    Attributes:
      folder: The store's folder.
      store: The store.
      weight: Its share of the examples, relative to the other weights.
    """

    folder: str
    store: Store
    weight: float


def open_mixture(spec: str) -> list[Part]:
    """Opens the stores that a specification names.

    Args:
      spec: Folders joined by `+`, each with `*` and its weight, as in `"runs/real*3+runs/made"`.
        Double quotes surround a folder with such signs in its name. Without any weights, every
        song counts alike; otherwise a missing weight is 1.

    Raises:
      InputError: If a folder holds no latents, a weight is not positive, or two stores come from
        different codecs.
    """
    folders, parts = list(_folders(spec)), []
    is_weighted = any(weight is not None for _, weight in folders)
    for folder, weight in folders:
        store = Store(folder)
        if "codecs" not in store.manifest:
            raise InputError(f"{folder} holds waveforms; name latents, made by `bassdiff encode`")
        share = 1.0 if weight is None else weight
        parts.append(Part(folder, store, share if is_weighted else len(store)))
    for part in parts[1:]:
        if part.store.manifest["codecs"] != parts[0].store.manifest["codecs"]:
            raise InputError(
                f"{parts[0].folder} and {part.folder} come from different codecs; encode both with "
                "the same weights"
            )
    return parts


def _folders(spec: str) -> Iterator[tuple[str, float | None]]:
    for folder, text in folders_of(spec):
        try:
            weight = None if text is None else float(text)
        except ValueError:
            weight = math.nan
        if not folder or (weight is not None and not 0.0 < weight < math.inf):
            raise InputError(
                f"{spec!r} names no stores; join folders by + and give weights as in DIR*2+DIR*1"
            )
        yield folder, weight
