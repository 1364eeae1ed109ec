"""Chords that a musician names, one by one or in text with bars."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from bassdiff.inference.grid import Grid
from bassdiff.runtime.errors import InputError

# The most common spelling of each root.
NOTE_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
# Harte's shorthand, and how players write it.
_SUFFIXES = {
    "maj": ("", "maj", "M"),
    "min": ("m", "min", "-"),
    "7": ("7", "dom7"),
    "maj7": ("maj7", "M7", "Δ", "Δ7", "ma7"),
    "min7": ("m7", "min7", "-7"),
    "minmaj7": ("mmaj7", "mM7", "minmaj7", "m(maj7)"),
    "hdim7": ("m7b5", "min7b5", "ø", "ø7", "hdim7", "m7(b5)"),
    "dim": ("dim", "°", "o"),
    "dim7": ("dim7", "°7", "o7"),
    "aug": ("aug", "+"),
    "aug(b7)": ("7#5", "aug7", "+7"),
    "sus2": ("sus2",),
    "sus4": ("sus4", "sus"),
    "sus4(b7)": ("7sus4", "7sus", "9sus4"),
    "maj6": ("6", "maj6"),
    "min6": ("m6", "min6"),
    "9": ("9",),
    "maj9": ("maj9", "M9"),
    "min9": ("m9", "min9"),
    "maj(9)": ("add9", "add2"),
    "min(9)": ("madd9",),
    "7(b9)": ("7b9",),
    "7(#9)": ("7#9",),
    "7(b5)": ("7b5",),
    "11": ("11",),
    "min11": ("m11",),
    "13": ("13",),
    "5": ("5",),
    "1": ("1",),
}
_TRIADS = {"maj": (0, 4, 7), "min": (0, 3, 7)}
_HARTE = {written: short for short, ways in _SUFFIXES.items() for written in ways}
_CHORD = re.compile(r"([A-G])([#b]*)([^/]*)(?:/([A-G])([#b]*))?")
_HARTE_CHORD = re.compile(r"[A-G][#b]*:[a-z(].*")
_TOKEN = re.compile(r"\|:|:\|(?:x\d+)?|\||\n|[^\s|]+?(?=:\||[\s|]|$)")
_WITH_BEATS = re.compile(r"(.+):(\d+(?:\.\d+)?)")
_FREE = ("N", "X", "N.C.", "NC")
_MOST_REPEATS = 1000
_REMEDY = "write chords such as C, F#m7, Bbmaj7 or G/B, with | between bars"
# Chords of a bar: a name, and its length in beats if that is given.
Bar: TypeAlias = "list[tuple[str, float | None]]"


class Chord(NamedTuple):
    """A chord held for a while.

    Attributes:
      start_seconds: Where it begins.
      end_seconds: Where it ends.
      name: As it was written.
      tones: Pitch classes, C = 0, the bass note's among them; none where anything may be played.
      bass: The pitch class of its lowest note.
    """

    start_seconds: float
    end_seconds: float
    name: str
    tones: frozenset[int]
    bass: int | None


def parse_chord(name: str) -> tuple[frozenset[int], int | None]:
    """The pitch classes of a chord and that of its bass note: `parse_chord("G/B")`.

    Args:
      name: As players write it (`F#m7b5`, `G/B`), or Harte (`F#:hdim7`, `G:maj/3`); `N` for none.

    Raises:
      ValueError: It is not a chord.
    """
    if name in _FREE:
        return frozenset(), None
    label, slash = name, None
    if not _HARTE_CHORD.fullmatch(name):
        match = _CHORD.fullmatch(name)
        if match is None or match[3] not in _HARTE:
            raise ValueError(name)
        kind, lowest = _HARTE[match[3]], pitch_class(match[1], match[2])
        label = f"{match[1]}{match[2]}:{kind}"
        slash = pitch_class(match[4], match[5]) if match[4] else None
        if kind in _TRIADS:
            tones = {(lowest + step) % 12 for step in _TRIADS[kind]}
            lowest = lowest if slash is None else slash
            return frozenset(tones | {lowest}), lowest
    # It brings scipy: estimated chords, which are triads, are read in a tenth of the time.
    import mir_eval.chord

    try:
        root, bitmap, bass = mir_eval.chord.encode(label)
    except mir_eval.chord.InvalidChordException as error:
        raise ValueError(name) from error
    lowest = int(root + bass) % 12 if slash is None else slash
    tones = {int(root + step) % 12 for step in range(12) if bitmap[step] > 0}
    return frozenset(tones | {lowest}), lowest


def pitch_class(letter: str, accidentals: str) -> int:
    """The pitch class, 0 to 11, of a letter and its sharps or flats."""
    return (_LETTERS[letter] + accidentals.count("#") - accidentals.count("b")) % 12


def parse_text(text: str) -> list[Bar]:
    """The bars of a text: `C | G/B | |: Am7 | F:2 G:2 :|x3`.

    `|` or a new line ends a bar, `%` repeats the bar before, and `|:` and `:|` enclose bars that
    are played twice, or three times with `:|x3`. Chords share a bar equally, unless a number gives
    their beats.

    Raises:
      InputError: A word is not a chord; the message says where it is.
    """
    bars: list[Bar] = []
    bar: Bar = []
    repeat_from = 0
    opened: re.Match[str] | None = None

    def wrong(token: re.Match[str]) -> InputError:
        return InputError(
            f"the chords have {token[0]!r} in bar {len(bars) + 1}, character {token.start() + 1}, "
            f"which is not a chord; {_REMEDY}"
        )

    for token in itertools.chain(_TOKEN.finditer(text), [None]):
        word = token[0] if token else "|"
        if word in ("|", "\n") or "|:" in word or ":|" in word:
            if bar:
                bars.append(bar)
                bar = []
            if token and word == "|:":
                repeat_from, opened = len(bars), token
            elif word.startswith(":|"):
                times = min(int(word[3:] or 2), _MOST_REPEATS)
                bars += bars[repeat_from:] * (times - 1)
                repeat_from, opened = len(bars), None
        elif token and word == "%":
            if not bars or bar:
                raise wrong(token)
            bars.append(bars[-1])
        elif token:
            lasting = _WITH_BEATS.fullmatch(word)
            name = lasting[1] if lasting else word
            try:
                parse_chord(name)
            except ValueError:
                raise wrong(token) from None
            bar.append((name, float(lasting[2]) if lasting else None))
    if opened:
        raise InputError(
            f"the chords begin a repeat with '|:' at character {opened.start() + 1} and do not end "
            "it; add ':|'"
        )
    if not bars:
        raise InputError(f"the chords are empty; {_REMEDY}")
    return bars


def on_grid(bars: Sequence[Bar], grid: Grid) -> list[Chord]:
    """Chords of bars, from the grid's first bar on.

    Raises:
      InputError: A bar's beats are not those of the grid.
    """
    chords = []
    for number, bar in enumerate(bars):
        first, last = grid.bar_beats(number)
        named = [beats for _, beats in bar if beats is not None]
        rest = (last - first) - sum(named)
        unnamed = len(bar) - len(named)
        if rest < -1e-6 or (unnamed and rest <= 0.0) or (not unnamed and rest > 1e-6):
            raise InputError(
                f"the chords of bar {number + 1} last {sum(named):g} beats and the bar "
                f"{last - first:g}; correct their numbers or the meter"
            )
        at = float(first)
        for name, beats in bar:
            end = at + (rest / unnamed if beats is None else beats)
            chords.append(_chord(grid.seconds(at), grid.seconds(end), name))
            at = end
    return chords


def segments(rows: Sequence[tuple[float, float, str]], name: str = "the chords") -> list[Chord]:
    """Chords of (start seconds, end seconds, name).

    Raises:
      InputError: One is not a chord, ends before it begins, or overlaps the one before.
    """
    chords: list[Chord] = []
    try:
        rows = [(start, end, written) for start, end, written in rows]
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {str(rows)[:40]} are none; {_REMEDY}") from error
    for number, (start, end, written) in enumerate(rows, 1):
        try:
            chords.append(_chord(float(start), float(end), written))
        except (TypeError, ValueError, AttributeError):
            raise InputError(
                f"{name}: number {number}, {written!r}, is not a chord; {_REMEDY}"
            ) from None
        before = chords[-2].end_seconds if number > 1 else 0.0
        if not before - 1e-3 <= start < end < float("inf"):
            raise InputError(
                f"{name}: {written!r} from {start:g} to {end:g} s overlaps what is before it or "
                "ends before it begins; correct its times"
            )
    if not chords:
        raise InputError(f"{name}: there are none; give some, or leave them out")
    return chords


def _chord(start_seconds: float, end_seconds: float, name: str) -> Chord:
    return Chord(start_seconds, end_seconds, name, *parse_chord(name))
