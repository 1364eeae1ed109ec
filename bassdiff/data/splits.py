"""Chooses held-out songs by rules that are stable as a collection grows."""

from __future__ import annotations

import zlib
from collections.abc import Sequence


def hashed(names: Sequence[str]) -> frozenset[str]:
    """The names that are held out: about a tenth, by their hash.

    A name's fate does not depend on the other names, except that at least one of several is held
    out.

    >>> sorted(hashed([f"song {i}" for i in range(30)]))
    ['song 23', 'song 4']
    """
    hashes = {name: zlib.crc32(name.encode(errors="surrogatepass")) for name in names}
    held_out = {name for name in names if hashes[name] % 10 == 0}
    if not held_out and len(names) > 1:
        held_out = {min(names, key=hashes.__getitem__)}
    return frozenset(held_out)
