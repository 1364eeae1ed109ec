"""Recordings without stems, separated by a network that the user provides."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar

import numpy as np

from bassdiff.audio.folders import AUDIO_SUFFIXES
from bassdiff.audio.io import SAMPLE_RATE_HZ, read_channels
from bassdiff.data import roles
from bassdiff.data.datasets.base import SongBuilder, SourceConfig
from bassdiff.data.datasets.rules import Reading, Track, tracks_by_album, within_full_scale
from bassdiff.data.separation import STEMS, Separator
from bassdiff.runtime.errors import InputError

MIN_SECONDS = 20.0
# Least share of the song in which the bass plays, and of that with a single pitch.
LEAST_BASS, LEAST_PITCHED = 0.25, 0.7
# A stem this far below the song holds only leakage of the others, bass included, and must not make
# up a mix.
LEFT_OVER_DB = -30.0


class Recordings(SongBuilder):
    """A folder of recorded songs, with or without sub-folders; see `tracks_by_album`."""

    name = "recordings"
    DESCRIPTION = "Recordings of the user, separated into stems."
    BUILDER_CONFIGS: ClassVar[list[SourceConfig]] = []
    BITS = 16
    OPTIONS = frozenset({"separator", "max_seconds"})

    def _tracks(self, folder: Path | None) -> list[Track]:
        assert folder is not None
        config = self.builder_config
        if config.separator is None:
            raise InputError(
                f"{self.name}: name the network that separates the songs by --separator FILE.onnx."
            )
        # Reports an unusable network before the first song.
        _opened(config.separator)
        return tracks_by_album(
            folder,
            AUDIO_SUFFIXES,
            functools.partial(
                read_recording, separator=config.separator, max_seconds=config.max_seconds
            ),
        )


def read_recording(path: Path, name: str, separator: str, max_seconds: float | None) -> Reading:
    """Separates a recording.

    Args:
      path: The recording.
      name: The song's name.
      separator: ONNX file of a `Separator`.
      max_seconds: Longest song; longer ones are cut.

    Raises:
      InputError: If it cannot be read, is too short, or has no bass or nothing else.
    """
    channels = read_channels(path, max_seconds)
    # The first two, or the only one twice.
    stereo = channels[[0, min(1, len(channels) - 1)]]
    if stereo.shape[1] < MIN_SECONDS * SAMPLE_RATE_HZ:
        raise InputError(f"{name}: lasts less than {MIN_SECONDS:g} s.")
    stems = _opened(separator).separate(stereo)
    floor = float(np.std(stereo.mean(axis=0))) * 10 ** (LEFT_OVER_DB / 20)
    stems = {stem: audio for stem, audio in stems.items() if float(audio.std()) > floor}
    sound = roles.heard(stems["bass"]) if "bass" in stems else roles.SILENCE
    if sound.sounds < LEAST_BASS or sound.pitched < LEAST_PITCHED:
        raise InputError(f"{name}: no monophonic bass plays for a quarter of the song.")
    if stems.keys() <= {"bass", "drums"}:
        raise InputError(f"{name}: has nothing but a bass and drums.")
    missing = [stem for stem in STEMS if stem not in stems]
    return within_full_scale(name, stems, [f"without {stem}, next to silent" for stem in missing])


@functools.lru_cache(maxsize=1)
def _opened(separator: str) -> Separator:
    return Separator(Path(separator))
