"""Settings of a config as JSON or YAML: values only, for files from others.

Reading a config runs it, since it is a Python file; reading these files runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json, parse_yaml
from bassdiff.runtime.text_files import read_text

_LARGEST_BYTES, _DEEPEST, _MOST = 1 << 20, 8, 1000


def config_words(path: Path) -> list[str]:
    """The settings of a file as `--config.key=value` words.

    Args:
      path: A mapping of keys to values or to mappings, as JSON or, by its suffix, YAML.

    Raises:
      InputError: It cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("more than 1 MB")
        text = read_text(path)
        values = parse_yaml(text) if path.suffix in (".yaml", ".yml") else parse_json(text)
        if not isinstance(values, dict):
            raise ValueError("no mapping")
        words: list[str] = []
        for key, value in _leaves(values, "config", _DEEPEST):
            if len(words) == _MOST:
                raise ValueError(f"more than {_MOST} values")
            words.append(f"--{key}={value}")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: holds no settings ({error}); give keys and values as JSON or YAML"
        ) from error
    return words


def _leaves(values: dict[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if not depth:
        raise ValueError("nested too deeply")
    for key, value in values.items():
        if not isinstance(key, str) or not key.isidentifier():
            raise ValueError(f"a key {str(key)[:40]!r}")
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}.{key}", depth - 1)
        elif isinstance(value, str | int | float):
            yield f"{prefix}.{key}", value
        elif isinstance(value, list) and all(type(part) in (int, float) for part in value):
            yield f"{prefix}.{key}", tuple(value)
        else:
            raise ValueError(f"{prefix}.{key} is not a text, a number or a list of numbers")
