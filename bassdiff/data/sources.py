"""Opens the songs that a specification names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from bassdiff.data import splits
from bassdiff.data.joined import Joined
from bassdiff.data.mix_folder import MixFolder, mix_tracks
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

    Specifications, and what their validation split is:

    - `midi:DIR`: MIDI files; every fifth in sorted order, from the first.
    - `pop909:DIR`: lead sheets as in POP909; folders numbered 860 and up.
    - `composed:N`: N songs made up by `songs.compose`; another N.
    - `stems:DIR`: recorded stems as in MUSDB18-HQ; a tenth, by a hash of the name, and if that
      is none, one song.
    - `mixes:DIR`: finished recordings, for those who need no bass apart (`with_bass=False`);
      whole sub-folders, as `rules.tracks_by_album` says.
    - `tfds:NAME@DATA_DIR`: a dataset prepared by `bassdiff data prepare`; its validation split.

    Args:
      spec: for instance `"midi:songs+composed:200"`.
      split: "train", "validation" or "all".
      soundfonts: .sf2 files to draw from; the one inside `pretty_midi` when empty.
      variants: renderings of every song, each with another SoundFont, transposition and
        sound; recorded stems have one.
      seed: with a song's name, decides its renderings.
      cache_dir: keeps rendered songs there as FLAC stems, 16 bits.
      max_seconds: songs are rendered, and mixes read, no further; whole when `None`.
      feel: whether players drift in what is rendered.
      drums_alone: whether rendered songs come as their drums, with a bass that holds their root;
        see `over_drums`.
      with_bass: whether the songs' basses are wanted.

    Returns:
      The songs; those of the first variant come first.

    Raises:
      InputError: for an unknown specification or split, one without songs, `drums_alone` of
        recorded songs, or the basses of finished recordings.
    """
    if split not in SPLITS:
        raise InputError(f"{split!r} is no split; choose among {', '.join(SPLITS)}.")
    settings = render_settings(
        soundfonts, variants, seed, cache_dir, max_seconds, feel=feel, drums_alone=drums_alone
    )
    sources = [_open_one(one, split, settings, with_bass) for one in spec.split("+")]
    return sources[0] if len(sources) == 1 else Joined(sources)


def roots(spec: str) -> list[str]:
    """The folders in a specification.

    >>> roots("midi:songs+tfds:moisesdb@/data")
    ['songs', '/data']
    """
    return [where for kind, where in _parts(spec) if where and kind != "composed:"]


def unplaced(spec: str) -> str:
    """What songs are called without the folder that they lie in: that is nobody's business.

    >>> unplaced("midi:/home/me/songs+composed:9+tfds:moisesdb@/home/me/data")
    'midi:songs+composed:9+tfds:moisesdb@data'
    """
    return "+".join(kind + Path(where).name for kind, where in _parts(spec))


def _parts(spec: str) -> list[tuple[str, str]]:
    """What is before each folder of a specification, and the folder."""
    found = (re.fullmatch(r"((?:[^:]*:)?(?:[^@/]*@)?)(.*)", one.strip()) for one in spec.split("+"))
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
                f"{spec}: finished recordings have no bass apart; name songs with stems, or take "
                "these apart by `bassdiff data prepare recordings`. Training a codec of mixes, as "
                "by autoencoder.py:small,mix, needs no bass."
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
    # Others do without the second that importing TFDS takes.
    from bassdiff.data.datasets.reading import open_prepared

    return open_prepared(where, split)


_RECORDED: dict[str, Callable[[str, str, str, Settings], Source]] = {
    "mixes": _open_mixes,
    "stems": _open_stems,
    "tfds": _open_prepared,
}
