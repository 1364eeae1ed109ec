"""Which songs are held out, by rules that stay the same as a collection grows."""

from __future__ import annotations

import zlib
from collections.abc import Sequence


def hashed(names: Sequence[str]) -> frozenset[str]:
    """The names held out by their hash: a tenth of them; of a handful, one; of one, none.

    Whether a name is held out depends on no other name, unless there are too few.

    >>> sorted(hashed([f"song {i}" for i in range(30)]))
    ['song 23', 'song 4']
    """
    hashes = {name: zlib.crc32(name.encode()) for name in names}
    held_out = {name for name in names if hashes[name] % 10 == 0}
    if not held_out and len(names) > 1:
        held_out = {min(names, key=hashes.__getitem__)}
    return frozenset(held_out)
