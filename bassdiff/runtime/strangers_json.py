"""JSON from an untrusted source."""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 1 << 28


def parse_json(text: str | bytes) -> Any:
    """Parses a JSON text.

    Raises:
      ValueError: It is not JSON, is nested too deeply, or is too long.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{len(text)} bytes of JSON")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
