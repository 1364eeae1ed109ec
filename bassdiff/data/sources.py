"""Opens the songs that a specification names."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from bassdiff.data import lead_sheets, midi, songs, splits, stems
from bassdiff.data.joined import Joined
from bassdiff.data.mix_folder import MixFolder, mix_tracks
from bassdiff.data.renderings import Rendered, Score, Settings
from bassdiff.data.score import Song
from bassdiff.data.soundfont import default_soundfont
from bassdiff.data.stems import Source, StemFolder
from bassdiff.errors import InputError

SPLITS = ("train", "validation", "all")
POP909_FIRST_VALIDATION = 860
COMPOSED_VALIDATION = 1_000_000


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
    if variants < 1:
        raise InputError(f"variants={variants}: there must be one or more renderings of a song.")
    for font in soundfonts:
        if not Path(font).is_file():
            raise InputError(f"{font}: there is no such SoundFont; check the path.")
    settings = Settings(
        tuple(Path(font) for font in soundfonts) or (default_soundfont(),),
        variants,
        seed,
        None if cache_dir is None else Path(cache_dir),
        max_seconds,
        feel,
        drums_alone,
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
    if kind == "midi" and where:
        files = midi_files(_folder(where))
        chosen = [f for i, f in enumerate(files) if _in(split, i % 5 == 0)]
        return _rendered("midi", spec, chosen, _read_midi, settings)
    if kind == "pop909" and where:
        folders = [f for f in sorted(_folder(where).iterdir()) if f.is_dir() and f.name.isdigit()]
        chosen = [f for f in folders if _in(split, int(f.name) >= POP909_FIRST_VALIDATION)]
        return _rendered("pop909", spec, chosen, lead_sheets.read_lead_sheet, settings)
    if kind == "composed" and where.isdigit() and int(where) > 0:
        first = {"train": [0], "validation": [COMPOSED_VALIDATION]}.get(
            split, [0, COMPOSED_VALIDATION]
        )
        indices = [start + i for start in first for i in range(int(where))]
        scores = [Score(f"composed-{i}", functools.partial(songs.compose, i)) for i in indices]
        return Rendered("composed", scores, settings)
    if kind == "mixes" and where:
        if with_bass:
            raise InputError(
                f"{spec}: finished recordings have no bass apart; name songs with stems, or take "
                "these apart by `bassdiff data prepare recordings`. Training a codec of mixes, as "
                "by autoencoder.py:small,mix, needs no bass."
            )
        tracks = mix_tracks(_folder(where), settings.max_seconds)
        tracks = [track for track in tracks if _in(split, track.split == "validation")]
        if not tracks:
            raise InputError(f"{spec}: there are no recordings in this split; check the folder.")
        return MixFolder(tracks)
    if settings.drums_alone and kind in ("stems", "tfds"):
        raise InputError(
            f"{spec}: the bass of a recorded song cannot be made to hold one note; leave out "
            "--drums-alone or name songs that are rendered."
        )
    if kind == "stems" and where:
        folders = stems.song_folders(_folder(where))
        held_out = splits.hashed([folder.name for folder in folders])
        chosen = [folder for folder in folders if _in(split, folder.name in held_out)]
        if not chosen:
            raise InputError(f"{spec}: the {split} split has no songs; add songs or use all.")
        return StemFolder(where, chosen)
    if kind == "tfds" and where:
        # Others do without the second that importing TFDS takes.
        from bassdiff.data.builders.reading import open_prepared

        return open_prepared(where, split)
    mixes = "" if with_bass else "mixes:DIR, "
    raise InputError(
        f"{spec!r} names no songs; use midi:DIR, pop909:DIR, composed:N, stems:DIR, {mixes}or "
        "tfds:NAME@DATA_DIR."
    )


def midi_files(folder: Path) -> list[Path]:
    """The MIDI files of a folder, in the order that decides which are held out."""
    return sorted(folder.glob("*.mid"))


def _rendered(
    kind: str,
    spec: str,
    paths: Sequence[Path],
    read: Callable[[Path, int], Song],
    settings: Settings,
) -> Rendered:
    if not paths:
        raise InputError(f"{spec}: there are no songs in this split; check the folder.")
    scores = [Score(path.stem, functools.partial(read, path), path) for path in paths]
    return Rendered(kind, scores, settings)


def _read_midi(path: Path, seed: int) -> Song:
    """A MIDI file leaves nothing to draw."""
    return midi.read_midi(path)


def _folder(where: str) -> Path:
    folder = Path(where)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; check the path.")
    return folder


def _in(split: str, is_validation: bool) -> bool:
    return split == "all" or (split == "validation") == is_validation
