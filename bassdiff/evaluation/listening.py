"""A blind listening test as a single page without a server, and the summary of its results.

The visible page names no system, but its source contains the key, since there is no server to keep
it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.special

from bassdiff.evaluation.clips import MIX
from bassdiff.evaluation.result_folder import PlayedClip, read_clips
from bassdiff.evaluation.webpage import matching_gains, mixdown, mp3_uri, write_page
from bassdiff.runtime.atomic import check_folder
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text

# Listeners tire of longer loops.
_MAX_SECONDS = 30.0
_KINDS = ("mushra", "ab")
_MOST_CLIPS = 8


def write_listening_page(
    folder: Path,
    out: Path,
    systems: Sequence[str],
    kind: Literal["mushra", "ab"] = "mushra",
    num_clips: int | None = None,
    seed: int = 0,
) -> Path:
    """Writes a page on which a listener rates systems without knowing which is which.

    "mushra" follows ITU-R BS.1534: its screen, its scale from 0 to 100, and free switching between
    looping stimuli. The reference is the mix without a bass, because there is no single right
    bass; anchors are among the named systems. "ab" asks for a preference within each pair of
    systems. The order of clips and systems is random for each listener. All sounds of a clip are
    equally loud.

    Args:
      folder: Output of `bassdiff evaluate --out`.
      out: Folder of `index.html`; created if missing.
      systems: Names of two or more systems in `folder`.
      kind: Kind of test.
      num_clips: Number of clips, chosen at random; None for all, but at most 8.
      seed: Seed of that choice.

    Returns:
      The page's path.

    Raises:
      InputError: If `folder` lacks a system or enough clips, fewer than two systems are named, or
        the page cannot be written.
    """
    if kind not in _KINDS:
        raise InputError(f"{kind!r} is not a kind of listening test; choose {' or '.join(_KINDS)}.")
    clips = _chosen(read_clips(folder), folder, systems, num_clips, seed)
    check_folder(out)
    rng = np.random.default_rng(seed)
    names: dict[str, str] = {}
    trials = []
    for clip in clips:
        # New keys for every clip, so that a guess about one clip does not carry over.
        keys = {rng.bytes(4).hex(): system for system in systems}
        names |= keys
        trials.append({"clip": clip.name, **_sounds(clip, keys)})
    secret = base64.b64encode(json.dumps(names).encode()).decode()
    study = {"kind": kind, "clips": trials, "names": secret}
    study["page"] = hashlib.sha256(json.dumps(study).encode()).hexdigest()[:12]
    return write_page(out, "listening.html", study=study)


def summarise(results: Sequence[Path]) -> dict[str, Any]:
    """Summarises the results of one page: means and 95 % intervals.

    The values of a system are its ratings, 0 to 100. In a preference test they are 1 if it was
    preferred, 0 if the other was, and 1/2 if neither. Values of one listener are not independent,
    so the interval is Student's over the listeners' means. With a single listener it is over their
    values and does not generalise to other people.

    Args:
      results: JSON files, one per listener.

    Returns:
      "page", "kind", "listeners", and "systems": by name, "mean", "low" and "high" (None with a
      single value), clipped to the scale and rounded to two digits, and "n", the number of values.
      A preference test adds "pairs": "systems", "preferred" (shares by name), "no_preference" and
      "n".

    Raises:
      InputError: If there are no files, or one is unreadable, belongs to another page or kind of
        test than the first, or is the second one of a listener.
    """
    if not results:
        raise InputError("no results to summarise; name the JSON files that listeners sent.")
    answers = [_read_answers(path) for path in results]
    first = answers[0]
    heard: dict[str, Path] = {}
    for path, answer in zip(results, answers, strict=True):
        if answer["page"] != first["page"]:
            raise InputError(
                f"{path}: belongs to page {answer['page']}, {results[0]} to {first['page']}; "
                "summarise one page's results at a time."
            )
        if answer["kind"] != first["kind"]:
            raise InputError(
                f"{path}: belongs to a test of kind {answer['kind']}, {results[0]} to "
                f"{first['kind']}; summarise one kind at a time."
            )
        listener = answer["listener"]
        if listener in heard:
            raise InputError(
                f"{path}: comes from the same listener as {heard[listener]}; name one of them."
            )
        heard[listener] = path
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        for system, value in _values(answer):
            values[system][answer["listener"]].append(value)
    summary = {
        "page": first["page"],
        "kind": first["kind"],
        "listeners": len(answers),
        "systems": {
            system: _mean(list(of.values()), 100 if first["kind"] == "mushra" else 1)
            for system, of in sorted(values.items())
        },
    }
    if first["kind"] == "ab":
        summary["pairs"] = _pairs(answers)
    return summary


def _chosen(
    clips: list[PlayedClip],
    folder: Path,
    systems: Sequence[str],
    num_clips: int | None,
    seed: int,
) -> list[PlayedClip]:
    if len(set(systems)) < 2 or len(set(systems)) < len(systems):
        raise InputError(f"{', '.join(systems) or 'none'}: name two or more different systems.")
    present = sorted({system for clip in clips for system in clip.systems()})
    unknown = [system for system in systems if system not in present]
    if unknown:
        raise InputError(
            f"{folder}: holds no basses by {', '.join(unknown)}; "
            f"choose from {', '.join(present) or 'none, for it holds no basses at all'}."
        )
    complete = [clip for clip in clips if set(systems) <= set(clip.systems())]
    if num_clips is None:
        num_clips = max(1, min(_MOST_CLIPS, len(complete)))
    if not 1 <= num_clips <= len(complete):
        raise InputError(
            f"{folder}: holds {len(complete)} clips with basses by {', '.join(systems)}, so "
            f"{num_clips} cannot be chosen; ask for 1 to {len(complete)}."
        )
    chosen = np.random.default_rng(seed).choice(len(complete), num_clips, replace=False)
    return [complete[index] for index in sorted(chosen)]


def _sounds(clip: PlayedClip, keys: dict[str, str]) -> dict[str, Any]:
    """The reference and the mixdowns by key, sorted by key to hide the systems."""
    mix = clip.read(MIX, _MAX_SECONDS)
    order = sorted(keys)
    signals = [mix, *(mixdown(mix, clip.read(keys[key], _MAX_SECONDS)) for key in order)]
    gains = matching_gains(signals)
    uris = [mp3_uri(gain * signal) for gain, signal in zip(gains, signals, strict=True)]
    return {"reference": uris[0], "stimuli": dict(zip(order, uris[1:], strict=True))}


def _read_answers(path: Path) -> dict[str, Any]:
    try:
        answers = parse_json(read_text(path))
        if answers["kind"] not in _KINDS or not answers["trials"]:
            raise ValueError(answers["kind"])
        if not isinstance(answers["page"], str) or not isinstance(answers["listener"], str):
            raise TypeError("page and listener are names")
        for trial in answers["trials"]:
            systems = [stimulus["system"] for stimulus in trial["stimuli"]]
            if not systems or not all(isinstance(system, str) for system in systems):
                raise TypeError("systems are names")
            if answers["kind"] == "ab":
                _, _ = systems
                if trial["preference"] not in (*systems, None):
                    raise ValueError(trial["preference"])
            elif not all(0 <= stimulus["rating"] <= 100 for stimulus in trial["stimuli"]):
                raise ValueError("a rating off the scale")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name another.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is not a result of a listening page; name a JSON file that a page saved."
        ) from error
    return answers


def _values(answers: dict[str, Any]) -> Iterable[tuple[str, float]]:
    for trial in answers["trials"]:
        systems = [stimulus["system"] for stimulus in trial["stimuli"]]
        if answers["kind"] == "mushra":
            yield from ((s["system"], float(s["rating"])) for s in trial["stimuli"])
        elif trial["preference"] is None:
            yield from ((system, 0.5) for system in systems)
        else:
            yield from ((system, float(system == trial["preference"])) for system in systems)


def _mean(by_listener: list[list[float]], top: float) -> dict[str, float | int | None]:
    """Mean and Student's 95 % interval over listeners, or over a single listener's values.

    The interval is clipped to the scale, 0 to `top`.
    """
    units = by_listener[0] if len(by_listener) == 1 else [np.mean(of) for of in by_listener]
    mean, num = float(np.mean(units)), len(units)
    low = high = None
    if num > 1:
        quantile = float(scipy.special.stdtrit(num - 1, 0.975))
        half = quantile * float(np.std(units, ddof=1)) / math.sqrt(num)
        low, high = (round(min(max(end, 0.0), top), 2) for end in (mean - half, mean + half))
    return {"mean": round(mean, 2), "low": low, "high": high, "n": sum(map(len, by_listener))}


def _pairs(answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    preferences: dict[tuple[str, str], list[str | None]] = defaultdict(list)
    for answer in answers:
        for trial in answer["trials"]:
            first, second = sorted(stimulus["system"] for stimulus in trial["stimuli"])
            preferences[first, second].append(trial["preference"])
    return [
        {
            "systems": list(pair),
            "preferred": {system: chosen.count(system) / len(chosen) for system in pair},
            "no_preference": chosen.count(None) / len(chosen),
            "n": len(chosen),
        }
        for pair, chosen in sorted(preferences.items())
    ]
