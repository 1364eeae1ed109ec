"""Inspects the songs of a source, one at a time: content and doubtful songs."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bassdiff.data.latents import HOP, active_frames
from bassdiff.evaluation.inspection.charts import histogram, key_circle
from bassdiff.evaluation.inspection.measures import SongMeasures, measure
from bassdiff.evaluation.inspection.page import Inspection, Section
from bassdiff.evaluation.progress import Progress
from bassdiff.evaluation.webpage import matching_gains, mixdown, mp3_uri, picture_uri
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Source, Stems

EXAMPLE_SECONDS = 20.0


def drawn_evenly(count: int, wanted: int | None) -> list[int]:
    """`wanted` evenly spaced indices below `count`, or all.

    >>> drawn_evenly(10, 4), drawn_evenly(3, 9), drawn_evenly(9, 1)
    ([0, 3, 6, 9], [0, 1, 2], [0])
    """
    if wanted is None or wanted >= count:
        return list(range(count))
    return [round(place) for place in np.linspace(0, count - 1, wanted)]


def inspect_songs(
    source: Source,
    name: str,
    about: Mapping[str, str],
    progress: Progress,
    num_songs: int | None = None,
    num_examples: int = 4,
    roots: Sequence[str] = (),
) -> Inspection:
    """Inspects songs, with one of them in memory at a time.

    Args:
      source: The songs.
      name: Their name on the page.
      about: The request, for the page.
      progress: Wraps long loops.
      num_songs: Number of songs to inspect, evenly spaced; None for all.
      num_examples: Number of songs to play on the page.
      roots: Folders to remove from paths in messages.

    Raises:
      InputError: If no song can be read.
    """
    chosen = drawn_evenly(len(source), num_songs)
    names = source.names
    found: dict[int, SongMeasures] = {}
    unreadable: dict[int, str] = {}
    for index in progress(chosen, "songs"):
        try:
            found[index] = measure(source[index])
        except InputError as error:
            unreadable[index] = without(roots, str(error))
    if not found:
        first = next(iter(unreadable.values()), "there are none")
        raise InputError(f"none of the {len(chosen)} songs of {name} can be read; first: {first}")
    sound = [
        index
        for index, song in found.items()
        if math.isfinite(song.stem_lufs["bass"]) and math.isfinite(song.others_lufs)
    ]
    played = [sound[place] for place in drawn_evenly(len(sound), num_examples)]
    songs = list(found.values())
    return Inspection(
        name,
        f"{len(chosen)} of {len(names)} songs" if len(chosen) < len(names) else _songs(len(names)),
        _cards(songs, len(unreadable)),
        _sections(songs, {names[index]: reason for index, reason in unreadable.items()}),
        about,
        {
            "about": about,
            "num_songs": len(names),
            "looked_at": len(chosen),
            "hours": sum(song.seconds for song in songs) / 3600,
            "stems": {stem: count for stem, count, _ in _stems(songs)},
            "keys": dict(sorted(Counter(song.key or "none" for song in songs).items())),
            "songs": [dataclasses.asdict(song) for song in songs],
            "unreadable": [
                {"name": names[index], "reason": reason} for index, reason in unreadable.items()
            ],
        },
        [_example(source[index], found[index]) for index in progress(played, "examples")],
    )


def without(roots: Sequence[str], text: str) -> str:
    """Removes private folders from a message, since pages are shared.

    >>> without(["/data/songs"], "/data/songs/a/bass.wav: is empty")
    'a/bass.wav: is empty'
    """
    for root in roots:
        text = text.replace(f"{root.rstrip('/')}/", "")
    return text


def _cards(songs: list[SongMeasures], num_unreadable: int) -> list[tuple[str, str, str]]:
    seconds = [song.seconds for song in songs]
    doubtful = sum(bool(song.problems) for song in songs)
    clipping = sum(song.clipped_runs > 0 for song in songs)
    return [
        ("songs", str(len(songs)), f"{num_unreadable} more cannot be read"),
        ("hours", f"{sum(seconds) / 3600:.2f}", f"{min(seconds):.0f} to {max(seconds):.0f} s each"),
        ("bass sounds", f"{np.mean([s.active_share for s in songs]):.0%}", "of the time"),
        ("in doubt", str(doubtful), "songs with a problem, below"),
        ("clipping", str(clipping), f"songs; {sum(s.clipped_runs for s in songs)} places in all"),
        (
            "highest peak",
            f"{max(song.peak for song in songs):.2f}",
            f"of a stem; {max(song.mix_peak for song in songs):.2f} of all stems' sum",
        ),
    ]


def _sections(songs: list[SongMeasures], unreadable: Mapping[str, str]) -> list[Section]:
    known = sum(song.tempo_is_known for song in songs)
    lufs = {
        "bass": [song.stem_lufs["bass"] for song in songs],
        "the others": [song.others_lufs for song in songs],
    }
    tempo = {
        "annotated": [song.tempo_bpm for song in songs if song.tempo_is_known],
        "estimated": [song.tempo_bpm for song in songs if not song.tempo_is_known],
    }
    doubtful = [[name, f"cannot be read: {reason}"] for name, reason in unreadable.items()]
    doubtful += [[song.name, "; ".join(song.problems)] for song in songs if song.problems]
    return [
        Section("Songs in doubt", "None is left out here.", (), ("song", "why"), doubtful),
        Section(
            "How loud, how long, how busy",
            f"Keys are estimates from chroma; tempi are of annotated beats in {known} of "
            f"{len(songs)} songs, elsewhere estimates that may be half or double.",
            [
                histogram("loudness", "LUFS", lufs),
                histogram(
                    "time in which the bass sounds",
                    "% of the song",
                    {"bass": [100 * song.active_share for song in songs]},
                    (0.0, 100.0),
                ),
                key_circle([song.key for song in songs]),
                histogram("tempo", "beats a minute", tempo),
                histogram("length", "seconds", {"songs": [song.seconds for song in songs]}),
                histogram(
                    "peaks",
                    "full scale is 1",
                    {
                        "highest stem": [song.peak for song in songs],
                        "sum of stems": [song.mix_peak for song in songs],
                    },
                ),
            ],
        ),
        Section(
            "Stems",
            "Loudness where a stem is not silent.",
            (),
            ("stem", "songs", "share of songs", "median LUFS"),
            [
                [stem, str(count), f"{count / len(songs):.0%}", loudness]
                for stem, count, loudness in _stems(songs)
            ],
        ),
    ]


def _stems(songs: list[SongMeasures]) -> list[tuple[str, int, str]]:
    """(name, number of songs, median loudness) per stem, bass first, then by frequency."""
    counts = Counter(stem for song in songs for stem in song.stem_lufs)
    ordered = sorted(counts, key=lambda stem: (stem != "bass", -counts[stem], stem))
    rows = []
    for stem in ordered:
        lufs = [song.stem_lufs[stem] for song in songs if stem in song.stem_lufs]
        heard = [loudness for loudness in lufs if math.isfinite(loudness)]
        rows.append((stem, counts[stem], f"{np.median(heard):.1f}" if heard else "silent"))
    return rows


def _example(stems: Stems, song: SongMeasures) -> dict[str, Any]:
    """The 20 s in which the bass is most active, as values for `clip.html`."""
    frames = np.concatenate([[0], np.cumsum(active_frames(stems.bass))])
    span = min(round(EXAMPLE_SECONDS * stems.sample_rate_hz / HOP), len(frames) - 1)
    start = int(np.argmax(frames[span:] - frames[:-span])) * HOP
    mix, bass = (x[start : start + span * HOP] for x in (stems.mix(), stems.bass))
    together = mixdown(mix, bass)
    (gain,) = matching_gains([together])
    facts = [
        ("length", f"{song.seconds:.0f} s"),
        ("key", f"{song.key or 'none'} (estimate)"),
        ("bass", f"{song.stem_lufs['bass']:.1f} LUFS"),
        ("others", f"{song.others_lufs:.1f} LUFS"),
    ]
    sounds = {"mix + bass": together, "mix alone": mix, "bass alone": bass}
    return {
        "clip": {"song": song.name, "start_seconds": start / stems.sample_rate_hz},
        "shortened": "",
        "rank": "",
        "scores": facts,
        "sounds": [(label, mp3_uri(gain * samples)) for label, samples in sounds.items()],
        "picture": picture_uri(mix, bass),
    }


def _songs(count: int) -> str:
    return f"{count} song" + "s" * (count != 1)
