"""Opens finished pairs of other systems: a folder per song with its mix and bass."""

from __future__ import annotations

from pathlib import Path

from bassdiff.audio.folders import AUDIO_SUFFIXES, visible_files
from bassdiff.evaluation.clips import MIX, TRUE
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import StemFolder

BASS = "bass"


def open_pairs(root: Path) -> StemFolder:
    """Opens pairs laid out as `SONG/mix.*`, `SONG/bass.*` and, if known, `SONG/true.*`.

    `bass.*` is the bass to evaluate, `true.*` the original one.

    Raises:
      InputError: If there are no pairs, or a song lacks its mix or bass or holds other audio, which
        might belong to the mix.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder of pairs; check the path.")
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and _audio(folder)]
    if not folders:
        raise InputError(
            f"{root}: no sub-folder holds audio; lay the pairs out as SONG/mix.wav, SONG/bass.wav."
        )
    for folder in folders:
        seen: set[str] = set()
        for path in _audio(folder):
            name = path.stem.lower()
            if name not in (MIX, BASS, TRUE) or name in seen:
                raise InputError(
                    f"{path}: a pair is one mix.*, one bass.* and optionally one true.*; move this "
                    "file elsewhere."
                )
            seen.add(name)
        for name in (MIX, BASS):
            if name not in seen:
                raise InputError(f"{folder}: holds no {name}.*; add {name}.wav to the pair.")
    return StemFolder(root, folders, whole_songs=True)


def _audio(folder: Path) -> list[Path]:
    return visible_files(folder, AUDIO_SUFFIXES)
