"""Measures how well songs are told apart: `python -m launch.duplicates --midi DIR --pop909 DIR`.

Every song is rendered twice: as it is, and with other instruments, levels and effects, in another
key, in half of the cases at another tempo, and from up to 8 s later on. For a lead sheet, drums and
bass are composed again as well. The first renderings are compared with all second ones. The result
is kept in `bassdiff/evaluation/inspection/duplicates.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm import tqdm

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.evaluation.inspection.duplicates import THRESHOLD
from bassdiff.evaluation.inspection.fingerprint import best_matches, fingerprint
from bassdiff.evaluation.inspection.measures import pitched_sum
from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis import lead_sheets, midi, render, songs
from bassdiff.synthesis.score import Part, Song

SECONDS, LATEST_SECONDS = 60.0, 8.0
TEMPO_SPAN = 0.03
POP909_STRIDE = 9
NUM_COMPOSED = 80
THRESHOLDS = (0.5, 0.55, THRESHOLD, 0.65, 0.7)

# A song's kind, its name, and how it is read for a rendering.
Entry: TypeAlias = tuple[str, str, Callable[[int], Song]]


def entries(midi_dir: Path, pop909_dir: Path) -> Iterator[Entry]:
    """All songs that are compared."""
    for path in sorted(midi_dir.glob("*.mid")):
        yield "midi", path.stem, functools.partial(_read_midi, path)
    folders = [path for path in sorted(pop909_dir.iterdir()) if path.name.isdigit()]
    for path in folders[::POP909_STRIDE]:
        yield "pop909", path.name, functools.partial(lead_sheets.read_lead_sheet, path)
    for index in range(NUM_COMPOSED):
        yield "composed", str(index), functools.partial(_composed, index)


def _read_midi(path: Path, rendering: int) -> Song:
    """A MIDI file, in which nothing is composed."""
    return midi.read_midi(path)


def _composed(index: int, rendering: int) -> Song:
    """Another seed would be another song."""
    return songs.compose(index)


def slowed(song: Song, ratio: float) -> Song:
    """The song with all its times multiplied."""

    def part(values: Part) -> Part:
        notes = tuple(
            note._replace(
                start_seconds=note.start_seconds * ratio, end_seconds=note.end_seconds * ratio
            )
            for note in values.notes
        )
        bends = tuple(
            bend._replace(start_seconds=bend.start_seconds * ratio) for bend in values.bends
        )
        return dataclasses.replace(values, notes=notes, bends=bends)

    return dataclasses.replace(
        song,
        parts=tuple(map(part, song.parts)),
        beat_seconds=song.beat_seconds * ratio,
        bar_seconds=song.bar_seconds * ratio,
    )


def two_fingerprints(entry: Entry) -> tuple[np.ndarray, np.ndarray]:
    """The fingerprints of a song as it is and changed."""
    kind, name, read = entry
    rng = np.random.default_rng(zlib.crc32(f"{kind}{name}".encode()))
    ratio = float(rng.uniform(1 - TEMPO_SPAN, 1 + TEMPO_SPAN)) if rng.random() < 0.5 else 1.0
    semitones = int(rng.integers(-6, 6))
    late = round(float(rng.uniform(0.0, LATEST_SECONDS)) * SAMPLE_RATE_HZ)
    plain = render.render(read(0), seed=0, max_seconds=SECONDS)
    changed = render.render(
        slowed(read(1), ratio), seed=1, transpose=semitones, max_seconds=SECONDS
    )
    return (
        fingerprint(pitched_sum(plain), plain.sample_rate_hz),
        fingerprint(pitched_sum(changed)[late:], changed.sample_rate_hz),
    )


def measure(chosen: list[Entry]) -> dict[str, Any]:
    """Similarities of songs with themselves and with others, recall and false pairs."""
    kinds, names, firsts, seconds = [], [], [], []
    left_out = []
    for entry in tqdm(chosen, "songs"):
        try:
            one, other = two_fingerprints(entry)
        except InputError as error:
            left_out.append([entry[1], str(error).rpartition("/")[2]])
            continue
        kinds.append(entry[0])
        names.append(entry[1])
        firsts.append(one)
        seconds.append(other)
    rows = tqdm(best_matches(firsts, seconds), "pairs", len(firsts))
    alike = np.array([[match.similarity for match in row] for row in rows])
    same, kind = np.diag(alike), np.array(kinds)
    is_other = ~np.eye(len(alike), dtype=bool)
    groups: dict[str, Any] = {}
    for name in (*dict.fromkeys(kinds), "all"):
        among = kind == name if name != "all" else np.ones(len(kind), bool)
        others = alike[among[:, None] & is_other]
        own = same[among]
        groups[name] = {
            "songs": int(among.sum()),
            "other_pairs": len(others),
            "same_quantiles": _quantiles(own, (0.0, 0.01, 0.05, 0.5)),
            "other_quantiles": _quantiles(others, (0.5, 0.99, 0.999, 0.9999, 1.0)),
            "at": {f"{threshold:g}": _at(own, others, threshold) for threshold in THRESHOLDS},
        }
    likest = np.argsort(np.where(is_other, alike, -1.0), axis=None)[::-1][:10]
    pairs = [divmod(int(place), len(alike)) for place in likest]
    return {
        "threshold": THRESHOLD,
        "groups": groups,
        "missed": [
            [kinds[i], names[i], round(float(same[i]), 3)] for i in np.flatnonzero(same < THRESHOLD)
        ],
        "most_alike_others": [
            [kinds[i], names[i], kinds[j], names[j], round(float(alike[i, j]), 3)] for i, j in pairs
        ],
        "left_out": left_out,
    }


def _at(own: np.ndarray, others: np.ndarray, threshold: float) -> dict[str, float | int]:
    found, false = int((own >= threshold).sum()), int((others >= threshold).sum())
    return {
        "recall": round(found / len(own), 4),
        "precision": round(found / max(found + false, 1), 4),
        "false_pairs": false,
    }


def _quantiles(values: np.ndarray, which: tuple[float, ...]) -> dict[str, float]:
    return {f"{q:g}": round(float(np.quantile(values, q)), 4) for q in which}


def main() -> None:
    """Measures and writes."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--midi", type=Path, required=True, help="folder of multi-instrument MIDI")
    words.add_argument("--pop909", type=Path, required=True, help="folder of lead sheets")
    words.add_argument("--out", type=Path, default=Path("duplicates.json"))
    arguments = words.parse_args()
    found = measure(list(entries(arguments.midi, arguments.pop909)))
    with atomic_file(arguments.out) as file:
        file.write((json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
