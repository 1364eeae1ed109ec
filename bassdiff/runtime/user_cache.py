"""The user's cache folder, if there is one that can be written."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import warnings
from pathlib import Path

# Compiled programs take a few megabytes each.
_LEAST_FREE_BYTES = 64 << 20


@functools.cache
def user_cache() -> Path | None:
    """The folder: `$XDG_CACHE_HOME/bassdiff`, or `~/.cache/bassdiff`.

    Returns:
      The folder, after a file could be written to it; None, after one warning, otherwise.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification says to ignore a relative path.
        root = root if root.is_absolute() else Path.home() / ".cache"
        folder = root / "bassdiff"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        if shutil.disk_usage(folder).free < _LEAST_FREE_BYTES:
            raise OSError("no space left")
    except (OSError, RuntimeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
        warnings.warn(
            f"nothing is cached between runs ({reason}); set XDG_CACHE_HOME to a folder you may "
            "write to",
            stacklevel=2,
        )
        return None
    return folder
