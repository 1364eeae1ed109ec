"""The stem of songs that a model learns to play: the bass, or any other."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.stems import UNPITCHED, Source, Stems

BASS = "bass"
# Words for stems of a kind in datasets. A "bass guitar" is a bass; a "bass drum" is a drum.
_CALLED = {
    "drums": {"drums", "drum", "percussion"},
    "guitar": {"guitar", "guitars"},
    "keys": {"keys", "piano", "organ", "keyboard", "keyboards"},
    "vocals": {"vocals", "vocal", "voice", "voices", "singing"},
}


class Targeted:
    """Songs that are split into a target and everything else, the bass included.

    `Stems.bass` is then the target.
    """

    def __init__(self, source: Source, target: str) -> None:
        """Takes songs and what `check_target` takes."""
        self._source, self._target = source, check_target(target)

    @property
    def names(self) -> list[str]:
        """The names of the songs, in order."""
        return self._source.names

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Stems:
        return split(self._source[index], self._target)

    def transposed(self, index: int, semitones: int) -> Stems:
        """Song `index` in another key."""
        return split(self._source.transposed(index, semitones), self._target)


def aimed(source: Source, target: str) -> Source:
    """The songs with a target in the place of the bass; as they are for the bass."""
    return source if target == BASS else Targeted(source, target)


def check_target(target: str) -> str:
    """Checks the name of a target: a stem, such as `drums`, or several, as in `guitar+keys`.

    Raises:
      InputError: A name is empty or occurs twice.
    """
    names = target.split("+")
    if not all(name.strip() == name and name for name in names) or len(set(names)) < len(names):
        raise InputError(
            f"{target!r} names no target; use bass, {', '.join(_CALLED)}, the name of a stem, or "
            "several joined by +"
        )
    return target


def split(stems: Stems, target: str) -> Stems:
    """A song with the sum of the target's stems in the place of the bass.

    Args:
      stems: The song.
      target: See `check_target`. `drums`, `guitar`, `keys` and `vocals` mean all stems of the
        kind, such as "piano" or "acoustic guitar 2"; other names mean the stems called so.

    Raises:
      UnusableSong: It has no such stem, or nothing else.
    """
    stems_by_name = {BASS: stems.bass, **stems.others}
    wanted = target.split("+")
    chosen = [name for name in stems_by_name if any(_is(name, one) for one in wanted)]
    others = {name: audio for name, audio in stems_by_name.items() if name not in chosen}
    if not chosen:
        raise UnusableSong(
            f"{stems.name}: has no {' or '.join(wanted)}; its stems are "
            f"{', '.join(sorted(stems_by_name))}."
        )
    if not any(np.any(audio) for audio in others.values()):
        raise UnusableSong(f"{stems.name}: has nothing but {' and '.join(wanted)}.")
    total = np.stack([stems_by_name[name] for name in chosen]).sum(axis=0)
    return dataclasses.replace(stems, bass=total, others=others)


def is_unpitched(target: str) -> bool:
    """Whether nothing of a target has a pitch."""
    return all(one in UNPITCHED for one in target.split("+"))


def _is(name: str, target: str) -> bool:
    """Whether a stem is of a target."""
    words = set(re.findall(r"[a-z]+", name.lower()))
    called = _CALLED.get(target)
    if called is None:
        return name == target
    return bool(words & called) and (target == "drums" or BASS not in words)
