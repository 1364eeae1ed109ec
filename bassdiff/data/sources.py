"""Opens songs by a specification."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from bassdiff.data import splits
from bassdiff.data.joined import Joined
from bassdiff.data.mix_folder import MixFolder, mix_tracks
from bassdiff.data.quoting import sources_of
from bassdiff.data.rendered_sources import (
    RENDERED,
    SPLITS,
    check_folder,
    is_in,
    open_rendered,
    render_settings,
)
from bassdiff.data.renderings import Settings
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis import stems
from bassdiff.synthesis.stems import Source, StemFolder


def open_source(
    spec: str,
    split: str = "train",
    soundfonts: Sequence[str | Path] = (),
    variants: int = 1,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    max_seconds: float | None = 180.0,
    feel: bool = False,
    drums_alone: bool = False,
    with_bass: bool = True,
) -> Source:
    """Opens one source or several joined by "+".

    Double quotes may surround a folder, and must where its name has a `+` with a kind after it, as
    in `stems:"a+midi:b"`. Specifications and their validation splits:

    - `midi:DIR`: MIDI files; every fifth in sorted order, from the first.
    - `pop909:DIR`: lead sheets as in POP909; folders numbered 860 and up.
    - `composed:N`: N songs by `songs.compose`; another N.
    - `stems:DIR`: recorded stems as in MUSDB18-HQ; a tenth by a hash of the name, at least one.
    - `mixes:DIR`: finished recordings, only with `with_bass=False`; whole sub-folders, see
      `rules.tracks_by_album`.
    - `tfds:NAME@DATA_DIR`: a dataset prepared by `bassdiff data prepare`; its validation split.

    Args:
      spec: Specification, such as `"midi:songs+composed:200"`.
      split: "train", "validation" or "all".
      soundfonts: .sf2 files to draw from; the one in `pretty_midi` if empty.
      variants: Renderings per song, each with another SoundFont, transposition and sound; recorded
        stems have one.
      seed: Decides the renderings together with a song's name.
      cache_dir: Folder that keeps rendered songs as 16-bit FLAC stems.
      max_seconds: Longest rendering or mix; None for whole songs.
      feel: Whether players drift in rendered songs.
      drums_alone: Whether rendered songs are reduced to their drums and a bass that holds one note;
        see `over_drums`.
      with_bass: Whether the songs' basses are needed.

    Returns:
      The songs, first variants first.

    Raises:
      InputError: If the specification or split is unknown or has no songs, or a recorded song is
        asked for `drums_alone`, or a finished recording for its bass.
    """
    if split not in SPLITS:
        raise InputError(f"{split!r} is not a split; choose among {', '.join(SPLITS)}.")
    settings = render_settings(
        soundfonts, variants, seed, cache_dir, max_seconds, feel=feel, drums_alone=drums_alone
    )
    sources = [_open_one(one, split, settings, with_bass) for one in sources_of(spec)]
    return sources[0] if len(sources) == 1 else Joined(sources)


def roots(spec: str) -> list[str]:
    """The folders in a specification.

    >>> roots("midi:songs+tfds:moisesdb@/data")
    ['songs', '/data']
    """
    return [where for kind, where in _parts(spec) if where and kind != "composed:"]


def unplaced(spec: str) -> str:
    """A specification without the paths of its folders, which are private.

    >>> unplaced("midi:/home/me/songs+composed:9+tfds:moisesdb@/home/me/data")
    'midi:songs+composed:9+tfds:moisesdb@data'
    """
    return "+".join(kind + Path(where).name for kind, where in _parts(spec))


def _parts(spec: str) -> list[tuple[str, str]]:
    """The prefix and the folder of each part of a specification."""
    found = (re.fullmatch(r"(tfds:[^@/]*@|\w*:|)(.*)", one) for one in sources_of(spec))
    return [(match[1], match[2]) for match in found if match]


def _open_one(spec: str, split: str, settings: Settings, with_bass: bool) -> Source:
    kind, _, where = spec.strip().partition(":")
    if kind in RENDERED and where:
        return open_rendered(spec, split, settings)
    if kind in _RECORDED and where:
        if settings.drums_alone and kind != "mixes":
            raise InputError(
                f"{spec}: the bass of a recorded song cannot be made to hold one note; leave out "
                "--drums-alone or name songs that are rendered."
            )
        if with_bass and kind == "mixes":
            raise InputError(
                f"{spec}: finished recordings have no separate bass; name songs with stems, or "
                "separate them by `bassdiff data prepare recordings`. Only a codec of mixes, as "
                "autoencoder.py:small,mix, can be trained without a bass."
            )
        return _RECORDED[kind](spec, where, split, settings)
    mixes = "" if with_bass else "mixes:DIR, "
    raise InputError(
        f"{spec!r} names no songs; use midi:DIR, pop909:DIR, composed:N, stems:DIR, {mixes}or "
        "tfds:NAME@DATA_DIR."
    )


def _open_mixes(spec: str, where: str, split: str, settings: Settings) -> Source:
    tracks = mix_tracks(check_folder(where), settings.max_seconds)
    tracks = [track for track in tracks if is_in(split, track.split == "validation")]
    if not tracks:
        raise InputError(f"{spec}: there are no recordings in this split; check the folder.")
    return MixFolder(tracks)


def _open_stems(spec: str, where: str, split: str, settings: Settings) -> Source:
    folders = stems.song_folders(check_folder(where))
    held_out = splits.hashed([folder.name for folder in folders])
    chosen = [folder for folder in folders if is_in(split, folder.name in held_out)]
    if not chosen:
        raise InputError(f"{spec}: the {split} split has no songs; add songs or use all.")
    return StemFolder(where, chosen)


def _open_prepared(spec: str, where: str, split: str, settings: Settings) -> Source:
    # Importing TFDS takes a second, which other sources need not wait.
    from bassdiff.data.datasets.reading import open_prepared

    return open_prepared(where, split)


_RECORDED: dict[str, Callable[[str, str, str, Settings], Source]] = {
    "mixes": _open_mixes,
    "stems": _open_stems,
    "tfds": _open_prepared,
}
