"""The verb `release`: weights of finished runs in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from bassdiff.cli.arguments import sampling_overrides, setting_arguments
from bassdiff.diffusion.settings import check_overrides
from bassdiff.runtime.devices import check_devices


def release(arguments: argparse.Namespace) -> None:
    """Gathers the weights of finished runs into one folder."""
    from bassdiff.pretrained.release import release

    settings = sampling_overrides(arguments)
    check_overrides(settings)
    check_devices()
    average = None if arguments.average is None else (arguments.average, arguments.average_share)
    release(
        Path(arguments.codecs),
        Path(arguments.unet),
        Path(arguments.out),
        [Path(path) for path in arguments.matching],
        average,
        settings,
    )


def release_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `release`."""
    sub.add_argument("--codecs", required=True, help="folder with both codecs' weights")
    sub.add_argument("--unet", required=True, help="the U-Net's unet.safetensors")
    sub.add_argument(
        "--matching",
        action="append",
        default=[],
        metavar="FILE",
        help="a matching model's matching.safetensors; may be repeated",
    )
    sub.add_argument(
        "--average",
        metavar="NAME_OR_DIR",
        help="weights to average into the U-Net, such as those that it began from",
    )
    sub.add_argument(
        "--average-share", type=float, default=0.5, metavar="SHARE", help="of those, 0 to 1"
    )
    setting_arguments(sub, "the run's")
    sub.add_argument("--out", required=True, help="folder that receives the weights")
