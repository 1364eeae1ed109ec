"""The verbs `evaluate` and `sweep`: basses scored on songs that were not trained on."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bassdiff.cli.arguments import (
    data_arguments,
    positive,
    rendering,
    sampling_arguments,
    sampling_overrides,
)
from bassdiff.cli.printing import say
from bassdiff.diffusion.settings import setting_fields
from bassdiff.runtime.compilation_cache import keep_programs
from bassdiff.runtime.devices import check_devices
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.jobs import resumable_job

if TYPE_CHECKING:
    from bassdiff.metrics.table import Table


@resumable_job()
def evaluate(arguments: argparse.Namespace) -> None:
    """Scores basses on held-out songs, beside baselines."""
    out = Path(arguments.out)
    if arguments.task == "listen":
        _listen(arguments, out)
        return
    from bassdiff.evaluation.report import check_report, write_report

    page = Path(arguments.report or out / "report")
    log = Path(arguments.training_log) if arguments.training_log else None
    is_reported = bool(arguments.report) or arguments.task == "report"
    if is_reported:
        check_report(page, log)
    table = None if arguments.task == "report" else _scores(arguments, out)
    if table:
        say(table.to_text())
    if is_reported:
        print("wrote", write_report(out, page, log), file=sys.stderr)
    if table and arguments.fail_if_gap_below is not None:
        from bassdiff.evaluation.tasks.ablation import check_gap

        check_gap(table, arguments.fail_if_gap_below)


def sweep(arguments: argparse.Namespace) -> None:
    """Plays a set of mixes with every combination of settings, and compares the results."""
    from bassdiff.evaluation.tasks.sweep import parse_grid

    arguments.grid = parse_grid(arguments.grid)
    evaluate(arguments)


def _scores(arguments: argparse.Namespace, out: Path) -> Table:
    from tqdm import tqdm

    from bassdiff.evaluation.tasks.run import Request, run

    if arguments.fail_if_gap_below is not None and arguments.task != "ablation":
        raise InputError("--fail-if-gap-below is a gate of ablation; ask for that task")
    if bool(arguments.data) == bool(arguments.pairs):
        raise InputError("name the songs to play to (--data), or finished pairs (--pairs)")
    keep_programs()
    check_devices()
    optional = (
        *("embedder", "bank", "training"),
        *("sweep_clips", "num_songs", "segment_seconds", "grid"),
    )
    request = Request(
        out=out,
        data=arguments.data or f"pairs:{arguments.pairs}",
        finished=bool(arguments.pairs),
        source={"split": "all" if arguments.pairs else arguments.split, **rendering(arguments)},
        num_clips=arguments.num_clips,
        clip_seconds=arguments.clip_seconds,
        seed=arguments.seed,
        weights=arguments.weights,
        adapter=arguments.adapter,
        overrides=sampling_overrides(arguments),
        judge=arguments.judge,
        **{name: getattr(arguments, name) for name in optional if hasattr(arguments, name)},
    )
    with contextlib.ExitStack() as bars:
        # Closes the bars, so that an error message begins on its own line.
        return run(
            arguments.task,
            request,
            lambda items, label: bars.enter_context(tqdm(items, label, leave=False)),
        )


def _listen(arguments: argparse.Namespace, out: Path) -> None:
    from bassdiff.evaluation.listening import summarise, write_listening_page

    if arguments.results:
        say(json.dumps(summarise([Path(path) for path in arguments.results]), indent=1))
        return
    page = Path(arguments.page) if arguments.page else out / "listening"
    systems = arguments.systems.split(",")
    print("wrote", write_listening_page(out, page, systems, arguments.kind), file=sys.stderr)


# Every task takes the options of all, so that one set of options serves several tasks; its help
# lists those that it reads.
_TASKS = {
    "music": "harmony and rhythm, beside rules and the true bass",
    "matching": "whether a learned judge finds the mix that a bass was played to",
    "distances": "how far sets of basses are from sets of true ones",
    "memorisation": "whether basses are copies of those that were trained on",
    "style": "whether a bass takes the sound of a reference",
    "longform": "whether long songs stay as good as they begin",
    "codec": "what is lost in the codec alone",
    "ablation": "whether the mix is heard: the true one against others",
    "control": "whether chords are kept to, by strength",
    "listen": "a blind listening test of the basses, or a summary of its results",
    "report": "a page of all results",
}
_SCORED = tuple(name for name in _TASKS if name not in ("listen", "report"))
_PLAYED = ("style", "longform", "ablation", "control")
# Options that not all tasks read, by those that do.
_READ_BY = {
    "embedder": ("distances",),
    "bank": ("music",),
    "training": ("memorisation",),
    "sweep_clips": ("style", "ablation", "control"),
    "num_songs": ("longform",),
    "segment_seconds": ("longform",),
    "fail_if_gap_below": ("ablation",),
    **dict.fromkeys(("systems", "kind", "page", "results"), ("listen",)),
    **dict.fromkeys(("report", "training_log"), (*_SCORED, "report")),
    "pairs": tuple(name for name in _SCORED if name not in _PLAYED),
    **dict.fromkeys(
        ("num_clips", "clip_seconds"), tuple(name for name in _SCORED if name != "longform")
    ),
}
_ANY = ("help", "out")


def evaluate_words(sub: argparse.ArgumentParser) -> None:
    """Adds a parser for each task."""
    tasks = sub.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, summary in _TASKS.items():
        one = tasks.add_parser(name, help=summary, description=f"Scores {summary}.")
        if name not in _SCORED:
            one.description = f"Makes {summary}."
        _all_words(one)
        for action in one._actions:
            if action.dest not in _ANY and name not in _READ_BY.get(action.dest, _SCORED):
                action.help = argparse.SUPPRESS


def _all_words(sub: argparse.ArgumentParser) -> None:
    _evaluation_arguments(sub, "evaluation")
    sub.add_argument("--training-log", metavar="FILE", help="metrics.jsonl to draw in the report")
    sub.add_argument(
        "--embedder",
        default="matching",
        help="matching, log_mel, or vggish:, clap: or mert: with an ONNX file",
    )
    sub.add_argument("--bank", default="composed:40", help="songs to find the nearest bass in")
    sub.add_argument("--training", default="", metavar="DIR", help="latents trained on, by encode")
    sub.add_argument(
        "--sweep-clips",
        type=positive(int),
        default=12,
        help="clips to play again for every setting",
    )
    sub.add_argument("--songs", dest="num_songs", type=positive(int), default=3, help="how many")
    sub.add_argument(
        "--segment-seconds", type=positive(float), default=60.0, help="parts to compare"
    )
    sub.add_argument(
        "--fail-if-gap-below",
        type=_gap,
        metavar="GAP",
        help="exit with 3 unless the true mix wins by this much, between -0.5 and 0.5",
    )
    sub.add_argument("--systems", default="model,true,follower", help="basses, by file names")
    sub.add_argument("--kind", default="mushra", choices=("mushra", "ab"), help="of the test")
    sub.add_argument("--page", metavar="DIR", help="where the page goes (OUT/listening)")
    sub.add_argument("--results", nargs="+", metavar="FILE", help="summarise these results")


def sweep_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `sweep`."""
    sub.set_defaults(task="sweep", fail_if_gap_below=None, training_log=None)
    sub.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="SETTING=VALUE,VALUE",
        help="values of a setting; repeated for others: weights, "
        + ", ".join(field.name for field in setting_fields()),
    )
    _evaluation_arguments(sub, "sweep")


def _evaluation_arguments(sub: argparse.ArgumentParser, out: str) -> None:
    sub.add_argument(
        "--out", default=out, metavar="DIR", help="clips, basses and tables; resumable"
    )
    sub.add_argument("--report", metavar="DIR", help="write index.html there")
    data_arguments(sub, split="validation", required=False)
    sub.add_argument(
        "--pairs", metavar="DIR", help="judge finished pairs instead: SONG/mix.*, bass.*, true.*"
    )
    sampling_arguments(sub)
    sub.add_argument(
        "--clips", dest="num_clips", type=positive(int), default=24, help="how many to score"
    )
    sub.add_argument("--clip-seconds", type=positive(float), default=23.8, help="length of a clip")
    sub.add_argument("--seed", type=int, default=0, help="of the first clip's noise")
    sub.add_argument(
        "--judge",
        default="small",
        metavar="NAME_OR_DIR",
        help="weights whose matching models judge, or none",
    )


def _gap(word: str) -> float:
    value = float(word)
    if not -0.5 < value < 0.5:
        raise argparse.ArgumentTypeError(f"{word} is not between -0.5 and 0.5")
    return value
