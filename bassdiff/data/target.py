"""The stem of songs that a model learns to play: the bass, or any other."""

from __future__ import annotations

import dataclasses
import functools
import re

import numpy as np

from bassdiff.data.mapped import Mapped
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


def aimed(source: Source, target: str) -> Source:
    """The songs with a target in the place of the bass; as they are for the bass."""
    if target == BASS:
        return source
    return Mapped(source, functools.partial(split, target=check_target(target)))


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
