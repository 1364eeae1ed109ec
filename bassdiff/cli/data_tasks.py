"""The verb `data` and its tasks: each is a function, and one that adds its options."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bassdiff.cli.arguments import (
    AddWords,
    Verb,
    add_verbs,
    positive,
    rendering,
    rendering_words,
)
from bassdiff.cli.printing import say
from bassdiff.runtime.errors import GateFailed
from bassdiff.runtime.jobs import resumable_job


def prepare(arguments: argparse.Namespace) -> None:
    """Prepares a set of songs once, to be read as tfds:NAME@DATA_DIR."""
    from absl import logging

    from bassdiff.data.datasets.preparing import prepare

    # TFDS warns of every collection that is not its own.
    logging.set_verbosity(logging.ERROR)
    options = ("soundfonts", "num_songs", "variants", "seed", "max_seconds", "separator")
    given = {name: getattr(arguments, name) for name in options}
    folder = prepare(
        arguments.name,
        arguments.out,
        arguments.folder,
        arguments.collection,
        arguments.workers,
        arguments.beam,
        **{name: value for name, value in given.items() if value is not None},
    )
    print("wrote", folder, file=sys.stderr)


def _prepare_words(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "name",
        metavar="NAME",
        help="musdb18_hq, moisesdb, slakh2100, stem_folders, recordings, tracker_modules, "
        "midi_folder or composed_songs",
    )
    sub.add_argument(
        "--from", dest="folder", metavar="PATH", help="the set: its archive, or unpacked"
    )
    sub.add_argument("--out", required=True, metavar="DATA_DIR", help="folder of TFDS datasets")
    sub.add_argument("--collection", metavar="NAME", help="of your own songs (default: DIR's name)")
    sub.add_argument("--workers", type=positive(int), default=1, metavar="N", help="processes")
    sub.add_argument(
        "--beam", metavar="OPTIONS", help='run on Apache Beam: --beam="--runner=DirectRunner"'
    )
    rendered = sub.add_argument_group("for midi_folder and composed_songs")
    rendered.add_argument(
        "--soundfont",
        dest="soundfonts",
        action="append",
        metavar="FILE",
        help=".sf2 file; may be repeated",
    )
    rendered.add_argument("--songs", dest="num_songs", type=positive(int), help="how many")
    rendered.add_argument("--variants", type=positive(int), help="renderings of every song")
    rendered.add_argument("--seed", type=int, help="of the renderings")
    rendered.add_argument(
        "--max-seconds", type=positive(float), help="songs are cut there, recordings too"
    )
    sub.add_argument(
        "--separator", metavar="FILE.onnx", help="recordings: a network that separates stems"
    )


def inspect(arguments: argparse.Namespace) -> None:
    """Writes a page about the contents of songs or of a store of latents."""
    from tqdm import tqdm

    from bassdiff.evaluation.inspection.run import inspect

    page = inspect(
        arguments.data,
        Path(arguments.out),
        rendering(arguments) | {"split": arguments.split},
        arguments.num_songs,
        arguments.num_examples,
        lambda items, label: tqdm(items, label, leave=False),
    )
    print("wrote", page, file=sys.stderr)


def _inspect_words(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("data", metavar="SPEC", help="songs as of --data, or a folder of latents")
    rendering_words(sub)
    sub.add_argument(
        "--songs", dest="num_songs", type=positive(int), metavar="N", help="drawn evenly"
    )
    sub.add_argument(
        "--examples", dest="num_examples", type=positive(int), default=4, help="songs to play"
    )
    sub.add_argument("--out", required=True, metavar="DIR", help="index.html and inspection.json")


def duplicates(arguments: argparse.Namespace) -> None:
    """Finds songs that are in two splits, in any key and sound."""
    from tqdm import tqdm

    from bassdiff.evaluation.inspection.run import duplicates

    report = duplicates(
        arguments.data,
        arguments.against,
        Path(arguments.out),
        rendering(arguments),
        lambda items, label: tqdm(items, label, leave=False),
    )
    say(report.to_text())
    if arguments.fail and report.pairs:
        raise GateFailed(
            f"{len(report.pairs)} pairs of songs are in both splits; see {arguments.out}"
        )


def _duplicates_words(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("data", metavar="SPEC", help="songs as of --data")
    sub.add_argument(
        "--against",
        metavar="SPEC",
        help="compare with all of these, instead of the training split with the validation split",
    )
    rendering_words(sub, split=None)
    sub.add_argument("--out", required=True, metavar="FILE", help="the report, as .json")
    sub.add_argument("--fail", action="store_true", help="exit with 3 if there is any pair")


_TASKS: dict[Verb, AddWords] = {
    prepare: _prepare_words,
    inspect: _inspect_words,
    duplicates: _duplicates_words,
}


def data_words(sub: argparse.ArgumentParser) -> None:
    """Adds the tasks to the parser of `data`."""
    add_verbs(sub, "task", _TASKS)


@resumable_job()
def data(arguments: argparse.Namespace) -> None:
    """Prepares sets of songs for training, and inspects them."""
    arguments.task(arguments)
