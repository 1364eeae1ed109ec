"""The command line: one verb per job. `bassdiff VERB --help` tells the rest.

Exit codes: 0 done; 2 bad input, usage or configuration (nothing was written); 3 an evaluation
fell short of `--fail-if-gap-below`, or `data duplicates --fail` found a pair; 4 a batch played all
but some songs, whose rows say why; 42 a long job was
asked to end, or hung, and the same command goes on; 130 interrupted; 1 a defect of bassdiff, with
a traceback to report.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bassdiff.cli.arguments import arguments_of, rendering, sampling_overrides
from bassdiff.cli.batch import batch, batch_words
from bassdiff.cli.config_values import config_words
from bassdiff.cli.control import control_of, region_seconds
from bassdiff.cli.data_tasks import data_words
from bassdiff.cli.recall import info, recalled, words_of
from bassdiff.runtime.compilation_cache import keep_programs, mend
from bassdiff.runtime.devices import check_devices
from bassdiff.runtime.errors import GateFailed, InputError, Preempted, SomeFailed, exit_code
from bassdiff.runtime.jobs import distributed_job, resumable_job

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from bassdiff.inference.inputs import Draft, Style
    from bassdiff.metrics.table import Table
    from bassdiff.synthesis.stems import Source


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
        _refuse_empty(sys.argv[1:] if argv is None else argv, arguments)
        arguments.verb(arguments)
    except (InputError, GateFailed, SomeFailed, Preempted, KeyboardInterrupt) as error:
        print(f"bassdiff: {str(error) or 'interrupted'}", file=sys.stderr)
        return exit_code(error)
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


def generate(arguments: argparse.Namespace) -> None:
    """Plays a bass to a mix and writes it, a mixdown and a picture."""
    from bassdiff.examples import example_mix
    from bassdiff.inference.performance import name_outputs, perform

    defaults = parser().parse_args(["generate"])
    expected_weights = None
    if arguments.like:
        arguments = recalled(arguments, defaults)
        expected_weights = arguments.expected_weights
        del arguments.expected_weights
    mix = Path(arguments.mix) if arguments.mix else example_mix()
    name = f"{mix.stem if arguments.mix else 'example'}-bass.wav"
    outputs = name_outputs(
        Path(arguments.out or name),
        Path(arguments.mixdown) if arguments.mixdown else None,
        arguments.plot,
        arguments.variations,
        arguments.midi,
    )
    perform(
        mix,
        outputs,
        arguments.weights,
        arguments.adapter,
        _styles(arguments),
        _draft(arguments),
        control_of(arguments),
        arguments.seed,
        sampling_overrides(arguments),
        words_of(arguments, defaults),
        arguments.overwrite,
        expected_weights,
    )
    for number, output in enumerate(outputs):
        print("wrote", *output.paths(), f"(seed {arguments.seed + number})", file=sys.stderr)


def transcribe(arguments: argparse.Namespace) -> None:
    """Writes the notes of a bass recording as a MIDI file."""
    from bassdiff.audio.channels import to_mono
    from bassdiff.audio.io import probe, read
    from bassdiff.inference.performance import write_notes
    from bassdiff.runtime.atomic import check_writable

    path = Path(arguments.bass)
    out = Path(arguments.out) if arguments.out else path.with_suffix(".mid")
    check_writable(out)
    rate_hz = probe(path).sample_rate_hz
    count = write_notes(to_mono(read(path)), rate_hz, out)
    print("wrote", out, f"with {count} notes", file=sys.stderr)


@resumable_job()
def encode(arguments: argparse.Namespace) -> None:
    """Pre-encodes songs for training a diffusion or a matching model."""
    from tqdm import tqdm

    from bassdiff.data.augmentation import WithCopies
    from bassdiff.data.realism import Realism
    from bassdiff.pretrained import encoding
    from bassdiff.pretrained.features import open_features

    keep_programs()
    check_devices()
    realism = Realism.parse(arguments.realism)
    features = open_features(arguments.features, arguments.weights)
    copies = {
        "copies": arguments.copies,
        "tempos": tuple(arguments.tempos),
        "max_semitones": arguments.semitones,
    }
    about = {
        "source": arguments.data,
        "split": arguments.split,
        "soundfonts": [Path(font).name for font in arguments.soundfont],
        "variants": arguments.variants,
        "max_seconds": arguments.max_seconds,
        **(copies if arguments.copies else {}),
        **({"realism": realism.groups} if realism.groups else {}),
        **({"drums_alone": True} if arguments.drums_alone else {}),
    }
    songs = _source(arguments, feel=realism.feel, drums_alone=arguments.drums_alone)
    source = WithCopies(songs, **copies, seed=arguments.seed)
    done = encoding.encode(
        realism.songs(source, arguments.seed),
        features,
        Path(arguments.out),
        about,
        num_mixes=arguments.mixes,
        num_keys=arguments.keys,
        seed=arguments.seed,
        part=arguments.part,
        progress=lambda songs: tqdm(songs, "songs", unit="song"),
        mix_of=realism.mix_of,
    )
    print(done, file=sys.stderr)


def train(arguments: argparse.Namespace) -> None:
    """Trains an autoencoder, a diffusion model, its fast form or a matching model."""
    from bassdiff.training import recipes

    keep_programs()
    init = [] if arguments.init is None else [f"--config.init={arguments.init}"]
    values = config_words(Path(arguments.values)) if arguments.values else []
    config = read_config(arguments.config, [*values, *init, *arguments.overrides])
    if config.objective != arguments.objective:
        raise InputError(
            f"{arguments.config} configures {config.objective}; run "
            f"`bassdiff train {config.objective}`"
        )
    with distributed_job():
        check_devices()
        recipes.run(config, Path(arguments.workdir), arguments.profile)


def release(arguments: argparse.Namespace) -> None:
    """Gathers the weights of finished runs into one folder."""
    from bassdiff.pretrained.release import release

    release(
        Path(arguments.codecs),
        Path(arguments.unet),
        Path(arguments.out),
        [Path(path) for path in arguments.matching],
    )


@resumable_job()
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
    table = None if arguments.task == "report" else _evaluate(arguments, out)
    if table:
        print(table.to_text())
    if is_reported:
        print("wrote", write_report(out, page, log), file=sys.stderr)
    if table and arguments.fail_if_gap_below is not None:
        from bassdiff.evaluation.tasks.ablation import check_gap

        check_gap(table, arguments.fail_if_gap_below)


def sweep(arguments: argparse.Namespace) -> None:
    """Plays a set of mixes with every combination of settings, and compares them."""
    from bassdiff.evaluation.tasks.sweep import parse_grid

    arguments.grid = parse_grid(arguments.grid)
    evaluate(arguments)


def gallery(arguments: argparse.Namespace) -> None:
    """Writes a page of examples to listen to: mixes, basses, and the sounds of references."""
    from tqdm import tqdm

    from bassdiff.data.sources import unplaced
    from bassdiff.evaluation.clips import choose
    from bassdiff.evaluation.tasks.gallery import gallery
    from bassdiff.inference.generator import load

    keep_programs()
    check_devices()
    generator = load(arguments.weights, arguments.adapter)
    chosen = choose(_source(arguments), arguments.num_clips, arguments.clip_seconds)
    songs = len({clip.song for clip in chosen.clips})
    page = gallery(
        generator,
        chosen.clips,
        Path(arguments.out),
        f"weights {Path(arguments.weights).name} · {songs} songs of {unplaced(arguments.data)}, "
        f"{arguments.split} · seeds from {arguments.seed}",
        seed=arguments.seed,
        overrides=sampling_overrides(arguments),
        progress=lambda items, label: tqdm(items, label, unit="example"),
    )
    print("wrote", page, file=sys.stderr)


@resumable_job()
def data(arguments: argparse.Namespace) -> None:
    """Prepares sets of songs for training, and looks at them before they are trained on."""
    arguments.task(arguments)


def _listen(arguments: argparse.Namespace, out: Path) -> None:
    from bassdiff.evaluation.listening import summarise, write_listening_page

    if arguments.results:
        print(json.dumps(summarise([Path(path) for path in arguments.results]), indent=1))
        return
    page = Path(arguments.page) if arguments.page else out / "listening"
    systems = arguments.systems.split(",")
    print("wrote", write_listening_page(out, page, systems, arguments.kind), file=sys.stderr)


def _evaluate(arguments: argparse.Namespace, out: Path) -> Table:
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
        # An error's sentence begins on a line of its own, not behind a bar.
        return run(
            arguments.task,
            request,
            lambda items, label: bars.enter_context(tqdm(items, label, leave=False)),
        )


def _source(arguments: argparse.Namespace, feel: bool = False, drums_alone: bool = False) -> Source:
    from bassdiff.data.sources import open_source

    return open_source(
        arguments.data,
        arguments.split,
        **rendering(arguments),
        feel=feel,
        drums_alone=drums_alone,
    )


def _styles(arguments: argparse.Namespace) -> list[Style]:
    from bassdiff.inference.inputs import Style

    options = {"weight": arguments.style_weight, "start_seconds": arguments.style_from}
    for name, values in zip(("--style-weight", "--style-from"), options.values(), strict=True):
        if values and len(values) != len(arguments.style):
            raise InputError(
                f"{len(values)} values of {name} and {len(arguments.style)} of --style do not pair "
                "up; give one for each or none"
            )
    if arguments.style_weight and len(set(arguments.style_from)) == len(arguments.style) > 1:
        raise InputError(
            "--style-weight blends styles that begin together, and these take turns; leave it out"
        )
    return [
        Style(path, **{name: values[i] for name, values in options.items() if values})
        for i, path in enumerate(arguments.style)
    ]


def _draft(arguments: argparse.Namespace) -> Draft | None:
    from bassdiff.inference import inputs

    if (arguments.edit is None) != (arguments.region is None):
        raise InputError("--edit BASS and --region need each other; give both")
    if arguments.strength is not None and not (arguments.vary or arguments.retimbre):
        raise InputError("--strength is of --vary or --retimbre; name a bass by one of them")
    if arguments.edit:
        return inputs.edit(arguments.edit, *region_seconds(arguments.region, arguments))
    if arguments.continuing:
        return inputs.continuation(arguments.continuing)
    strength = {} if arguments.strength is None else {"strength": arguments.strength}
    if arguments.vary:
        return inputs.variation(arguments.vary, **strength)
    if arguments.retimbre:
        return inputs.retimbre(arguments.retimbre, **strength)
    return None


def _our_configs() -> list[Path]:
    """The configs of this package: inside it where it was installed, beside it in a checkout."""
    here = Path(__file__).parents[1]
    folder = here / "configs"
    folder = folder if folder.is_dir() else here.parent / "configs"
    return [path for path in folder.glob("*.py") if path.stem != "__init__"]


def _config_path(name: str) -> Path | None:
    if Path(name).is_file():
        return Path(name)
    return next((path for path in _our_configs() if path.stem == name), None)


# Keys of configs that had another name; the old one works, with a warning, until the next release.
_RENAMED_KEYS = {"denoised_share": "sampled_share"}


def _renamed(override: str) -> str:
    """A `--config.key=value` word with the key's name of today."""
    key, equals, value = override.removeprefix("--config.").partition("=")
    if key not in _RENAMED_KEYS:
        return override
    name = _RENAMED_KEYS[key]
    warnings.warn(f"config.{key} is called config.{name} now; change the command", stacklevel=3)
    return f"--config.{name}{equals}{value}"


def read_config(spec: str, overrides: Sequence[str]) -> ConfigDict:
    """Reads `FILE:SIZE`, or `NAME:SIZE` of a config that comes with the package.

    A config is a Python file, and this runs it.

    Args:
      spec: Such as `my_configs/diffusion.py:small`, or `diffusion:small`.
      overrides: `--config.key=value` words.

    Raises:
      InputError: If the file, the size or a key is unknown, or a value has the wrong type.
    """
    from absl import flags
    from ml_collections import config_flags

    name, _, size = spec.partition(":")
    path = _config_path(name)
    if path is None:
        raise InputError(
            f"{name}: there is no such config file; name one, or one of ours: "
            f"{', '.join(sorted(file.stem for file in _our_configs()))}"
        )
    spec = f"{path}:{size}" if size else str(path)
    # Flags of their own, so that nothing is shared with other users of absl.
    values = flags.FlagValues()
    words = ["bassdiff train", f"--config={spec}", *map(_renamed, overrides)]
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


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from tqdm import tqdm

    # Not into the middle of a progress bar.
    if text := mend(str(message)):
        tqdm.write(f"bassdiff: warning: {text}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    return arguments_of(
        (generate, info, batch, transcribe, train, encode, release, evaluate, sweep, gallery, data),
        {"batch": batch_words, "data": data_words},
    )


if __name__ == "__main__":
    sys.exit(main())
