"""All bass idioms by name.

An idiom is a function `(rng, meter) -> player`. It draws the pattern of a section, and the player
it returns writes one bar at a time onto a `Fretboard`.
"""

from __future__ import annotations

from bassdiff.synthesis.composing import locked_basses, moving_basses, steady_basses
from bassdiff.synthesis.composing.fretboard import Idiom
from bassdiff.synthesis.composing.meter import Meter

IDIOMS: dict[str, Idiom] = {
    "sustained": steady_basses.sustained,
    "roots": steady_basses.roots,
    "root fifth": steady_basses.root_fifth,
    "octaves": steady_basses.octaves,
    "disco": steady_basses.disco,
    "walking": moving_basses.walking,
    "boogie": moving_basses.boogie,
    "kick": locked_basses.kick,
    "syncopated": locked_basses.syncopated,
    "funk": locked_basses.funk,
    "reggae": locked_basses.reggae,
    "ostinato": moving_basses.ostinato,
    "pedal": steady_basses.pedal,
    "arpeggio": moving_basses.arpeggio,
    "slides": locked_basses.slides,
    "sparse": steady_basses.sparse,
    "tresillo": locked_basses.tresillo,
    "gallop": steady_basses.gallop,
    "passing": moving_basses.passing,
    "boom": locked_basses.boom,
    "offbeat": steady_basses.offbeat,
    "rolling": steady_basses.rolling,
}


def for_meter(names: tuple[str, ...], meter: Meter) -> tuple[str, ...]:
    """The idioms among `names` that work in the metre."""
    in_four = {"disco", "reggae", "tresillo", "gallop", "rolling"}
    return tuple(name for name in names if meter.division == 4 or name not in in_four)
