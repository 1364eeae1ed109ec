"""The command line: one verb per job; see `bassdiff VERB --help`.

Exit codes: 0 done; 2 bad input, usage or configuration (nothing was written); 3 an evaluation
fell short of `--fail-if-gap-below`, or `data duplicates --fail` found a pair; 4 some songs of a
batch failed, and their rows say why; 42 a long job was asked to end, or hung, and the same command
continues it; 130 interrupted; 1 a defect of bassdiff, with a traceback to report.
"""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from collections.abc import Sequence

from bassdiff.cli.app import app, app_words
from bassdiff.cli.arguments import generate_words, parser_of
from bassdiff.cli.batch import batch, batch_words
from bassdiff.cli.completion import completion, completion_words
from bassdiff.cli.data_tasks import data, data_words
from bassdiff.cli.encode import encode, encode_words
from bassdiff.cli.evaluate import evaluate, evaluate_words, sweep, sweep_words
from bassdiff.cli.gallery import gallery, gallery_words
from bassdiff.cli.generate import generate
from bassdiff.cli.printing import keep_streams
from bassdiff.cli.recall import info, info_words
from bassdiff.cli.release import release, release_words
from bassdiff.cli.train import train, train_words
from bassdiff.cli.transcribe import transcribe, transcribe_words
from bassdiff.runtime.atomic import path_fault
from bassdiff.runtime.compilation_cache import mend
from bassdiff.runtime.errors import (
    GateFailed,
    InputError,
    Preempted,
    SomeFailed,
    exit_code,
    printable,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    keep_streams()
    commands = parser()
    arguments, rest = commands.parse_known_args(argv)
    if rest and arguments.verb is not train:
        commands.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.overrides = rest
    warnings.showwarning = _show_warning
    # A job that is asked to end cleans up like one that is interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _refuse_empty(sys.argv[1:] if argv is None else argv, arguments)
        arguments.verb(arguments)
    except (InputError, GateFailed, SomeFailed, Preempted, KeyboardInterrupt) as error:
        print(f"bassdiff: {printable(str(error)) or 'interrupted'}", file=sys.stderr)
        return exit_code(error)
    except OSError as error:
        if (fault := path_fault(error)) is None:
            raise
        print(f"bassdiff: {printable(str(fault))}", file=sys.stderr)
        return exit_code(fault)
    return 0


def _refuse_empty(words: Sequence[str], arguments: argparse.Namespace) -> None:
    for before, word in zip(["", *words], words, strict=False):
        option = word[:-1] if word.endswith("=") else before if word == "" else None
        # Values of a config may be empty.
        if option is None or option.startswith("--config."):
            continue
        positional = (name for name, value in vars(arguments).items() if value in ("", [""]))
        name = option[2:] if option.startswith("--") else next(positional, None)
        if name is not None:
            raise InputError(f"{name} is empty; give a name, or leave it out")


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from tqdm import tqdm

    # Not into the middle of a progress bar.
    if text := mend(str(message)):
        tqdm.write(f"bassdiff: warning: {printable(text)}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    return parser_of(
        {
            generate: generate_words,
            app: app_words,
            info: info_words,
            batch: batch_words,
            transcribe: transcribe_words,
            train: train_words,
            encode: encode_words,
            release: release_words,
            evaluate: evaluate_words,
            sweep: sweep_words,
            gallery: gallery_words,
            data: data_words,
            completion: completion_words(parser),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
