"""The tasks of the verb `data`: each a function and the words of its command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TypeAlias

from bassdiff.arguments import positive

Task: TypeAlias = Callable[[argparse.Namespace], None]


def prepare(arguments: argparse.Namespace) -> None:
    """Prepares a set of songs once, to be read as tfds:NAME@DATA_DIR ever after."""
    from absl import logging

    from bassdiff.data.builders.preparing import prepare

    # TFDS warns of every collection that is not one of its own.
    logging.set_verbosity(logging.ERROR)
    rendering = ("soundfonts", "num_songs", "variants", "seed", "max_seconds")
    given = {name: getattr(arguments, name) for name in rendering}
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
        help="musdb18_hq, moisesdb, slakh2100, stem_folders, midi_folder or composed_songs",
    )
    sub.add_argument("--from", dest="folder", metavar="DIR", help="the set, as it was unpacked")
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
    rendered.add_argument("--max-seconds", type=positive(float), help="songs are cut there")


_TASKS: dict[Task, Callable[[argparse.ArgumentParser], None]] = {prepare: _prepare_words}


def data_words(sub: argparse.ArgumentParser) -> None:
    """Adds the tasks to the parser of the verb; `task` of what it parses is the function."""
    found = sub.add_subparsers(required=True, metavar="TASK")
    for task, words in _TASKS.items():
        summary = (task.__doc__ or "").strip()
        parser = found.add_parser(task.__name__, help=summary, description=summary)
        parser.set_defaults(task=task)
        words(parser)
