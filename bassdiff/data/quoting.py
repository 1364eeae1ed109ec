"""Names in specifications, whose `+`, `*`, `@` and `:` quotes keep from having a meaning."""

from __future__ import annotations

import re

# An even number of quotes follows what is outside of them.
_OUTSIDE = r'(?=(?:[^"]*"[^"]*")*[^"]*$)'
_NEXT_KIND = r"(?=\s*\w+:)"
_QUOTED = re.compile(r'^((?:[^":]*:)?(?:[^"@]*@)?)"([^"]+)"$')
_WEIGHTED = re.compile(r'(?:"([^"]+)"|([^*]*))(?:\*(.*))?', re.DOTALL)


def sources_of(spec: str) -> list[str]:
    """The parts of a specification of songs, joined by `+`.

    A `+` joins where another kind follows it, so most names need no quotes.

    >>> sources_of("stems:C++ songs+composed:9")
    ['stems:C++ songs', 'composed:9']
    >>> sources_of('stems:"a+b:c"+midi:d')
    ['stems:a+b:c', 'midi:d']
    """
    parts = re.split(rf"\+{_NEXT_KIND}{_OUTSIDE}", spec)
    return [_QUOTED.sub(r"\1\2", one.strip()) for one in parts]


def folders_of(spec: str) -> list[tuple[str, str | None]]:
    """The folders of a specification, joined by `+`, and what follows a `*` after each.

    >>> folders_of('"runs/C++"*2+runs/made')
    [('runs/C++', '2'), ('runs/made', None)]
    """
    found = []
    for one in re.split(rf"\+{_OUTSIDE}", spec):
        quoted, plain, weight = _WEIGHTED.fullmatch(one.strip()).groups()  # type: ignore[union-attr]
        found.append((plain if quoted is None else quoted, weight))
    return found
