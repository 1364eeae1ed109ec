"""JSON that may come from anyone."""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 1 << 28


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
      ValueError: It is none, is nested so deeply that it cannot be meant, or is too long.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{len(text)} bytes of JSON")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
