"""Rendered songs: the user's MIDI files, and composed ones."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar, TypeAlias

from bassdiff.data.datasets.base import SongBuilder, SourceConfig
from bassdiff.data.datasets.rules import Reading, Track
from bassdiff.data.rendered_sources import midi_files, open_rendered, render_settings
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Source

# Specification, split, SoundFonts, variants, seed and longest duration.
_Opening: TypeAlias = tuple[str, str, tuple[str, ...], int, int, float | None]


class _Rendered(SongBuilder):
    """Songs of `rendered_sources`, with the same splits and renderings."""

    BUILDER_CONFIGS: ClassVar[list[SourceConfig]] = []
    BITS = 16
    OPTIONS = frozenset({"soundfonts", "variants", "seed", "max_seconds"})

    def _opening(self, spec: str, split: str) -> _Opening:
        config = self.builder_config
        return spec, split, config.soundfonts, config.variants, config.seed, config.max_seconds


class MidiFolder(_Rendered):
    """A folder of MIDI files, rendered through SoundFonts; every fifth is held out."""

    name = "midi_folder"
    DESCRIPTION = "MIDI files of the user, rendered through SoundFonts."

    def _tracks(self, folder: Path | None) -> list[Track]:
        assert folder is not None
        everything = self._opening(f"midi:{folder}", "all")
        held_out = set(_open(self._opening(f"midi:{folder}", "validation")).names)
        files = midi_files(folder)
        return [
            Track(
                name,
                "validation" if name in held_out else "train",
                functools.partial(_read, everything, index),
                (files[index % len(files)],),
            )
            for index, name in enumerate(_open(everything).names)
        ]


class ComposedSongs(_Rendered):
    """Songs by `songs.compose`; a tenth as many others are held out."""

    name = "composed_songs"
    DESCRIPTION = "Songs composed by rules, rendered through SoundFonts, with beats and chords."
    LICENSE = "The songs are free of rights; a SoundFont's licence covers its samples."
    OPTIONS = _Rendered.OPTIONS | {"num_songs"}

    def _tracks(self, folder: Path | None) -> list[Track]:
        count = self.builder_config.num_songs
        if count < 1:
            raise InputError(f"{self.name}: {count} songs; choose 1 or more to compose.")
        openings = [
            self._opening(f"composed:{count}", "train"),
            self._opening(f"composed:{max(count // 10, 1)}", "validation"),
        ]
        return [
            Track(name, opening[1], functools.partial(_read, opening, index))
            for opening in openings
            for index, name in enumerate(_open(opening).names)
        ]


@functools.lru_cache(maxsize=4)
def _open(opening: _Opening) -> Source:
    spec, split, soundfonts, variants, seed, max_seconds = opening
    settings = render_settings(soundfonts, variants, seed, max_seconds=max_seconds)
    return open_rendered(spec, split, settings)


def _read(opening: _Opening, index: int) -> Reading:
    return Reading(_open(opening)[index])
