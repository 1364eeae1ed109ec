"""Folders of finished recordings without separate stems."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from bassdiff.audio.channels import to_mono
from bassdiff.audio.folders import AUDIO_SUFFIXES
from bassdiff.audio.io import SAMPLE_RATE_HZ, read_channels
from bassdiff.data.datasets.rules import SILENT_PEAK, Reading, Track, tracks_by_album
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.stems import Source, Stems


class MixFolder(Source):
    """Recordings as songs with one stem, `mix`, that includes the bass; `bass` is silent.

    Only suited to train a codec of mixes.
    """

    def __init__(self, tracks: list[Track]):
        """Takes the tracks that `mix_tracks` found."""
        self._tracks = tracks

    @property
    def names(self) -> list[str]:
        """Paths within the folder, in order."""
        return [track.name for track in self._tracks]

    def __len__(self) -> int:
        return len(self._tracks)

    def __getitem__(self, index: int) -> Stems:
        return self._tracks[index].read().stems


def mix_tracks(folder: Path, max_seconds: float | None) -> list[Track]:
    """The recordings in a folder; sub-folders are held out as `tracks_by_album` says."""
    read = functools.partial(_read_mix, max_seconds=max_seconds)
    return tracks_by_album(folder, AUDIO_SUFFIXES, read)


def _read_mix(path: Path, name: str, max_seconds: float | None) -> Reading:
    try:
        mix = to_mono(read_channels(path, max_seconds).T)
    except InputError as error:
        # One damaged file of hundreds must not stop the job. Manifests travel with their stores, so
        # they name the file relative to its folder.
        raise UnusableSong(f"{name}: {str(error).removeprefix(f'{path}: ')}") from error
    if np.abs(mix).max(initial=0.0) < SILENT_PEAK:
        raise UnusableSong(f"{name}: the recording is silent.")
    return Reading(Stems(name, np.zeros_like(mix), {"mix": mix}, SAMPLE_RATE_HZ))
