"""Styles: drum patterns with their metres, tempi and bass idioms."""

from __future__ import annotations

import dataclasses

from bassdiff.synthesis.composing.meter import FOUR_FOUR, SIX_EIGHT, THREE_FOUR, TWELVE_EIGHT, Meter

# General MIDI percussion keys.
KICK, RIM, SNARE, CLAP = 36, 37, 38, 39
HAT, OPEN_HAT, CRASH, RIDE = 42, 46, 49, 51
SHAKER, TAMBOURINE, COWBELL = 70, 54, 56
TOMS = (50, 47, 45, 43)


@dataclasses.dataclass(frozen=True)
class Style:
    """A groove; patterns have one character per step: `x` loud, `o` soft, `O` an open hat.

    Attributes:
      meter: steps of the patterns.
      tempo_bpm: slowest and fastest.
      kicks: patterns of the bass drum.
      snares: patterns of the snare.
      hats: patterns of the cymbals.
      idioms: Bass idioms of the style.
      snare_key: Percussion key of the snare's pattern.
      hat_key: Percussion key of the cymbals' pattern.
      swing: probability that the song swings.
    """

    meter: Meter
    tempo_bpm: tuple[float, float]
    kicks: tuple[str, ...]
    snares: tuple[str, ...]
    hats: tuple[str, ...]
    idioms: tuple[str, ...]
    snare_key: int = SNARE
    hat_key: int = HAT
    swing: float = 0.0


_BACKBEAT = "....x.......x..."
_EIGHTHS = "x.x.x.x.x.x.x.x."
_SIXTEENTHS = "xoxoxoxoxoxoxoxo"
_OFFBEATS = "..O...O...O...O."
_FLOOR = "x...x...x...x..."

STYLES: dict[str, Style] = {
    "rock": Style(
        FOUR_FOUR,
        (90, 165),
        (
            "x.......x.......",
            "x.......x.x.....",
            "x..x....x.......",
            "x.x.....x.x.....",
            "x.....x.x.....x.",
        ),
        (_BACKBEAT,),
        (_EIGHTHS, "x...x...x...x...", "x.x.x.x.x.x.x.O."),
        ("roots", "kick", "octaves", "ostinato", "root fifth", "passing", "syncopated"),
    ),
    "pop": Style(
        FOUR_FOUR,
        (80, 128),
        ("x.....x.x.......", "x......x..x.....", "x..x..x.x..x....", "x.........x.....", _FLOOR),
        (_BACKBEAT, "....x.......x..o"),
        (_SIXTEENTHS, _EIGHTHS, _OFFBEATS),
        ("kick", "syncopated", "roots", "sustained", "sparse", "arpeggio", "passing"),
    ),
    "disco": Style(
        FOUR_FOUR,
        (108, 130),
        (_FLOOR,),
        (_BACKBEAT,),
        (_OFFBEATS, "x.O.x.O.x.O.x.O.", "xxOxxxOxxxOxxxOx"),
        ("disco", "octaves", "funk", "syncopated"),
    ),
    "house": Style(
        FOUR_FOUR,
        (118, 132),
        (_FLOOR,),
        (_BACKBEAT, "................"),
        (_OFFBEATS, "..x...x...x...x."),
        ("offbeat", "ostinato", "syncopated", "octaves", "rolling"),
        snare_key=CLAP,
    ),
    "funk": Style(
        FOUR_FOUR,
        (88, 120),
        ("x..x......x..x..", "x.x....x..x.....", "x.....x...x..x..", "x..x..x......x.."),
        ("....x..o.o..x..o", "....x..o....x.o.", _BACKBEAT),
        (_SIXTEENTHS, "x.xxx.xxx.xxx.Ox", _EIGHTHS),
        ("funk", "kick", "syncopated", "ostinato"),
        swing=0.3,
    ),
    "soul": Style(
        FOUR_FOUR,
        (96, 132),
        ("x.....x.x.......", "x.....x.x.....x."),
        ("x...x...x...x...", _BACKBEAT),
        (_EIGHTHS,),
        ("passing", "root fifth", "arpeggio", "walking", "syncopated"),
        swing=0.3,
    ),
    "reggae": Style(
        FOUR_FOUR,
        (66, 92),
        ("........x.......", _FLOOR, "x.......x......."),
        ("........x.......",),
        ("x.x.x.x.x.x.x.x.", "x.xox.xox.xox.xo"),
        ("reggae", "reggae", "sparse", "arpeggio"),
        snare_key=RIM,
        swing=0.5,
    ),
    "hip hop": Style(
        FOUR_FOUR,
        (78, 102),
        ("x......x..x.....", "x.x.......xx....", "x..x......x.....", "x......xx.x....."),
        (_BACKBEAT,),
        (_EIGHTHS, "x.xxx.x.x.xxx.x."),
        ("kick", "boom", "sparse", "ostinato", "slides"),
        swing=0.6,
    ),
    "trap": Style(
        FOUR_FOUR,
        (60, 80),
        ("x.....x....x....", "x..x......x.....", "x.........x..x.."),
        ("........x.......",),
        (_SIXTEENTHS, "x.x.x.xxx.x.xxxx"),
        ("boom", "slides", "sparse", "kick"),
        snare_key=CLAP,
    ),
    "metal": Style(
        FOUR_FOUR,
        (100, 180),
        ("x.xxx.xxx.xxx.xx", "xxxxxxxxxxxxxxxx", "x.xx..x.x.xx..x.", "x..x..x..x..x.x."),
        (_BACKBEAT, "........x......."),
        ("x...x...x...x...", _EIGHTHS),
        ("gallop", "roots", "kick", "pedal", "ostinato"),
        hat_key=RIDE,
    ),
    "bossa": Style(
        FOUR_FOUR,
        (60, 84),
        ("x..xx..xx..xx..x", "x..xx...x..xx..."),
        ("x..x..x...x..x..", "..x...x..x..x..."),
        (_EIGHTHS, _SIXTEENTHS),
        ("tresillo", "root fifth", "walking"),
        snare_key=RIM,
        hat_key=SHAKER,
    ),
    "latin": Style(
        FOUR_FOUR,
        (85, 112),
        ("x..x..x.x..x..x.", "x...x..xx...x..x", _FLOOR),
        ("x..x..x...x.x...", "...x..x....x..x."),
        (_EIGHTHS, "x.xxx.xxx.xxx.xx"),
        ("tresillo", "syncopated", "octaves"),
        hat_key=COWBELL,
    ),
    "ballad": Style(
        FOUR_FOUR,
        (56, 84),
        ("x.........x.....", "x......x..x.....", "x.......x......."),
        (_BACKBEAT, "........x......."),
        (_EIGHTHS, _SIXTEENTHS),
        ("sustained", "root fifth", "passing", "slides", "arpeggio", "sparse"),
    ),
    "country": Style(
        FOUR_FOUR,
        (84, 124),
        ("x...x...x...x...", "x.......x......."),
        ("..x...x...x...x.", "o.xoo.xoo.xoo.xo", _BACKBEAT),
        (_EIGHTHS, "................"),
        ("root fifth", "root fifth", "walking", "passing"),
    ),
    "break": Style(
        FOUR_FOUR,
        (88, 174),
        ("x.x.......xx....", "x.........x.....", "x.x......xx....."),
        ("....x..o.o..x..o", "....x..o.o....x."),
        (_EIGHTHS, _SIXTEENTHS),
        ("boom", "sustained", "syncopated", "ostinato", "slides"),
        hat_key=RIDE,
    ),
    "synthwave": Style(
        FOUR_FOUR,
        (80, 122),
        (_FLOOR, "x.......x......."),
        (_BACKBEAT,),
        (_SIXTEENTHS, _OFFBEATS),
        ("rolling", "octaves", "roots", "arpeggio", "pedal"),
    ),
    "shuffle": Style(
        TWELVE_EIGHT,
        (72, 138),
        ("x.....x.....", "x....xx.....", "x..x..x..x.."),
        ("...x.....x..",),
        ("x.xx.xx.xx.x",),
        ("walking", "roots", "arpeggio", "boogie", "boogie"),
    ),
    "slow blues": Style(
        TWELVE_EIGHT,
        (48, 72),
        ("x.....x.....", "x....xx....x"),
        ("...x.....x..",),
        ("xxxxxxxxxxxx",),
        ("walking", "root fifth", "passing", "arpeggio", "sustained"),
    ),
    "jazz": Style(
        TWELVE_EIGHT,
        (100, 210),
        ("o..o..o..o..", "............"),
        ("............", ".....o.....o"),
        ("x..x.xx..x.x",),
        ("walking", "walking", "root fifth"),
        hat_key=RIDE,
    ),
    "waltz": Style(
        THREE_FOUR,
        (84, 168),
        ("x...........", "x.....x....."),
        ("....x...x...", "........x..."),
        ("x.x.x.x.x.x.", "x...x...x..."),
        ("root fifth", "sustained", "arpeggio", "walking"),
        swing=0.2,
    ),
    "three rock": Style(
        THREE_FOUR,
        (90, 150),
        ("x.....x.....", "x..x........"),
        ("........x...", "....x......."),
        ("x.x.x.x.x.x.",),
        ("roots", "kick", "syncopated", "passing"),
    ),
    "six eight": Style(
        SIX_EIGHT,
        (42, 84),
        ("x.....", "x....x", "x.x..."),
        ("...x..",),
        ("xxxxxx", "x.xx.x"),
        ("sustained", "root fifth", "arpeggio", "roots", "passing", "kick"),
    ),
}
