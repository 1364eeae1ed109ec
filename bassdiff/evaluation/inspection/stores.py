"""Inspects a complete store of latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data.latents import HOP
from bassdiff.data.store import Store
from bassdiff.evaluation.inspection.charts import histogram
from bassdiff.evaluation.inspection.page import Inspection, Section
from bassdiff.evaluation.inspection.songs import drawn_evenly
from bassdiff.evaluation.progress import Progress
from bassdiff.runtime.errors import InputError

SIDES = ("bass", "mix")


def inspect_store(
    store: Store,
    name: str,
    about: Mapping[str, str],
    progress: Progress,
    num_songs: int | None = None,
) -> Inspection:
    """Inspects the latents of every song: lengths, activity and normalisation.

    Args:
      store: Store made by `bassdiff encode`.
      name: Its name on the page.
      about: The request, for the page.
      progress: Wraps long loops.
      num_songs: Number of songs to inspect, evenly spaced; None for all.

    Raises:
      InputError: If no song has latents.
    """
    names, num_frames = store.manifest["names"], store.manifest["num_frames"]
    reasons = store.manifest["left_out"]
    chosen = drawn_evenly(len(store), num_songs)
    songs: list[dict[str, Any]] = []
    left_out = {}
    sums = {side: np.zeros((3, 1)) for side in SIDES}
    for index in progress(chosen, "songs"):
        if not num_frames[index]:
            song_name = names[index]
            left_out[song_name] = reasons[song_name].removeprefix(f"{song_name}: ")
            continue
        song: dict[str, Any] = {
            "name": names[index],
            "seconds": num_frames[index] * HOP / SAMPLE_RATE_HZ,
        }
        song["active_share"] = float(np.mean(store.read(index, "active")))
        for side in SIDES:
            latents = np.asarray(store.read(index, side), np.float64)
            known = np.isfinite(latents)
            song[f"{side}_rows"], song[f"{side}_not_finite"] = len(latents), int((~known).sum())
            kept = np.where(known, latents, 0.0)
            powers = (known, kept, kept**2)
            sums[side] = sums[side] + np.array([power.sum(axis=(0, 1)) for power in powers])
        songs.append(song)
    if not songs:
        raise InputError(f"{name}: none of its {len(chosen)} songs has latents; encode others")
    hours = sum(song["seconds"] for song in songs) / 3600
    channels = {}
    for side, (count, total, square) in sums.items():
        mean = total / np.maximum(count, 1)
        std = np.sqrt(np.maximum(square / np.maximum(count, 1) - mean**2, 0.0))
        channels[side] = {"mean": mean.tolist(), "std": std.tolist()}
    doubtful = [[song, f"left out when it was encoded: {why}"] for song, why in left_out.items()]
    for song in songs:
        for side in SIDES:
            if bad := song[f"{side}_not_finite"]:
                doubtful.append([song["name"], f"{bad} values of its {side} are not finite"])
    return Inspection(
        name,
        f"latents of {len(chosen)} of {len(names)} songs",
        [
            ("songs", str(len(songs)), f"{len(left_out)} more were left out"),
            ("hours", f"{hours:.2f}", "of each row"),
            ("bass sounds", f"{np.mean([s['active_share'] for s in songs]):.0%}", "of the time"),
            ("in doubt", str(len(doubtful)), "below"),
        ],
        [
            Section("Songs in doubt", "", (), ("song", "why"), doubtful),
            Section(
                "Lengths and activity",
                "",
                [
                    histogram("length", "seconds", {"songs": [song["seconds"] for song in songs]}),
                    histogram(
                        "time in which the bass sounds",
                        "% of the song",
                        {"bass": [100 * song["active_share"] for song in songs]},
                        (0.0, 100.0),
                    ),
                ],
            ),
            Section(
                "Latents",
                "Normalised latents have means near 0, and variances that average to 1, over the "
                "songs that their codec was trained on.",
                [
                    histogram(
                        f"{moment} of the channels",
                        "normalised units",
                        {side: channels[side][moment] for side in SIDES},
                        counted="channels",
                    )
                    for moment in ("mean", "std")
                ],
            ),
        ],
        about,
        {
            "about": about,
            "hours": hours,
            "songs": songs,
            "left_out": left_out,
            "channels": channels,
        },
    )
