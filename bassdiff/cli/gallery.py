"""The verb `gallery`: a page of examples to listen to."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bassdiff.cli.arguments import (
    data_arguments,
    open_songs,
    positive,
    sampling_arguments,
    sampling_overrides,
)
from bassdiff.diffusion.settings import check_overrides
from bassdiff.runtime.atomic import check_folder
from bassdiff.runtime.compilation_cache import keep_programs
from bassdiff.runtime.devices import check_devices


def gallery(arguments: argparse.Namespace) -> None:
    """Writes a page of examples to listen to: mixes, basses, and the sounds of references."""
    from tqdm import tqdm

    from bassdiff.data.sources import unplaced
    from bassdiff.data.target import aimed
    from bassdiff.evaluation.clips import choose
    from bassdiff.evaluation.tasks.gallery import gallery
    from bassdiff.inference.generator import load

    keep_programs()
    check_devices()
    check_overrides(sampling_overrides(arguments))
    check_folder(arguments.out)
    source = open_songs(arguments)
    generator = load(arguments.weights, arguments.adapter)
    chosen = choose(
        aimed(source, generator.target),
        arguments.num_clips,
        arguments.clip_seconds,
        progress=lambda items, label: tqdm(items, label, unit="song", leave=False),
    )
    songs = len({clip.song for clip in chosen.clips})
    before = load(arguments.before) if arguments.before else None
    page = gallery(
        generator,
        chosen.clips,
        Path(arguments.out),
        f"weights {Path(arguments.weights).name} · {songs} songs of {unplaced(arguments.data)}, "
        f"{arguments.split} · seeds from {arguments.seed}",
        seed=arguments.seed,
        overrides=sampling_overrides(arguments),
        before=before,
        progress=lambda items, label: tqdm(items, label, unit="example"),
    )
    print("wrote", page, file=sys.stderr)


def gallery_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `gallery`."""
    sub.add_argument("--out", default="gallery", metavar="DIR", help="the page's folder")
    data_arguments(sub, split="validation", required=False)
    sub.set_defaults(data="composed:20")
    sampling_arguments(sub)
    sub.add_argument(
        "--before", metavar="WEIGHTS", help="weights to compare with, such as older ones"
    )
    sub.add_argument("--clips", dest="num_clips", type=positive(int), default=10, help="how many")
    sub.add_argument("--clip-seconds", type=positive(float), default=20.0, help="of each")
    sub.add_argument("--seed", type=int, default=0, help="of the first")
