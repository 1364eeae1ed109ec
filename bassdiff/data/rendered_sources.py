"""Opens rendered songs by a specification and a split."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from bassdiff.audio.folders import visible_files
from bassdiff.data.renderings import Rendered, Score, Settings
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis import lead_sheets, midi, songs
from bassdiff.synthesis.score import Song
from bassdiff.synthesis.soundfont import default_soundfont

SPLITS = ("train", "validation", "all")
POP909_FIRST_VALIDATION = 860
COMPOSED_VALIDATION = 1_000_000
_MOST_VARIANTS = 1000
MIDI_SUFFIXES = frozenset({".mid", ".midi", ".kar"})


def render_settings(
    soundfonts: Sequence[str | Path] = (),
    variants: int = 1,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    max_seconds: float | None = 180.0,
    *,
    feel: bool = False,
    drums_alone: bool = False,
) -> Settings:
    """Checks the settings of rendering; see `sources.open_source` for the arguments.

    Raises:
      InputError: If a SoundFont is missing, or `variants` is below 1.
    """
    if not 1 <= variants <= _MOST_VARIANTS:
        raise InputError(f"variants={variants}: choose 1 to {_MOST_VARIANTS} renderings of a song.")
    for font in soundfonts:
        if not Path(font).is_file():
            raise InputError(f"{font}: there is no such SoundFont; check the path.")
    return Settings(
        tuple(Path(font) for font in soundfonts) or (default_soundfont(),),
        variants,
        seed,
        None if cache_dir is None else Path(cache_dir),
        max_seconds,
        feel,
        drums_alone,
    )


def open_rendered(spec: str, split: str, settings: Settings) -> Rendered:
    """The songs of `midi:DIR`, `pop909:DIR` or `composed:N`.

    Raises:
      InputError: If the folder does not exist, or the split has no songs.
    """
    kind, _, where = spec.strip().partition(":")
    scores = RENDERED[kind](where, split)
    if not scores:
        raise InputError(f"{spec}: there are no songs in this split; check the folder.")
    return Rendered(kind, scores, settings)


def midi_files(folder: Path) -> list[Path]:
    """The MIDI files of a folder, in the order that decides the splits."""
    return visible_files(folder, MIDI_SUFFIXES)


def check_folder(where: str) -> Path:
    """The folder as a path; InputError if it does not exist."""
    folder = Path(where)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; check the path.")
    return folder


def is_in(split: str, is_validation: bool) -> bool:
    """Whether a song belongs to `split`, given whether it is held out for validation."""
    return split == "all" or (split == "validation") == is_validation


def _midi_scores(where: str, split: str) -> list[Score]:
    files = midi_files(check_folder(where))
    return _scores([f for i, f in enumerate(files) if is_in(split, i % 5 == 0)], _read_midi)


def _lead_sheet_scores(where: str, split: str) -> list[Score]:
    folders = sorted(check_folder(where).iterdir())
    chosen = [
        folder
        for folder in folders
        if folder.is_dir()
        and folder.name.isdecimal()
        and is_in(split, int(folder.name) >= POP909_FIRST_VALIDATION)
    ]
    return _scores(chosen, lead_sheets.read_lead_sheet)


def _composed_scores(where: str, split: str) -> list[Score]:
    # Beyond that, songs for validation begin.
    if not (where.isdecimal() and len(where) < 10 and 0 < int(where) <= COMPOSED_VALIDATION):
        raise InputError(
            f"composed:{where} names no songs; say how many, up to {COMPOSED_VALIDATION}, as "
            "composed:200."
        )
    first = {"train": [0], "validation": [COMPOSED_VALIDATION]}.get(split, [0, COMPOSED_VALIDATION])
    indices = [start + i for start in first for i in range(int(where))]
    return [Score(f"composed-{i}", functools.partial(songs.compose, i)) for i in indices]


def _scores(paths: Sequence[Path], read: Callable[[Path, int], Song]) -> list[Score]:
    return [Score(path.stem, functools.partial(read, path), path) for path in paths]


def _read_midi(path: Path, seed: int) -> Song:
    """Reads a MIDI file, which needs no seed."""
    return midi.read_midi(path)


RENDERED: dict[str, Callable[[str, str], list[Score]]] = {
    "midi": _midi_scores,
    "pop909": _lead_sheet_scores,
    "composed": _composed_scores,
}
