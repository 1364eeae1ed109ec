"""The verb `encode`: songs to latents."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bassdiff.cli.arguments import data_arguments, natural, open_songs, part, positive
from bassdiff.runtime.atomic import check_folder
from bassdiff.runtime.compilation_cache import keep_programs
from bassdiff.runtime.devices import check_devices
from bassdiff.runtime.jobs import resumable_job


@resumable_job()
def encode(arguments: argparse.Namespace) -> None:
    """Pre-encodes songs for training a diffusion or a matching model."""
    from tqdm.auto import tqdm

    from bassdiff.data.augmentation import WithCopies
    from bassdiff.data.realism import Realism
    from bassdiff.data.target import BASS, aimed, check_target
    from bassdiff.pretrained import encoding
    from bassdiff.pretrained.features import open_features, target_for

    keep_programs()
    check_devices()
    realism = Realism.parse(arguments.realism)
    if arguments.target is not None:
        check_target(arguments.target)
    check_folder(arguments.out)
    copies = {
        "copies": arguments.copies,
        "tempos": tuple(arguments.tempos),
        "max_semitones": arguments.semitones,
    }
    songs = open_songs(arguments, feel=realism.feel, drums_alone=arguments.drums_alone)
    source = WithCopies(songs, **copies, seed=arguments.seed)
    features = open_features(arguments.features, arguments.weights)
    target = target_for(arguments.target, features, arguments.weights)
    about = {
        "source": arguments.data,
        "split": arguments.split,
        "soundfonts": [Path(font).name for font in arguments.soundfont],
        "variants": arguments.variants,
        "max_seconds": arguments.max_seconds,
        **(copies if arguments.copies else {}),
        **({"realism": realism.groups} if realism.groups else {}),
        **({"drums_alone": True} if arguments.drums_alone else {}),
        **({"target": target} if target != BASS else {}),
    }
    done = encoding.encode(
        # Last, for what is changed in songs depends on the stem.
        aimed(realism.songs(source, arguments.seed), target),
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


def encode_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `encode`."""
    data_arguments(sub)
    sub.add_argument("--weights", default="small", help="name or folder of the codecs")
    sub.add_argument("--out", required=True, help="folder that receives the latents")
    sub.add_argument(
        "--features",
        default="latents",
        help="latents of the codecs, or spectrum, for a matching model without a codec",
    )
    sub.add_argument(
        "--target",
        metavar="STEM",
        help="what is played to the rest of a song: bass, drums, guitar, keys, vocals, the name of "
        "a stem, or several joined by + (what the codec was trained on)",
    )
    sub.add_argument("--mixes", type=positive(int), default=8, help="random mixes per song")
    sub.add_argument(
        "--keys", type=positive(int), default=1, help="keys of every song, as matching needs"
    )
    sub.add_argument("--seed", type=natural, default=0, help="of copies and mixes")
    sub.add_argument(
        "--part",
        type=part,
        default=(0, 1),
        metavar="P/N",
        help="encode the P-th of N parts; other processes encode theirs into the same folder",
    )
    sub.add_argument(
        "--realism",
        default="none",
        metavar="GROUPS",
        help="make rendered songs more like recorded ones: tuning,feel,leads,mastering, all, or "
        "none (none)",
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
