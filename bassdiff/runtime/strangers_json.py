"""JSON and YAML from an untrusted source."""

from __future__ import annotations

import json
from typing import Any

_LONGEST, _LONGEST_YAML, _MOST_DIGITS = 1 << 28, 1 << 18, 20
_MOST_BRACKETS = 1000


def parse_json(text: str | bytes) -> Any:
    """Parses a JSON text.

    Raises:
      ValueError: It is not JSON, is nested too deeply, is too long, or has whole numbers that
        nothing counts to, and that are no float either.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{len(text)} bytes of JSON")
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def parse_yaml(text: str) -> Any:
    """Parses a YAML text of values only.

    Raises:
      ValueError: It is not YAML, has aliases, is nested too deeply, or is too long.
    """
    import yaml

    if len(text) > _LONGEST_YAML:
        raise ValueError(f"{len(text)} bytes of YAML")
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        # The time that they take grows with their square.
        raise ValueError("too many brackets")
    try:
        # An alias repeats what it names, and a few of them in one another fill any memory.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("aliases")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
