"""Finished songs of a dataset under construction, one file each, so that work can resume.

A song is finished when its outcome, a JSON file, exists; it is written last and atomically. Both
files are named by a digest of the song's sources and settings.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shlex
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bassdiff.data.datasets import rules
from bassdiff.data.datasets.rules import Track
from bassdiff.data.datasets.song import FEATURES, to_example
from bassdiff.runtime.atomic import atomic_file, make_folder
from bassdiff.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of preparing a song.

    Attributes:
      name: The song's name.
      split: The song's split.
      changes: Repairs, see `rules`.
      left_out: Reason for leaving it out, or empty.
      num_samples: Length; 0 if it was left out.
      path: File of its example.
    """

    name: str
    split: str
    changes: tuple[str, ...]
    left_out: str
    num_samples: int
    path: Path


def make_all(
    tracks: Sequence[Track],
    folder: Path,
    recipe: Any,
    bits: int,
    workers: int = 1,
    beam_options: str | None = None,
) -> list[Outcome]:
    """Prepares all unfinished songs.

    Args:
      tracks: The songs.
      folder: Folder of finished songs; created.
      recipe: Settings that decide the result, as JSON values.
      bits: Bits of the FLAC files.
      workers: Processes on this machine.
      beam_options: Runs on Apache Beam instead, for instance "--runner=DirectRunner"; every worker
        must see `folder` and the sources under the same paths.

    Returns:
      The outcomes, in the order of `tracks`.

    Raises:
      InputError: If the disk is full, or Beam is requested but not installed.
    """
    make_folder(folder)
    stems = [folder / _digest(track, recipe, bits) for track in tracks]
    todo = [i for i, stem in enumerate(stems) if not _outcome_path(stem).exists()]
    make = functools.partial(_make, bits=bits)
    jobs = [(tracks[i], stems[i]) for i in todo]
    done = len(tracks) - len(todo)
    bar = functools.partial(tqdm, desc="songs", unit="song", total=len(tracks), initial=done)
    if beam_options is not None:
        _on_beam(make, jobs, beam_options)
    elif workers == 1:
        for job in bar(jobs, disable=None):
            make(job)
    else:
        _in_processes(make, jobs, workers, bar)
    return [_outcome(stem) for stem in stems]


def read_part(path: Path) -> dict[str, Any]:
    """Reads the example of a finished song."""
    return FEATURES.deserialize_example_np(path.read_bytes())


def pipeline_options(options: str) -> Any:
    """Parses options of Apache Beam.

    Raises:
      InputError: If Beam is not installed.
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise InputError("Apache Beam is not installed; pip install 'bassdiff[beam]'.") from error
    return PipelineOptions(shlex.split(options))


def _make(job: tuple[Track, Path], bits: int) -> None:
    track, stem = job
    changes: tuple[str, ...] = ()
    left_out, num_samples = "", 0
    try:
        reading = track.read()
        rules.check(reading.stems)
    except InputError as error:
        left_out = str(error)
    else:
        changes, num_samples = reading.changes, len(reading.stems.bass)
        example = FEATURES.encode_example(to_example(reading.stems, bits))
        with atomic_file(stem.with_suffix(".example")) as file:
            file.write(FEATURES.serialize_example(example))
    outcome = {
        "name": track.name,
        "split": track.split,
        "changes": changes,
        "left_out": left_out,
        "num_samples": num_samples,
    }
    with atomic_file(_outcome_path(stem)) as file:
        file.write(json.dumps(outcome).encode())


def _outcome_path(stem: Path) -> Path:
    return stem.with_suffix(".json")


def _outcome(stem: Path) -> Outcome:
    values = json.loads(_outcome_path(stem).read_text())
    changes = tuple(values.pop("changes"))
    return Outcome(**values, changes=changes, path=stem.with_suffix(".example"))


def _digest(track: Track, recipe: Any, bits: int) -> str:
    files = []
    for path in track.files:
        # Reading the song will report a missing file.
        facts = path.stat() if path.exists() else None
        files.append((str(path), facts and (facts.st_size, facts.st_mtime_ns)))
    content = repr((json.dumps(recipe, sort_keys=True), bits, track.name, track.split, files))
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def _in_processes(make: Any, jobs: Sequence[tuple[Track, Path]], workers: int, bar: Any) -> None:
    # Not forked: the caller may have threads, for instance of JAX.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker) as pool:
        futures = [pool.submit(make, job) for job in jobs]
        try:
            for future in bar(as_completed(futures), disable=None):
                future.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a worker was killed, perhaps for lack of memory; run the same command with fewer "
                "workers, finished songs are kept."
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _begin_worker() -> None:
    # The parent decides when to stop; a worker ends with its parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_beam(make: Any, jobs: Sequence[tuple[Track, Path]], options: str) -> None:
    parsed = pipeline_options(options)
    if jobs:
        import apache_beam as beam

        with beam.Pipeline(options=parsed) as pipeline:
            _ = pipeline | beam.Create(jobs) | beam.Reshuffle() | beam.Map(make)
