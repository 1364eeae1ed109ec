"""Tracker modules, which can be separated exactly into instruments."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data import roles
from bassdiff.data.datasets.base import SongBuilder, SourceConfig
from bassdiff.data.datasets.rules import Reading, Track, tracks_by_album, within_full_scale
from bassdiff.data.openmpt import Module
from bassdiff.runtime.errors import InputError

SUFFIXES = frozenset(".mod .xm .it .s3m .mptm .mo3 .stm .669 .med .okt .umx".split())
MIN_SECONDS, MAX_SECONDS = 20.0, 300.0
# Least share of the song in which the bass, and a pitched instrument, play.
LEAST_BASS, LEAST_PITCHED = 0.25, 0.15
# Share with a single pitch; several low instruments at once have none.
LEAST_ONE_PITCH = 0.7


class TrackerModules(SongBuilder):
    """A folder of tracker modules, with or without sub-folders, played by libopenmpt.

    Modules only number their instruments, so `roles` finds bass and drums by their sound. See
    `tracks_by_album` for the splits.
    """

    name = "tracker_modules"
    DESCRIPTION = "Tracker modules of the user, rendered instrument by instrument."
    BUILDER_CONFIGS: ClassVar[list[SourceConfig]] = []
    BITS = 16

    def _tracks(self, folder: Path | None) -> list[Track]:
        assert folder is not None
        return tracks_by_album(folder, SUFFIXES, read_module)


def read_module(path: Path, name: str) -> Reading:
    """Renders a module as bass, drums and one stem for every other instrument.

    Args:
      path: The module.
      name: The song's name.

    Raises:
      InputError: If it is not a module, is too short, or has no bass or nothing else with a pitch.
    """
    module = Module(path)
    parts, sounds = {}, {}
    for number in range(len(module.names)):
        part = module.play([number], MAX_SECONDS)
        if len(part) < MIN_SECONDS * SAMPLE_RATE_HZ:
            raise InputError(f"{name}: lasts less than {MIN_SECONDS:g} s.")
        sound = roles.heard(part)
        if sound.sounds > 0.0:
            parts[number], sounds[number] = part, sound
    basses = _basses(name, module, parts, sounds)
    others = [number for number in parts if number not in basses]
    drums = [n for n in others if roles.is_drum(sounds[n], module.names[n])]
    pitched = [number for number in others if number not in drums]
    if max((sounds[number].sounds for number in pitched), default=0.0) < LEAST_PITCHED:
        raise InputError(f"{name}: has hardly anything pitched besides its bass.")
    stems = {"bass": _sum(parts, basses)}
    if drums:
        stems["drums"] = _sum(parts, drums)
    stems |= {f"instrument-{number}": parts[number] for number in pitched}
    return within_full_scale(name, stems)


def _basses(
    name: str, module: Module, parts: dict[int, np.ndarray], sounds: dict[int, roles.Sound]
) -> list[int]:
    """The instruments that together are one bass: all that may be, or else the busiest."""
    candidates = [n for n in parts if roles.is_bass(sounds[n], module.names[n])]
    candidates.sort(key=lambda n: -sounds[n].sounds)
    for chosen in (candidates, candidates[:1]):
        if not chosen:
            continue
        alone = len(chosen) == 1
        together = sounds[chosen[0]] if alone else roles.heard(_sum(parts, chosen))
        if together.sounds >= LEAST_BASS and together.pitched >= LEAST_ONE_PITCH:
            return chosen
    raise InputError(f"{name}: no instrument plays a bass for a quarter of the song.")


def _sum(parts: dict[int, np.ndarray], numbers: list[int]) -> np.ndarray:
    total = np.zeros_like(parts[numbers[0]])
    for number in numbers:
        total += parts[number]
    return total
