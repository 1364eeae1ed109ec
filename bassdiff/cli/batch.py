"""The verb `batch`: its options, progress and summary."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from bassdiff.cli.arguments import natural, part, positive, sampling_arguments, sampling_overrides
from bassdiff.cli.printing import say
from bassdiff.runtime.compilation_cache import keep_programs
from bassdiff.runtime.devices import check_devices
from bassdiff.runtime.errors import InputError, SomeFailed
from bassdiff.runtime.jobs import resumable_job

if TYPE_CHECKING:
    from bassdiff.batch.job import Job
    from bassdiff.batch.tally import Tally

_MOST_WORKERS = 256
# The number of a pod of an Indexed Job, from 0.
_INDEX = "JOB_COMPLETION_INDEX"


@resumable_job()
def batch(arguments: argparse.Namespace) -> None:
    """Plays basses to many songs; the same command continues an interrupted job."""
    if arguments.merge:
        _merge(arguments)
        return
    if not arguments.songs:
        raise InputError("there is nothing to play; name a manifest, folders or audio files")
    from bassdiff.batch.item import Part
    from bassdiff.batch.job import Job, run
    from bassdiff.batch.order import Order

    keep_programs()
    check_devices()
    # Of which song they are is not said; its row has the loudness.
    warnings.filterwarnings("ignore", "the bass came out|the mix is silent|no pitch is heard")
    order = Order(
        weights=arguments.weights,
        adapter=arguments.adapter,
        settings=sampling_overrides(arguments),
        seed=arguments.seed,
        format=arguments.format,
        mixdown=arguments.mixdown,
        midi=arguments.midi,
        candidates=arguments.candidates,
        judges=arguments.judge,
    )
    job = Job(
        arguments.songs,
        arguments.out,
        order,
        Part(*arguments.part),
        stems_of=arguments.stems_of,
        num_workers=arguments.workers,
        item_seconds=arguments.item_seconds,
        patience_seconds=arguments.patience_seconds,
        retry_failed=arguments.retry_failed,
    )
    tally = _ray(arguments, job) if arguments.engine == "ray" else run(job, _bar)
    say(summary(tally))
    if tally.failed and not arguments.allow_failed:
        raise SomeFailed(
            f"{tally.failed} of {tally.played + tally.kept + tally.failed} songs were not played; "
            f"results-*.jsonl in {arguments.out} says why, and --retry-failed tries them again"
        )


def _ray(arguments: argparse.Namespace, job: Job) -> Tally:
    from bassdiff.batch.ray_driver import Fleet, run

    return run(job, Fleet(arguments.accelerator, arguments.players, arguments.stall_seconds), _bar)


def _merge(arguments: argparse.Namespace) -> None:
    from bassdiff.batch.merge import merge
    from bassdiff.batch.patience import Patience
    from bassdiff.batch.report import write_report
    from bassdiff.batch.storage import Storage

    if arguments.songs:
        raise InputError("--merge plays nothing; leave out the songs, or leave out --merge")
    patience = Patience(arguments.patience_seconds)
    with contextlib.closing(Storage(arguments.out, "the table", patience)) as storage:
        name, count = merge(storage)
        page = write_report(storage, patience)
    print(f"wrote {name} of {count} songs, and {page}", file=sys.stderr)


def summary(tally: Tally) -> str:
    """The result of a job, as a table."""
    rows = (
        ("played", str(tally.played)),
        ("there already", str(tally.kept)),
        ("failed", str(tally.failed)),
        ("audio", f"{tally.audio_seconds / 3600.0:.2f} h"),
        ("time", f"{tally.wall_seconds / 60.0:.1f} min"),
        ("songs an hour", f"{tally.songs_per_hour:.0f}"),
        ("devices idle", f"{100.0 * tally.idle_share:.0f} %"),
    )
    return "\n".join(f"{name:<14} {value:>10}" for name, value in rows)


def _bar(count: int) -> Callable[[Tally], None]:
    """A progress bar over `count` songs."""
    from tqdm import tqdm

    # A copy of stderr: decoders redirect the original while libraries that write to it run.
    bar = tqdm(total=count, desc="songs", unit="song", file=os.fdopen(os.dup(2), "w"))

    def show(tally: Tally) -> None:
        done = tally.played + tally.kept + tally.failed
        if done > bar.n:
            bar.set_postfix_str(f"{tally.songs_per_hour:.0f} songs/h, {tally.failed} failed", False)
            bar.update(done - bar.n)
        if done == count:
            bar.close()

    return show


def batch_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `batch`."""
    sub.add_argument(
        "songs",
        nargs="*",
        metavar="SONGS",
        help="a manifest (.jsonl, .csv), or folders, globs and audio files; paths or URLs",
    )
    sub.add_argument("--out", required=True, metavar="DIR_OR_URL", help="where results go")
    sub.add_argument(
        "--merge",
        action="store_true",
        help="make one table of all rows in --out and a page to listen to; play nothing",
    )
    sub.add_argument(
        "--part",
        type=_part,
        default=(0, 1),
        metavar="I/N",
        help="play the I-th of N parts; index/N takes the number of a Kubernetes Indexed Job",
    )
    sub.add_argument(
        "--stems-of",
        nargs="+",
        default=(),
        metavar="STYLE",
        help="play every song once in the sound of each of these basses",
    )
    sub.add_argument(
        "--seed", type=natural, default=0, help="the seeds of songs derive from it (0)"
    )
    # Without ogg, whose streams have a random number: no two files would be the same.
    sub.add_argument(
        "--format", default="wav", choices=("wav", "flac", "mp3"), help="of audio (wav)"
    )
    sub.add_argument("--mixdown", action="store_true", help="also write mixes with basses")
    sub.add_argument("--midi", action="store_true", help="also write the notes of basses")
    sub.add_argument(
        "--candidates",
        type=positive(int),
        default=1,
        metavar="N",
        help="play N basses to a song, and keep the one that fits it best (1)",
    )
    sub.add_argument(
        "--judge",
        default="small",
        metavar="NAME_OR_DIR",
        help="weights whose matching models choose (small)",
    )
    sub.add_argument(
        "--retry-failed", action="store_true", help="retry songs that failed in an earlier run"
    )
    sub.add_argument(
        "--allow-failed", action="store_true", help="exit with 0 and not 4 when some songs failed"
    )
    sub.add_argument(
        "--workers",
        type=_workers,
        default=max(2, min(8, (os.cpu_count() or 2) // 2)),
        metavar="N",
        help="threads that read, and as many that write (%(default)s)",
    )
    sub.add_argument(
        "--item-seconds",
        type=positive(float),
        default=900.0,
        metavar="S",
        help="give up a song that takes longer to read (900)",
    )
    sub.add_argument(
        "--patience-seconds",
        type=positive(float),
        default=600.0,
        metavar="S",
        help="how long to wait for a store that does not answer (600)",
    )
    _ray_words(sub)
    sampling_arguments(sub)


def _workers(word: str) -> int:
    count = int(word)
    if not 1 <= count <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{word} is not from 1 to {_MOST_WORKERS}")
    return count


def _ray_words(sub: argparse.ArgumentParser) -> None:
    words = sub.add_argument_group("a Ray cluster")
    words.add_argument(
        "--engine",
        default="process",
        choices=("process", "ray"),
        help="play in this process, or on the Ray cluster that RAY_ADDRESS names (process)",
    )
    words.add_argument(
        "--accelerator",
        default="",
        choices=("tpu", "gpu", "cpu"),
        help="what plays there (what the cluster has)",
    )
    words.add_argument(
        "--players",
        type=positive(int),
        metavar="N",
        help="how many of them; a machine counts as one CPU (all)",
    )
    words.add_argument(
        "--stall-seconds",
        type=positive(float),
        default=1800.0,
        metavar="S",
        help="start new workers when none finishes anything for so long (1800)",
    )


def _part(word: str) -> tuple[int, int]:
    index, _, count = word.partition("/")
    if index != "index":
        return part(word)
    number = os.environ.get(_INDEX, "")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{word} needs the pod's number, and {_INDEX} is not set; write one, as 1/{count}"
        )
    return part(f"{int(number) + 1}/{count}")
