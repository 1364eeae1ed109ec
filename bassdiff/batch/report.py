"""A page of a finished job: how many songs were played, and a few of them to listen to."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.audio.channels import to_mono
from bassdiff.audio.io import SAMPLE_RATE_HZ, probe, read
from bassdiff.audio.resampling import resample
from bassdiff.batch.fetching import local_copy
from bassdiff.batch.journal import OK, last_rows
from bassdiff.batch.patience import Patience, StoreUnavailable
from bassdiff.batch.storage import Storage
from bassdiff.evaluation.webpage import (
    matching_gains,
    mixdown,
    mp3_uri,
    picture_uri,
    write_page,
)
from bassdiff.runtime.errors import InputError

NAME = "report.html"
_NUM_SONGS = 8
_CLIP_SECONDS = 30.0
_NUM_ERRORS = 50


@dataclasses.dataclass(frozen=True)
class _Clip:
    song: str
    start_seconds: float


def write_report(storage: Storage, patience: Patience) -> str:
    """Writes the page, whose sounds are inside it; returns its name below the folder.

    A sample song whose mix or bass cannot be read any more is left out.

    Raises:
      InputError: There are no rows, a row is damaged, or the page cannot be written.
    """
    sample: list[tuple[str, str, dict[str, Any]]] = []
    errors: list[dict[str, Any]] = []
    played = failed = 0
    hours = 0.0
    for row in last_rows(storage):
        if row["status"] != OK:
            failed += 1
            if len(errors) < _NUM_ERRORS:
                errors.append(row)
            continue
        played += 1
        hours += row["seconds"] / 3600.0
        # The songs whose ids have the largest hashes: a fair draw that needs no second reading.
        digest = hashlib.sha256(row["id"].encode()).hexdigest()
        heapq.heappush(sample, (digest, row["id"], row))
        if len(sample) > _NUM_SONGS:
            heapq.heappop(sample)
    items = []
    for _, _, row in sorted(sample):
        try:
            items.append(_item(row, storage, patience))
        except (InputError, StoreUnavailable):
            continue
    facts = f"{played} songs, {hours:.1f} hours · {failed} failed"

    def make(path: Path) -> None:
        write_page(
            path.parent, "batch.html", items=items, errors=errors, failed=failed, facts=facts
        ).rename(path)

    storage.publish(NAME, make)
    return NAME


def _item(row: Mapping[str, Any], storage: Storage, patience: Patience) -> dict[str, Any]:
    start = max(0.0, min(row["seconds"] / 4.0, row["seconds"] - _CLIP_SECONDS))
    mix, bass = (
        _excerpt(name, start, storage, patience)
        for name in (row["mix"], storage.full(row["paths"]["bass"]))
    )
    # One may be a sample shorter.
    mix, bass = mix[: len(bass)], bass[: len(mix)]
    sounds = {"mix": mix, "mix with bass": mixdown(mix, bass), "bass": bass}
    gains = matching_gains(list(sounds.values()))
    return {
        "clip": _Clip(row["id"], start),
        "scores": list(row["measures"].items()),
        "sounds": [
            (label, mp3_uri(gain * wave))
            for (label, wave), gain in zip(sounds.items(), gains, strict=True)
        ],
        "picture": picture_uri(mix, bass),
        "shortened": "",
        "rank": "",
    }


def _excerpt(name: str, start_seconds: float, storage: Storage, patience: Patience) -> np.ndarray:
    """`[N]` at 44.1 kHz."""
    with local_copy(name, storage.scratch, patience) as path:
        rate_hz = probe(path).sample_rate_hz
        first, last = (round(s * rate_hz) for s in (start_seconds, start_seconds + _CLIP_SECONDS))
        return resample(to_mono(read(path, last)[first:last]), rate_hz, SAMPLE_RATE_HZ)
