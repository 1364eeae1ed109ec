"""Validates the manifest of a store, which may come from an untrusted source."""

from __future__ import annotations

from typing import Any

import numpy as np


def manifest_fault(manifest: dict[str, Any]) -> str | None:
    """A clause that describes the first fault of a manifest; None if it is valid."""
    lists = {name: manifest.get(name) for name in ("names", "num_frames", "places")}
    for name, values in lists.items():
        if not isinstance(values, list) or len(values) != len(lists["names"] or []):
            return f"its {name} are not a list with one entry per song"
    if not all(isinstance(name, str) for name in manifest["names"]):
        return "its names are not texts"
    if not all(type(num) is int and 0 <= num < 1 << 32 for num in manifest["num_frames"]):
        return "its num_frames are not lengths"
    fields = manifest.get("fields")
    if not isinstance(fields, dict) or not all(isinstance(f, dict) for f in fields.values()):
        return "its fields are not valid"
    for place in manifest["places"]:
        if not isinstance(place, dict) or not set(place) <= set(fields):
            return "a song has an unknown field"
        for where in place.values():
            if not isinstance(where, list) or not all(type(n) is int and n >= 0 for n in where):
                return "a place of a song is not valid"
    statistics = manifest.get("statistics")
    if not isinstance(statistics, dict):
        return "it has no statistics"
    for name, moments in statistics.items():
        try:
            mean, std = (np.asarray(moments[key], np.float64) for key in ("mean", "std"))
        except (KeyError, TypeError, ValueError):
            return f"the statistics of {name} are not valid"
        # Not finite is allowed: the reader of the songs reports which of them are at fault.
        if mean.ndim > 1 or mean.shape != std.shape or (std < 0).any():
            return f"the statistics of {name} are not valid"
    return None
