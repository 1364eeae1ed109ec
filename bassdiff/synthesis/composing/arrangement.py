"""Arranges sections: rhythm section and band become parts of a song."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bassdiff.synthesis.composing import band
from bassdiff.synthesis.composing.basslines import IDIOMS, for_meter
from bassdiff.synthesis.composing.drums import Drummer
from bassdiff.synthesis.composing.fretboard import Fretboard
from bassdiff.synthesis.composing.meter import Bar, Event
from bassdiff.synthesis.composing.styles import Style

# Share of sections with a bass from another style.
STRANGER = 0.2

PROGRAMS: dict[str, tuple[int, ...]] = {
    "keys": (0, 1, 2, 4, 5, 7, 11, 16, 17, 18),
    "guitar": (24, 25, 26, 27, 28),
    "power": (29, 30),
    "pads": (48, 49, 50, 51, 52, 88, 89, 90, 91, 94, 95),
    "arpeggio": (8, 10, 11, 12, 24, 46, 80, 81, 84, 87, 98),
    "melody": (11, 22, 40, 52, 53, 54, 56, 64, 65, 66, 68, 71, 73, 75, 80, 81, 82, 85, 85, 53),
    "strings": (40, 42, 44, 48, 49, 60, 61),
}


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a song.

    Attributes:
      label: Sections with the same label share their patterns.
      bars: The bars.
      stems: The stems that play.
    """

    label: str
    bars: tuple[Bar, ...]
    stems: frozenset[str]


def rhythm_section(
    sections: Sequence[Section], style: Style, rng: np.random.Generator, idioms: Sequence[str] = ()
) -> dict[str, list[Event]]:
    """Composes the drums and a matching bass of a song.

    Args:
      sections: The song; bars without harmony have drums only.
      style: The groove.
      rng: Draws the players.
      idioms: Bass idioms to choose from; those of the style if empty.

    Returns:
      Events of "drums" and "bass".
    """
    floor = int(rng.integers(26, 34))
    drummers: dict[str, Drummer] = {}
    players = {}
    events: dict[str, list[Event]] = {"drums": [], "bass": []}
    last = floor + 7
    for section in sections:
        if section.label not in drummers:
            drummers[section.label] = Drummer(style, rng)
            names = for_meter(tuple(idioms) or style.idioms, style.meter)
            if not idioms and rng.random() < STRANGER:
                names = for_meter(tuple(IDIOMS), style.meter)
            players[section.label] = IDIOMS[str(rng.choice(names))](rng, style.meter)
        drummer, player = drummers[section.label], players[section.label]
        for bar in section.bars:
            if "drums" in section.stems:
                events["drums"] += drummer.play(bar)
            if "bass" in section.stems and bar.changes:
                board = Fretboard(bar, drummer.kicks(bar), floor, last, rng)
                player(board)
                events["bass"] += board.events
                last = board.last
    events["bass"] = _one_after_another(events["bass"])
    return events


def band_events(
    sections: Sequence[Section], stem: str, style: Style, rng: np.random.Generator
) -> list[Event]:
    """Composes one stem other than drums and bass."""
    makers = {
        "keys": band.comping,
        "guitar": lambda rng, meter: band.comping(rng, meter, band.GUITAR_LOW),
        "power": band.power_chords,
        "pads": band.pads,
        "arpeggio": band.arpeggios,
        "melody": band.melody,
        "strings": band.guide_tones,
    }
    players: dict[str, band.BandPlayer] = {}
    events = []
    for section in sections:
        if stem not in section.stems:
            continue
        if section.label not in players:
            players[section.label] = makers[stem](rng, style.meter)
        for bar in section.bars:
            if bar.changes:
                events += players[section.label](bar)
    return events


def _one_after_another(events: list[Event]) -> list[Event]:
    """Makes a bass monophonic: the last event at each step wins."""
    by_step = {event.step: event for event in events}
    line = [by_step[step] for step in sorted(by_step)]
    ends = [*(event.step for event in line[1:]), float("inf")]
    return [
        event._replace(length=min(event.length, end - event.step))
        for event, end in zip(line, ends, strict=True)
    ]
