"""The words of the command line: which arguments each verb takes, and how they are checked."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from bassdiff import __version__
from bassdiff.cli.control import control_words, region
from bassdiff.cli.recall import info_words
from bassdiff.diffusion.settings import KINDS, setting_fields
from bassdiff.runtime.errors import EXIT_INPUT

Verb: TypeAlias = Callable[[argparse.Namespace], None]
AddWords: TypeAlias = Callable[[argparse.ArgumentParser], None]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, as every other error is said."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_INPUT, f"bassdiff: {message}; see {self.prog} --help\n")


def arguments_of(
    verbs: Sequence[Verb], more_words: Mapping[str, AddWords]
) -> argparse.ArgumentParser:
    """The parser of a command line with these verbs: functions of the names below, and of more."""
    add_words = {**_ARGUMENTS, **more_words}
    root = _Parser(
        "bassdiff", description="Listens to a music mix and plays a bass line that belongs to it."
    )
    root.add_argument("--version", action="version", version=f"bassdiff {__version__}")
    found = root.add_subparsers(required=True, metavar="VERB")
    for verb in verbs:
        summary = (verb.__doc__ or "").strip()
        sub = found.add_parser(verb.__name__, help=summary, description=summary)
        sub.set_defaults(verb=verb)
        add_words[verb.__name__](sub)
    return root


def _train(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("objective", choices=("autoencoder", "diffusion", "distillation", "matching"))
    sub.add_argument(
        "--config",
        required=True,
        metavar="FILE:SIZE",
        help="a Python file, which is run, or one of ours by its name; one from others is a "
        "program from others",
    )
    sub.add_argument(
        "--values",
        metavar="FILE",
        help="settings of the config as JSON or YAML, which run nothing",
    )
    sub.add_argument("--workdir", required=True, help="checkpoints, logs and weights go here")
    sub.add_argument(
        "--profile",
        type=_steps,
        metavar="steps=A:B",
        help="write a profiler trace of these steps for TensorBoard",
    )
    sub.add_argument(
        "--init",
        metavar="NAME_OR_DIR",
        help="weights to start from instead of noise (autoencoder, diffusion); a run that "
        "resumes keeps to what it began with",
    )
    sub.epilog = "Any key of the config can be set: --config.key=value."


def _encode(sub: argparse.ArgumentParser) -> None:
    _data_arguments(sub)
    sub.add_argument("--weights", default="small", help="name or folder of the codecs")
    sub.add_argument("--out", required=True, help="folder that receives the latents")
    sub.add_argument(
        "--features",
        default="latents",
        help="latents of the codecs, or spectrum: for a matching model that needs no codec",
    )
    sub.add_argument("--mixes", type=positive(int), default=8, help="random mixes per song")
    sub.add_argument(
        "--keys", type=positive(int), default=1, help="keys of every song, as matching needs"
    )
    sub.add_argument("--seed", type=natural, default=0)
    sub.add_argument(
        "--part",
        type=part,
        default=(0, 1),
        metavar="P/N",
        help="make the P-th of N parts; others make theirs at any time, into the same folder",
    )
    sub.add_argument(
        "--realism",
        default="none",
        metavar="GROUPS",
        help="what makes rendered songs like recorded ones: tuning,feel,leads,mastering, all of "
        "them, or none (none)",
    )
    sub.add_argument(
        "--drums-alone",
        action="store_true",
        help="the drums of rendered songs, with a bass that holds the root; train on a few of them "
        "beside whole songs",
    )
    copies = sub.add_argument_group("copies of every song, at other tempos and in other keys")
    copies.add_argument("--copies", type=natural, default=0, metavar="N", help="how many")
    copies.add_argument(
        "--tempos",
        type=float,
        nargs=2,
        default=(0.9, 1.1),
        metavar=("SLOWEST", "FASTEST"),
        help="relative to the song (0.9 1.1)",
    )
    copies.add_argument(
        "--semitones", type=natural, default=2, metavar="N", help="at most, up or down (2)"
    )


def _release(sub: argparse.ArgumentParser) -> None:
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


def _evaluate(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "task",
        choices=(
            *("music", "matching", "distances", "memorisation", "style", "longform"),
            *("codec", "ablation", "listen", "report"),
        ),
        help="the question; listen makes a blind test of what was played, report a page of it all",
    )
    _evaluation_arguments(sub, "evaluation")
    sub.add_argument("--training-log", metavar="FILE", help="metrics.jsonl to draw in the report")
    sub.add_argument(
        "--embedder",
        default="matching",
        help="distances: matching, log_mel, or vggish:, clap: or mert: with an ONNX file",
    )
    sub.add_argument(
        "--bank", default="composed:40", help="music: songs to find the nearest bass in, or empty"
    )
    sub.add_argument(
        "--training", default="", metavar="DIR", help="memorisation: latents trained on, by encode"
    )
    sub.add_argument(
        "--sweep-clips",
        type=positive(int),
        default=12,
        help="style, ablation: how many of the clips to play again for every setting",
    )
    sub.add_argument(
        "--songs", dest="num_songs", type=positive(int), default=3, help="longform: how many"
    )
    sub.add_argument("--segment-seconds", type=positive(float), default=60.0)
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


def _sweep(sub: argparse.ArgumentParser) -> None:
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


def _gallery(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", default="gallery", metavar="DIR", help="the page's folder (gallery)")
    _data_arguments(sub, split="validation", required=False)
    sub.set_defaults(data="composed:20")
    sampling_arguments(sub)
    sub.add_argument("--clips", dest="num_clips", type=positive(int), default=10)
    sub.add_argument("--clip-seconds", type=positive(float), default=20.0)
    sub.add_argument("--seed", type=int, default=0)


def _evaluation_arguments(sub: argparse.ArgumentParser, out: str) -> None:
    sub.add_argument(
        "--out", default=out, metavar="DIR", help="clips, basses and tables; resumable"
    )
    sub.add_argument("--report", metavar="DIR", help="write index.html there")
    _data_arguments(sub, split="validation", required=False)
    sub.add_argument(
        "--pairs", metavar="DIR", help="judge finished pairs instead: SONG/mix.*, bass.*, true.*"
    )
    sampling_arguments(sub)
    sub.add_argument("--clips", dest="num_clips", type=positive(int), default=24)
    sub.add_argument("--clip-seconds", type=positive(float), default=23.8)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument(
        "--judge",
        default="small",
        metavar="NAME_OR_DIR",
        help="weights whose matching models judge, or none",
    )


def _generate(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("mix", nargs="?", metavar="MIX", help="audio file; a short example if absent")
    sub.add_argument("--out", metavar="FILE", help="bass to write (default: MIX-bass.wav, here)")
    sub.add_argument(
        "--overwrite", action="store_true", help="replace files that are there already"
    )
    sub.add_argument(
        "--like", metavar="BASS", help="make a bass again; further options change what they say"
    )
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
    drafts = sub.add_mutually_exclusive_group()
    drafts.add_argument("--edit", metavar="BASS", help="play --region of a bass anew")
    drafts.add_argument(
        "--continue", dest="continuing", metavar="BASS", help="go on from where a bass ends"
    )
    drafts.add_argument("--vary", metavar="BASS", help="play a bass differently, by --strength")
    drafts.add_argument(
        "--retimbre", metavar="BASS", help="keep a bass's notes, in another sound (--style)"
    )
    sub.add_argument(
        "--region",
        type=region,
        metavar="REGION",
        help="seconds, as 12.5:20, or bars at --bpm, as bar:9-12",
    )
    sub.add_argument("--strength", type=float, help="0 (as it was) to 1 (from scratch)")
    control_words(sub)
    sampling_arguments(sub)
    sub.add_argument("--seed", type=int, default=0, help="the same seed plays the same bass")
    sub.add_argument("--variations", type=int, default=1, metavar="N", help="basses to play")
    sub.add_argument(
        "--mixdown", metavar="FILE", help="mix with bass (default: OUT with -mixdown in its name)"
    )
    sub.add_argument(
        "--midi",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="write OUT's notes as a MIDI file",
    )
    sub.add_argument(
        "--plot", action=argparse.BooleanOptionalAction, default=True, help="draw OUT as a picture"
    )


def _transcribe(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "bass", metavar="BASS", help="recording of a bass that plays one note at a time"
    )
    sub.add_argument("--out", metavar="FILE", help="MIDI file to write (default: BASS with .mid)")


def sampling_arguments(sub: argparse.ArgumentParser) -> None:
    """Adds weights and settings; `sampling_overrides` reads the latter."""
    sub.add_argument("--weights", default="small", metavar="NAME_OR_DIR")
    sub.add_argument("--adapter", metavar="FILE", help="a sound of your own for these weights")
    for field in setting_fields():
        sub.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=KINDS[str(field.type)],
            help=field.metadata["help"],
        )


def sampling_overrides(arguments: argparse.Namespace) -> dict[str, float | int | str]:
    """The settings that were given."""
    overrides = {field.name: getattr(arguments, field.name, None) for field in setting_fields()}
    return {name: value for name, value in overrides.items() if value is not None}


def _steps(word: str) -> tuple[int, int]:
    start, _, end = word.removeprefix("steps=").partition(":")
    if not (start.isdecimal() and end.isdecimal() and 0 < int(start) <= int(end)):
        raise argparse.ArgumentTypeError(f"{word!r} names no steps; write them as steps=100:105")
    return int(start), int(end)


def positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """Converts words to positive numbers, for argparse."""

    def convert(word: str) -> int | float:
        value = kind(word)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{word} is not positive")
        return value

    convert.__name__ = kind.__name__
    return convert


def natural(word: str) -> int:
    """A whole number of 0 or more."""
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{word} is below 0")
    return value


def part(word: str) -> tuple[int, int]:
    """`"2/4"`, the second of four, as (1, 4)."""
    found = re.fullmatch(r"(\d+)/(\d+)", word)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{word} is no part; the second of four is 2/4")
    return int(found[1]) - 1, int(found[2])


def _gap(word: str) -> float:
    value = float(word)
    if not -0.5 < value < 0.5:
        raise argparse.ArgumentTypeError(f"{word} is not between -0.5 and 0.5")
    return value


def _data_arguments(
    sub: argparse.ArgumentParser, split: str = "train", required: bool = True
) -> None:
    sub.add_argument(
        "--data",
        required=required,
        help="midi:DIR, pop909:DIR, composed:N, stems:DIR or tfds:NAME@DATA_DIR; + joins",
    )
    rendering_words(sub, split)


def rendering_words(sub: argparse.ArgumentParser, split: str | None = "train") -> None:
    """Adds how songs are rendered, and their split unless it is None; `rendering` reads them."""
    if split is not None:
        sub.add_argument("--split", default=split, choices=("train", "validation", "all"))
    sub.add_argument("--soundfont", action="append", default=[], help=".sf2 file; may be repeated")
    sub.add_argument("--variants", type=positive(int), default=1, help="renderings of every song")
    sub.add_argument("--cache", help="folder that keeps rendered songs")
    sub.add_argument(
        "--max-seconds", type=positive(float), default=120.0, help="songs are cut there"
    )


def rendering(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said of the rendering of songs, as `open_source` takes it."""
    return {
        "soundfonts": arguments.soundfont,
        "variants": arguments.variants,
        "cache_dir": arguments.cache,
        "max_seconds": arguments.max_seconds,
    }


_ARGUMENTS: dict[str, AddWords] = {
    "generate": _generate,
    "info": info_words,
    "train": _train,
    "encode": _encode,
    "release": _release,
    "evaluate": _evaluate,
    "sweep": _sweep,
    "gallery": _gallery,
    "transcribe": _transcribe,
}
