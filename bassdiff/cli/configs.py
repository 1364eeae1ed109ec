"""Finds and reads configs, and overrides their values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def _our_configs() -> list[Path]:
    """The configs of this package: inside it if it is installed, beside it in a checkout."""
    here = Path(__file__).parents[1]
    folder = here / "configs"
    folder = folder if folder.is_dir() else here.parent / "configs"
    return [path for path in folder.glob("*.py") if path.stem != "__init__"]


def _config_path(name: str) -> Path | None:
    if Path(name).is_file():
        return Path(name)
    return next((path for path in _our_configs() if path.stem == name), None)


# Old names of keys, which work with a warning until the next release.
_RENAMED_KEYS = {"denoised_share": "sampled_share"}


def _renamed(override: str) -> str:
    """A `--config.key=value` word with the present name of its key."""
    key, equals, value = override.removeprefix("--config.").partition("=")
    if key not in _RENAMED_KEYS:
        return override
    name = _RENAMED_KEYS[key]
    warnings.warn(f"config.{key} is called config.{name} now; change the command", stacklevel=3)
    return f"--config.{name}{equals}{value}"


def read_config(spec: str, overrides: Sequence[str]) -> ConfigDict:
    """Reads `FILE:SIZE`, or `NAME:SIZE` of a config that comes with the package.

    A config is a Python file, and this runs it.

    Args:
      spec: Such as `my_configs/diffusion.py:small`, or `diffusion:small`.
      overrides: `--config.key=value` words.

    Raises:
      InputError: If the file, the size or a key is unknown, or a value has the wrong type.
    """
    from absl import flags
    from ml_collections import config_flags

    name, _, size = spec.partition(":")
    path = _config_path(name)
    if path is None:
        raise InputError(
            f"{name}: there is no such config file; name one, or one of the package: "
            f"{', '.join(sorted(file.stem for file in _our_configs()))}"
        )
    spec = f"{path}:{size}" if size else str(path)
    # Separate flags, so that nothing is shared with other users of absl.
    values = flags.FlagValues()
    words = ["bassdiff train", f"--config={spec}", *map(_renamed, overrides)]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    try:
        left = values(words)
        config = values.config
    except (flags.Error, KeyError, AttributeError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        if isinstance(error, KeyError | AttributeError):
            # They say no more than the name.
            reason = f"there is no size or key {reason.strip(chr(34) + chr(39))!r}"
        raise InputError(
            f"the configuration {' '.join((spec, *overrides))} cannot be used ({reason}); "
            "see the file for its sizes and keys"
        ) from error
    if len(left) > 1:
        raise InputError(f"unknown argument {left[1]}; settings look like --config.key=value")
    return config
