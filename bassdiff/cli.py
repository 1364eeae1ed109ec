"""The command line: one verb per job. `bassdiff VERB --help` tells the rest.

Exit codes: 0 done; 2 bad input, usage or configuration (nothing was written); 3 an evaluation
fell short of `--fail-if-gap-below`; 130 interrupted; 1 a defect of bassdiff, with a traceback to
report.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bassdiff.errors import GateFailed, InputError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from bassdiff.data.stems import Source
    from bassdiff.evaluation.table import Table
    from bassdiff.material import Draft, Style

KNOBS = (
    *("guidance", "guidance_kind", "rescale", "steps", "solver", "schedule"),
    *("grounding", "style_strength"),
)
EXIT_INPUT = 2
EXIT_GATE = 3
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    commands = parser()
    arguments, rest = commands.parse_known_args(argv)
    if rest and arguments.verb is not train:
        commands.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.overrides = rest
    warnings.showwarning = _show_warning
    # A job that is asked to end cleans up as one that is interrupted does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        arguments.verb(arguments)
    except InputError as error:
        print(f"bassdiff: {error}", file=sys.stderr)
        return EXIT_INPUT
    except GateFailed as error:
        print(f"bassdiff: {error}", file=sys.stderr)
        return EXIT_GATE
    except KeyboardInterrupt:
        print("bassdiff: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def generate(arguments: argparse.Namespace) -> None:
    """Plays a bass to a mix and writes it, a mixdown and a picture."""
    from bassdiff.examples import example_mix
    from bassdiff.performance import name_outputs, perform

    _compilation_cache()
    mixdown = Path(arguments.mixdown) if arguments.mixdown else None
    outputs = name_outputs(Path(arguments.out), mixdown, arguments.plot, arguments.variations)
    perform(
        Path(arguments.mix) if arguments.mix else example_mix(),
        outputs,
        arguments.weights,
        _styles(arguments),
        _draft(arguments),
        arguments.seed,
        _knobs(arguments),
    )
    for output in outputs:
        print("wrote", *filter(None, dataclasses.astuple(output)), file=sys.stderr)


def encode(arguments: argparse.Namespace) -> None:
    """Pre-encodes songs for training a diffusion or a matching model."""
    from tqdm import tqdm

    from bassdiff.data import latents, store
    from bassdiff.pretrained.features import open_features

    _compilation_cache()
    features = open_features(arguments.features, arguments.weights)
    source = _source(arguments)
    store.build(
        arguments.out,
        source,
        latents.latent_fields(features.bass, features.mix, arguments.mixes, arguments.keys),
        {
            "source": arguments.data,
            "split": arguments.split,
            "soundfonts": [Path(font).name for font in arguments.soundfont],
            "variants": arguments.variants,
            "max_seconds": arguments.max_seconds,
            "mixes": arguments.mixes,
            "keys": arguments.keys,
            "codecs": features.origin,
        },
        arguments.seed,
        lambda songs: tqdm(songs, "songs", unit="song"),
    )


def train(arguments: argparse.Namespace) -> None:
    """Trains an autoencoder, a diffusion model, its fast form or a matching model."""
    from bassdiff import recipes

    _compilation_cache()
    config = read_config(arguments.config, arguments.overrides)
    if config.objective != arguments.objective:
        raise InputError(
            f"{arguments.config} configures {config.objective}; run "
            f"`bassdiff train {config.objective}`"
        )
    recipes.run(config, Path(arguments.workdir))


def release(arguments: argparse.Namespace) -> None:
    """Gathers the weights of finished runs into one folder."""
    from bassdiff.pretrained.release import release

    release(
        Path(arguments.codecs),
        Path(arguments.unet),
        Path(arguments.out),
        [Path(path) for path in arguments.matching],
    )


def evaluate(arguments: argparse.Namespace) -> None:
    """Scores basses on songs that were not trained on, beside anchors of known worth."""
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
    table = None if arguments.task == "report" else _appraise(arguments, out)
    if table:
        print(table.to_text())
    if is_reported:
        print("wrote", write_report(out, page, log), file=sys.stderr)
    if table and arguments.fail_if_gap_below is not None:
        from bassdiff.appraisal.ablation import check_gap

        check_gap(table, arguments.fail_if_gap_below)


def _listen(arguments: argparse.Namespace, out: Path) -> None:
    from bassdiff.evaluation.listening import summarise, write_listening_page

    if arguments.results:
        print(json.dumps(summarise([Path(path) for path in arguments.results]), indent=1))
        return
    page = Path(arguments.page) if arguments.page else out / "listening"
    systems = arguments.systems.split(",")
    print("wrote", write_listening_page(out, page, systems, arguments.kind), file=sys.stderr)


def _appraise(arguments: argparse.Namespace, out: Path) -> Table:
    from tqdm import tqdm

    from bassdiff.appraisal.run import Request, run

    if arguments.fail_if_gap_below is not None and arguments.task != "ablation":
        raise InputError("--fail-if-gap-below is a gate of ablation; ask for that task")
    if bool(arguments.data) == bool(arguments.pairs):
        raise InputError("name the songs to play to (--data), or finished pairs (--pairs)")
    _compilation_cache()
    request = Request(
        out=out,
        data=arguments.data or f"pairs:{arguments.pairs}",
        finished=bool(arguments.pairs),
        source={
            "split": "all" if arguments.pairs else arguments.split,
            "soundfonts": arguments.soundfont,
            "variants": arguments.variants,
            "cache_dir": arguments.cache,
            "max_seconds": arguments.max_seconds,
        },
        num_clips=arguments.clips,
        clip_seconds=arguments.clip_seconds,
        seed=arguments.seed,
        weights=arguments.weights,
        knobs=_knobs(arguments),
        judge=arguments.judge,
        embedder=arguments.embedder,
        bank=arguments.bank,
        sweep_clips=arguments.sweep_clips,
        num_songs=arguments.songs,
        segment_seconds=arguments.segment_seconds,
    )
    with contextlib.ExitStack() as bars:
        # An error's sentence begins on a line of its own, not behind a bar.
        return run(
            arguments.task,
            request,
            lambda items, label: bars.enter_context(tqdm(items, label, leave=False)),
        )


def _source(arguments: argparse.Namespace) -> Source:
    from bassdiff.data.sources import open_source

    return open_source(
        arguments.data,
        arguments.split,
        soundfonts=arguments.soundfont,
        variants=arguments.variants,
        cache_dir=arguments.cache,
        max_seconds=arguments.max_seconds,
    )


def _styles(arguments: argparse.Namespace) -> list[Style]:
    from bassdiff.material import Style

    options = {"weight": arguments.style_weight, "start_seconds": arguments.style_from}
    for name, values in options.items():
        if values and len(values) != len(arguments.style):
            raise InputError(
                f"{len(values)} values of --style-{name.split('_')[0]} and {len(arguments.style)} "
                "of --style do not pair up; give one for each or none"
            )
    return [
        Style(path, **{name: values[i] for name, values in options.items() if values})
        for i, path in enumerate(arguments.style)
    ]


def _draft(arguments: argparse.Namespace) -> Draft | None:
    from bassdiff import material

    if (arguments.edit is None) != (arguments.region is None):
        raise InputError("--edit BASS and --region START:END need each other; give both")
    if arguments.strength is not None and not (arguments.vary or arguments.retimbre):
        raise InputError("--strength is of --vary or --retimbre; name a bass by one of them")
    if arguments.edit:
        return material.edit(arguments.edit, *arguments.region)
    if arguments.continuing:
        return material.continuation(arguments.continuing)
    strength = {} if arguments.strength is None else {"strength": arguments.strength}
    if arguments.vary:
        return material.variation(arguments.vary, **strength)
    if arguments.retimbre:
        return material.retimbre(arguments.retimbre, **strength)
    return None


def _knobs(arguments: argparse.Namespace) -> dict[str, float | int | str]:
    knobs = {name: getattr(arguments, name, None) for name in KNOBS}
    return {name: value for name, value in knobs.items() if value is not None}


def read_config(spec: str, overrides: Sequence[str]) -> ConfigDict:
    """Reads `FILE:SIZE` and applies `--config.key=value` overrides.

    Raises:
      InputError: If the file, the size or a key is unknown, or a value has the wrong type.
    """
    from absl import flags
    from ml_collections import config_flags

    path = Path(spec.partition(":")[0])
    if not path.is_file():
        raise InputError(f"{path}: there is no such config file; configs/ holds ours")
    # Flags of their own, so that nothing is shared with other users of absl.
    values = flags.FlagValues()
    words = ["bassdiff train", f"--config={spec}", *overrides]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    try:
        left = values(words)
        config = values.config
    except (flags.Error, KeyError, AttributeError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        if isinstance(error, KeyError | AttributeError):
            # They say no more than the name.
            reason = f"there is no size or key {reason.strip(chr(34) + chr(39))!r}"
        raise InputError(
            f"the configuration {' '.join((spec, *overrides))} cannot be used ({reason}); "
            "see the file for its sizes and keys"
        ) from error
    if len(left) > 1:
        raise InputError(f"unknown argument {left[1]}; settings look like --config.key=value")
    return config


def _compilation_cache() -> None:
    """Keeps compiled programs between runs, so that only the first one waits for them."""
    import jax

    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(Path(root) / "bassdiff" / "xla")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from tqdm import tqdm

    # Not into the middle of a progress bar.
    tqdm.write(f"bassdiff: warning: {message}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, as every other error is said."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_INPUT, f"bassdiff: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    root = _Parser(
        "bassdiff", description="Listens to a music mix and plays a bass line that belongs to it."
    )
    verbs = root.add_subparsers(required=True, metavar="VERB")

    def verb(function: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        summary = (function.__doc__ or "").strip()
        sub = verbs.add_parser(function.__name__, help=summary, description=summary)
        sub.set_defaults(verb=function)
        return sub

    _generate_arguments(verb(generate))

    sub = verb(train)
    sub.add_argument("objective", choices=("autoencoder", "diffusion", "distillation", "matching"))
    sub.add_argument("--config", required=True, metavar="FILE:SIZE")
    sub.add_argument("--workdir", required=True, help="checkpoints, logs and weights go here")
    sub.epilog = "Any key of the config can be set: --config.key=value."

    sub = verb(encode)
    _data_arguments(sub)
    sub.add_argument("--weights", default="small", help="name or folder of the codecs")
    sub.add_argument("--out", required=True, help="folder that receives the latents")
    sub.add_argument(
        "--features",
        default="latents",
        help="latents of the codecs, or spectrum: for a matching model that needs no codec",
    )
    sub.add_argument("--mixes", type=_positive(int), default=4, help="random mixes per song")
    sub.add_argument(
        "--keys", type=_positive(int), default=1, help="keys of every song, as matching needs"
    )
    sub.add_argument("--seed", type=int, default=0)

    sub = verb(release)
    sub.add_argument("--codecs", required=True, help="folder with both codecs' weights")
    sub.add_argument("--unet", required=True, help="the U-Net's unet.safetensors")
    sub.add_argument(
        "--matching",
        action="append",
        default=[],
        metavar="FILE",
        help="a matching model's matching.safetensors; may be repeated",
    )
    sub.add_argument("--out", required=True, help="folder that receives the weights")

    _evaluate_arguments(verb(evaluate))
    return root


def _evaluate_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "task",
        choices=(
            *("music", "matching", "distances", "style", "longform", "ablation"),
            *("listen", "report"),
        ),
        help="the question; listen makes a blind test of what was played, report a page of it all",
    )
    sub.add_argument(
        "--out", default="evaluation", metavar="DIR", help="clips, basses and tables; resumable"
    )
    sub.add_argument("--report", metavar="DIR", help="write index.html there")
    sub.add_argument("--training-log", metavar="FILE", help="metrics.jsonl to draw in the report")
    _data_arguments(sub, split="validation", required=False)
    sub.add_argument(
        "--pairs", metavar="DIR", help="judge finished pairs instead: SONG/mix.*, bass.*, true.*"
    )
    _sampling_arguments(sub)
    sub.add_argument("--clips", type=_positive(int), default=24)
    sub.add_argument("--clip-seconds", type=_positive(float), default=23.8)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument(
        "--judge",
        default="small",
        metavar="NAME_OR_DIR",
        help="weights whose matching models judge, or none",
    )
    sub.add_argument(
        "--embedder",
        default="matching",
        help="distances: matching, log_mel, or vggish:, clap: or mert: with an ONNX file",
    )
    sub.add_argument(
        "--bank", default="composed:40", help="music: songs to find the nearest bass in, or empty"
    )
    sub.add_argument(
        "--sweep-clips",
        type=_positive(int),
        default=12,
        help="style, ablation: how many of the clips to play again for every setting",
    )
    sub.add_argument("--songs", type=_positive(int), default=3, help="longform: how many")
    sub.add_argument("--segment-seconds", type=_positive(float), default=60.0)
    sub.add_argument(
        "--fail-if-gap-below",
        type=_gap,
        metavar="GAP",
        help="ablation: exit with 3 unless the true mix wins by so much, between -0.5 and 0.5",
    )
    sub.add_argument("--systems", default="model,true,follower", help="listen: by their file names")
    sub.add_argument("--kind", default="mushra", choices=("mushra", "ab"))
    sub.add_argument("--page", metavar="DIR", help="listen: where the page goes")
    sub.add_argument("--results", nargs="+", metavar="FILE", help="listen: sum up these results")


def _generate_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("mix", nargs="?", metavar="MIX", help="audio file; a short example if absent")
    sub.add_argument("--out", default="bass.wav", help="bass to write (default: %(default)s)")
    sub.add_argument(
        "--style",
        action="append",
        default=[],
        metavar="REF",
        help="bass recording whose sound to take; several are blended",
    )
    sub.add_argument(
        "--style-weight",
        action="append",
        default=[],
        type=float,
        metavar="W",
        help="share of each --style in the blend",
    )
    sub.add_argument(
        "--style-from",
        action="append",
        default=[],
        type=float,
        metavar="SECONDS",
        help="when each --style takes over, instead of blending",
    )
    sub.add_argument("--style-strength", type=float, help="0 (off) upwards; 1 is natural")
    drafts = sub.add_mutually_exclusive_group()
    drafts.add_argument("--edit", metavar="BASS", help="play --region of a bass anew")
    drafts.add_argument(
        "--continue", dest="continuing", metavar="BASS", help="go on from where a bass ends"
    )
    drafts.add_argument("--vary", metavar="BASS", help="play a bass differently, by --strength")
    drafts.add_argument(
        "--retimbre", metavar="BASS", help="keep a bass's notes, in another sound (--style)"
    )
    sub.add_argument("--region", type=_region, metavar="START:END", help="seconds, as 12.5:20")
    sub.add_argument("--strength", type=float, help="0 (as it was) to 1 (from scratch)")
    _sampling_arguments(sub)
    sub.add_argument("--seed", type=int, default=0, help="the same seed plays the same bass")
    sub.add_argument("--variations", type=int, default=1, metavar="N", help="basses to play")
    sub.add_argument(
        "--mixdown", metavar="FILE", help="mix with bass (default: OUT with -mixdown in its name)"
    )
    sub.add_argument(
        "--plot", action=argparse.BooleanOptionalAction, default=True, help="draw OUT as a picture"
    )


def _sampling_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--weights", default="small", metavar="NAME_OR_DIR")
    sub.add_argument("--guidance", type=float, help="how closely to follow the mix; 1 is off")
    sub.add_argument("--rescale", type=float, help="0 to 1: undo the distortion of strong guidance")
    sub.add_argument("--steps", type=int, help="2 to 256")
    sub.add_argument("--solver", help="see README; euler, heun, dpmpp2m, unipc, ...")
    sub.add_argument("--schedule", help="cosine, karras, log_linear, or fitted to the weights")
    sub.add_argument("--guidance-kind", help="see README; cfg, interval, cfgpp, apg, ...")
    sub.add_argument("--grounding", help="mean, moments or replacement")


def _region(word: str) -> tuple[float, float]:
    start, _, end = word.partition(":")
    return float(start), float(end)


# What a bad value is called.
_region.__name__ = "START:END"


def _positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def convert(word: str) -> int | float:
        value = kind(word)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{word} is not positive")
        return value

    convert.__name__ = kind.__name__
    return convert


def _gap(word: str) -> float:
    value = float(word)
    if not -0.5 < value < 0.5:
        raise argparse.ArgumentTypeError(f"{word} is not between -0.5 and 0.5")
    return value


def _data_arguments(
    sub: argparse.ArgumentParser, split: str = "train", required: bool = True
) -> None:
    sub.add_argument(
        "--data", required=required, help="midi:DIR, pop909:DIR, composed:N or stems:DIR; + joins"
    )
    sub.add_argument("--split", default=split, choices=("train", "validation", "all"))
    sub.add_argument("--soundfont", action="append", default=[], help=".sf2 file; may be repeated")
    sub.add_argument("--variants", type=_positive(int), default=1, help="renderings of every song")
    sub.add_argument("--cache", help="folder that keeps rendered songs")
    sub.add_argument(
        "--max-seconds", type=_positive(float), default=120.0, help="songs are cut there"
    )


if __name__ == "__main__":
    sys.exit(main())
