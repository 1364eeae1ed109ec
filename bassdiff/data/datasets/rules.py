"""The rules for bad input that all builders follow.

Fatal (`InputError`; no dataset appears, finished songs are kept for the next run):

- the source folder is missing, empty or has another layout; two songs have one name;
- the disk is full or cannot be written; no song can be used.

A song is left out, with a warning and a line under `left_out` of the dataset's `report.json`:

- an expected file is missing, unreadable, truncated, empty or holds values that are not finite;
  its metadata or MIDI cannot be read;
- it has no bass, or nothing else; either peaks below -60 dBFS from beginning to end.

A song is kept, with a line under `changed` of `report.json`:

- files that end more than a second before the longest one are padded with silence (shorter gaps
  are padded without mention);
- files at another rate than 44100 Hz are resampled;
- a song of which a stem's files add up to more than full scale is attenuated as a whole;
- beats that cannot be read are treated as unknown.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bassdiff.audio.channels import read_heard
from bassdiff.audio.folders import visible_files
from bassdiff.audio.io import SAMPLE_RATE_HZ, probe
from bassdiff.data import splits
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.stems import Stems

SILENT_PEAK = 1e-3
UNMENTIONED_PADDING_SAMPLES = SAMPLE_RATE_HZ


@dataclasses.dataclass(frozen=True)
class Reading:
    """A song as it was read, and its repairs in words."""

    stems: Stems
    changes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Track:
    """A song to be prepared.

    Attributes:
      name: Unique within its dataset.
      split: "train", "validation" or "test".
      read: Reads or renders the song; raises `InputError` if it must be left out. Picklable.
      files: All files that are read, so that changes are noticed.
    """

    name: str
    split: str
    read: Callable[[], Reading]
    files: tuple[Path, ...] = ()


def assemble(
    name: str, files: Mapping[str, Sequence[Path]], annotation: Annotation | None = None
) -> Reading:
    """Reads the files of a song and adds up those of each stem, as mono at 44100 Hz.

    Raises:
      InputError: By the rules above.
    """
    if not files.get("bass"):
        raise InputError(f"{name}: has no bass.")
    if len(files) < 2:
        raise InputError(f"{name}: has nothing but a bass.")
    audio: dict[str, np.ndarray] = {}
    lengths: dict[Path, int] = {}
    changes = []
    for stem, paths in files.items():
        total = np.zeros(0, np.float32)
        for path in paths:
            samples = read_heard(path)
            rate_hz = probe(path).sample_rate_hz
            if rate_hz != SAMPLE_RATE_HZ:
                changes.append(f"{path.name} resampled from {rate_hz} Hz")
            lengths[path] = len(samples)
            longer, shorter = sorted((total, samples), key=len, reverse=True)
            total = longer.copy()
            total[: len(shorter)] += shorter
        audio[stem] = total
    longest = max(lengths.values())
    for path, length in lengths.items():
        if longest - length > UNMENTIONED_PADDING_SAMPLES:
            seconds = (longest - length) / SAMPLE_RATE_HZ
            changes.append(f"{path.name} padded with {seconds:.1f} s of silence at its end")
    audio = {stem: np.pad(total, (0, longest - len(total))) for stem, total in audio.items()}
    return within_full_scale(name, audio, changes, annotation)


def within_full_scale(
    name: str,
    audio: Mapping[str, np.ndarray],
    changes: Sequence[str] = (),
    annotation: Annotation | None = None,
) -> Reading:
    """A song from its stems by name, including "bass", attenuated if a stem exceeds ±1."""
    loudest = max(_peak(total) for total in audio.values())
    if loudest > 1.0:
        audio = {stem: total / np.float32(loudest) for stem, total in audio.items()}
        louder_db = 20 * np.log10(loudest)
        changes = (*changes, f"attenuated by {louder_db:.1f} dB, stems exceeded full scale")
    others = {stem: total for stem, total in audio.items() if stem != "bass"}
    stems = Stems(name, audio["bass"], others, SAMPLE_RATE_HZ, annotation or Annotation())
    return Reading(stems, tuple(changes))


def tracks_by_hash(
    songs: Sequence[Path],
    read: Callable[[Path], Reading],
    files: Callable[[Path], tuple[Path, ...]],
) -> list[Track]:
    """Tracks of song folders, a tenth of which `splits.hashed` holds out.

    Args:
      songs: The folders.
      read: Reads a song from its folder.
      files: Lists the files that are read of a folder.
    """
    held_out = splits.hashed([song.name for song in songs])
    return [
        Track(
            song.name,
            "validation" if song.name in held_out else "train",
            functools.partial(read, song),
            files(song),
        )
        for song in songs
    ]


def tracks_by_album(
    folder: Path, suffixes: frozenset[str], read: Callable[[Path, str], Reading]
) -> list[Track]:
    """Tracks of the files in a folder; whole sub-folders are held out.

    Files of a sub-folder are often by one composer, so `splits.hashed` holds out a tenth of the
    sub-folders, or of the songs if there are none. Files with equal content count once.

    Args:
      folder: Folder with or without sub-folders.
      suffixes: Suffixes of the files, in lower case.
      read: Reads a song from its file and its name, which is made from its path.
    """
    found = visible_files(folder, suffixes, deep=True)
    paths = sorted({_content(path): path for path in reversed(found)}.values())
    has_albums = len({path.parent for path in paths}) > 1
    albums = [
        path.parent.relative_to(folder).as_posix() if has_albums else path.name for path in paths
    ]
    held_out = splits.hashed(albums)
    names = ["-".join(path.relative_to(folder).parts) for path in paths]
    return [
        Track(
            name,
            "validation" if album in held_out else "train",
            functools.partial(read, path, name),
            (path,),
        )
        for path, album, name in zip(paths, albums, names, strict=True)
    ]


def check(stems: Stems) -> None:
    """Checks that a song is not silent.

    Raises:
      UnusableSong: If the bass, or everything else, is silent.
    """
    if _peak(stems.bass) < SILENT_PEAK:
        raise UnusableSong(f"{stems.name}: the bass is silent.")
    if max(map(_peak, stems.others.values())) < SILENT_PEAK:
        raise UnusableSong(f"{stems.name}: everything but the bass is silent.")


def check_names(tracks: Sequence[Track], source: str) -> None:
    """Checks that there are songs, with unique names.

    Raises:
      InputError: If there are none, or two have the same name.
    """
    if not tracks:
        raise InputError(f"{source}: there are no songs; check the folder and its layout.")
    seen: dict[str, Track] = {}
    for track in tracks:
        other = seen.setdefault(track.name, track)
        if other is not track:
            places = " and ".join(str(t.files[0].parent) for t in (other, track) if t.files)
            raise InputError(f"{source}: two songs are called {track.name} ({places}); rename one.")


def _content(path: Path) -> bytes | Path:
    """A digest of a file, or its path if it cannot be read; reading it will report that."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return path


def _peak(samples: np.ndarray) -> float:
    return float(np.abs(samples).max(initial=0.0))
