"""The verb `release`: weights of finished runs in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from bassdiff.runtime.devices import check_devices


def release(arguments: argparse.Namespace) -> None:
    """Gathers the weights of finished runs into one folder."""
    from bassdiff.pretrained.release import release

    check_devices()
    release(
        Path(arguments.codecs),
        Path(arguments.unet),
        Path(arguments.out),
        [Path(path) for path in arguments.matching],
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
    sub.add_argument("--out", required=True, help="folder that receives the weights")
