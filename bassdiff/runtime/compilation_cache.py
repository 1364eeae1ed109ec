"""Keeps compiled programs on disk, and compiles damaged ones again."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bassdiff.runtime.user_cache import user_cache

# Warnings of JAX, which would compile at every run and never replace the entry.
_DAMAGED = re.compile(r"Error reading persistent compilation cache entry for '(\w+)'")
_NOT_KEPT = re.compile(r"Error writing persistent compilation cache entry for '\w+': (.*)", re.S)


# Folders that were warned about; JAX warns for every program.
_unwritable: set[Path] = set()


def programs_folder() -> Path | None:
    """The folder of compiled programs: `JAX_COMPILATION_CACHE_DIR`, the user's cache, or None."""
    chosen, cache = os.environ.get("JAX_COMPILATION_CACHE_DIR"), None
    if not chosen:
        cache = user_cache()
    return Path(chosen) if chosen else cache and cache / "xla"


def keep_programs() -> None:
    """Keeps compiled programs between runs, so that only the first one waits for them.

    JAX's environment variables for the folder and for the least compile time of a kept program
    take precedence. `JAX_ENABLE_COMPILATION_CACHE=false` keeps none.
    """
    import jax

    if jax.config.values.get("jax_compilation_cache_dir") is None:
        folder = programs_folder()
        jax.config.update("jax_compilation_cache_dir", folder and str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def mend(warning: str) -> str | None:
    """Deletes programs that JAX reports as damaged.

    Returns:
      The message for the user, or the warning itself if it is about something else; None if the
      user was told before.
    """
    folder = programs_folder()
    if folder is None:
        return warning
    if found := _NOT_KEPT.match(warning):
        if folder in _unwritable:
            return None
        _unwritable.add(folder)
        reason = found[1].strip().splitlines()[-1]
        return f"compiled programs cannot be kept in {folder} ({reason}); each run compiles again"
    found = _DAMAGED.match(warning)
    if not found:
        return warning
    for entry in folder.glob(f"{found[1]}-*-cache"):
        entry.unlink(missing_ok=True)
    return f"a compiled program in {folder} was damaged and is compiled again"
