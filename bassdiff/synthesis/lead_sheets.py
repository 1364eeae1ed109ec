"""Lead sheets: human melody, piano and chords, completed with drums and a bass."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path

import numpy as np
import pretty_midi

from bassdiff.runtime.errors import InputError
from bassdiff.runtime.text_files import read_text
from bassdiff.synthesis.composing.arrangement import PROGRAMS, Section, band_events, rhythm_section
from bassdiff.synthesis.composing.harmony import SCALES
from bassdiff.synthesis.composing.meter import (
    FOUR_FOUR,
    SIX_EIGHT,
    Bar,
    Grid,
    Harmony,
    Meter,
    to_chords,
    to_part,
)
from bassdiff.synthesis.composing.styles import STYLES, Style
from bassdiff.synthesis.midi import parse_midi
from bassdiff.synthesis.score import QUALITIES, Note, Part, Song

SECTION_BARS = 8
# The piano's left hand doubles the bass; half of the songs drop it.
PIANO_LOWEST_PITCH = 48
# Bars move only where the left hand contradicts them so clearly; half bars are left alone.
LEAST_ON_NEW_BEAT, NEW_TO_OLD = 0.5, 2.0
EXTRA_STEMS = {"pads": 0.35, "guitar": 0.3, "arpeggio": 0.2, "strings": 0.15}
NOTE_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def read_lead_sheet(folder: str | Path, seed: int = 0) -> Song:
    """Reads a song laid out as in POP909 (arXiv 2008.07142) and arranges it.

    The folder holds a MIDI file with tracks MELODY, PIANO and perhaps BRIDGE,
    `chord_midi.txt` (start, end, label such as `F:maj/5`) and `beat_midi.txt` (time, and
    whether a half bar and a bar begin there). The bass follows the chords' bass notes. In about
    one song of six the annotated bars begin a beat before the piano's: they follow the piano.

    Args:
      folder: The song's folder.
      seed: Decides style, drums, bass and instruments together with the folder's name.

    Returns:
      The song, named after the folder, with its chords.

    Raises:
      InputError: If a file is missing or cannot be parsed.
    """
    folder = Path(folder)
    rng = np.random.default_rng([seed, zlib.crc32(folder.name.encode(errors="surrogatepass"))])
    score = parse_midi(_midi_file(folder))
    beats, bar_starts, meter = _read_beats(folder / "beat_midi.txt")
    bar_starts = _follow_left_hand(beats, bar_starts, score)
    chords = _read_chords(folder / "chord_midi.txt")
    grid = Grid(beats, meter.division)
    bars = _bars(chords, beats, bar_starts, meter)
    if not any(bar.changes for bar in bars):
        raise InputError(f"{folder}: its chord annotation names no chord; check chord_midi.txt.")
    extras = frozenset(name for name, chance in EXTRA_STEMS.items() if rng.random() < chance)
    sections = _sections(bars, extras, rng)
    style = _style(meter, 60.0 / float(np.median(np.diff(beats))), rng)
    events = rhythm_section(sections, style, rng)
    for stem in sorted(extras):
        events[stem] = band_events(sections, stem, style, rng)
    programs = PROGRAMS | {"bass": (33,), "drums": (0,)}
    parts = _human_parts(folder, score, rng)
    parts += [
        to_part(played, grid, stem, int(rng.choice(programs[stem])), rng)
        for stem, played in events.items()
        if played
    ]
    return Song(folder.name, beats, beats[bar_starts], to_chords(bars, grid), tuple(parts))


def parse_harmony(label: str) -> Harmony | None:
    """Parses a chord label: `parse_harmony("F:maj/5")` is F major over C; "N" is None.

    The note after the slash is a degree of the major scale, such as "b3" for a minor third.

    Raises:
      ValueError: If the label is invalid.
    """
    if label == "N":
        return None
    name, _, rest = label.partition(":")
    quality, _, slash = rest.partition("/")
    if name[:1] not in NOTE_NAMES or quality not in QUALITIES:
        raise ValueError(label)
    root = (NOTE_NAMES[name[0]] + name.count("#") - name[1:].count("b")) % 12
    bass = root
    if slash:
        degree = SCALES["major"][int(slash.lstrip("b#")) - 1]
        bass = (root + degree + slash.count("#") - slash.count("b")) % 12
    return Harmony(root, quality, bass)


def _midi_file(folder: Path) -> Path:
    files = sorted(folder.glob("*.mid")) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder}: no MIDI file of a lead sheet is there; check the path.")
    return files[0]


def _read_rows(path: Path, columns: int) -> list[list[str]]:
    if not path.is_file():
        raise InputError(f"{path}: the lead sheet lacks this file; add it.")
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if not rows or any(len(row) < columns for row in rows):
        raise InputError(f"{path}: each line needs {columns} columns; check the file.")
    return rows


def _read_beats(path: Path) -> tuple[np.ndarray, np.ndarray, Meter]:
    """Beat times, the indices of the beats that begin bars, and the metre."""
    rows = _read_rows(path, 3)
    try:
        table = np.array([[float(cell) for cell in row[:3]] for row in rows])
    except ValueError as error:
        raise InputError(f"{path}: not a table of numbers; check the file.") from error
    downbeats = np.flatnonzero(table[:, 2] == 1.0)
    if len(downbeats) < 2 or np.any(np.diff(table[:, 0]) <= 0.0):
        raise InputError(f"{path}: times must grow and mark at least two bars; check the file.")
    meter = FOUR_FOUR
    if np.median(np.diff(downbeats)) == 6:
        # Six quick beats per bar are felt as two, which the second column marks.
        meter = SIX_EIGHT
        table = table[(table[:, 1] == 1.0) | (table[:, 2] == 1.0)]
        downbeats = np.flatnonzero(table[:, 2] == 1.0)
    return table[:, 0], downbeats, meter


def _follow_left_hand(
    beats: np.ndarray, bar_starts: np.ndarray, score: pretty_midi.PrettyMIDI
) -> np.ndarray:
    """The beats that begin bars, moved to where the piano's low notes begin.

    A left hand that plays on the second beat of every bar and never on the first is on a first
    beat that was annotated a beat early.
    """
    num_beats = int(np.median(np.diff(bar_starts)))
    # Each beat's number in its bar.
    bar = np.maximum(np.searchsorted(bar_starts, np.arange(len(beats)), side="right") - 1, 0)
    place = np.arange(len(beats)) - bar_starts[bar]
    sounding = np.zeros(num_beats)
    for track in score.instruments:
        for note in track.notes if track.name.strip().upper() == "PIANO" else ():
            at = place[int(np.abs(beats - note.start).argmin())]
            if note.pitch < PIANO_LOWEST_PITCH and 0 <= at < num_beats:
                sounding[at] += note.end - note.start
    late = int(sounding.argmax())
    if sounding[late] < max(LEAST_ON_NEW_BEAT * sounding.sum(), NEW_TO_OLD * sounding[0]):
        return bar_starts
    moved = bar_starts + late
    return moved[moved < len(beats)]


def _read_chords(path: Path) -> list[tuple[float, float, Harmony | None]]:
    chords = []
    for row in _read_rows(path, 3):
        try:
            chords.append((float(row[0]), float(row[1]), parse_harmony(row[2])))
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{path}: {' '.join(row)!r} is not a start, end and chord; correct the line."
            ) from error
    return chords


def _bars(
    chords: list[tuple[float, float, Harmony | None]],
    beats: np.ndarray,
    bar_starts: np.ndarray,
    meter: Meter,
) -> list[Bar]:
    edges = [*bar_starts.tolist(), len(beats) - 1]
    starts = np.array([start for start, _, _ in chords])
    # A chord begins at the beat nearest to its annotation.
    on_beat = np.abs(starts[:, None] - beats).argmin(axis=1)
    scale = _scale(chords)
    changes = []
    for first, end in itertools.pairwise(edges):
        sounding = np.flatnonzero(on_beat <= first)
        current = {0: chords[sounding[-1]][2]} if len(sounding) else {}
        for index in np.flatnonzero((on_beat > first) & (on_beat < end)):
            current[int(on_beat[index] - first) * meter.division] = chords[index][2]
        named = [(step, harmony) for step, harmony in current.items() if harmony is not None]
        # A bar's first chord counts from its beginning.
        changes.append(tuple([(0, named[0][1]), *named[1:]]) if named else ())
    firsts = [bar[0][1] if bar else None for bar in changes] + [None]
    return [
        Bar(
            start=edges[i] * meter.division,
            meter=Meter(edges[i + 1] - edges[i], meter.division),
            changes=changes[i],
            following=firsts[i + 1],
            place=i % SECTION_BARS,
            section_bars=min(SECTION_BARS, len(changes) - i // SECTION_BARS * SECTION_BARS),
            energy=0.7,
            scale=scale,
        )
        for i in range(len(changes))
        if edges[i + 1] > edges[i]
    ]


def _scale(chords: list[tuple[float, float, Harmony | None]]) -> tuple[int, ...]:
    """The major or natural minor scale that most of the harmony lies in, tonic first."""
    tones, roots = np.zeros(12), np.zeros(12)
    for start, end, harmony in chords:
        if harmony is not None:
            roots[harmony.root] += end - start
            tones[list(harmony.tones)] += end - start
    major = np.array(SCALES["major"])
    tonic = int(np.argmax([tones[(key + major) % 12].sum() for key in range(12)]))
    relative = (tonic + 9) % 12
    if roots[relative] > roots[tonic]:
        return tuple((relative + degree) % 12 for degree in SCALES["minor"])
    return tuple((tonic + degree) % 12 for degree in SCALES["major"])


def _sections(bars: list[Bar], extras: frozenset[str], rng: np.random.Generator) -> list[Section]:
    """Sections of eight bars, with two alternating patterns of drums and bass; either may rest."""
    sections = []
    for number, first in enumerate(range(0, len(bars), SECTION_BARS)):
        stems = {stem for stem in sorted(extras) if rng.random() < 0.7}
        stems |= {stem for stem in ("drums", "bass") if rng.random() < 0.9}
        block = tuple(bars[first : first + SECTION_BARS])
        sections.append(Section("ab"[number // 2 % 2], block, frozenset(stems)))
    return sections


def _style(meter: Meter, tempo_bpm: float, rng: np.random.Generator) -> Style:
    """Draws a style of the metre that suits the tempo."""
    names = [name for name, style in STYLES.items() if style.meter == meter]
    fitting = [n for n in names if STYLES[n].tempo_bpm[0] <= tempo_bpm <= STYLES[n].tempo_bpm[1]]
    return STYLES[str(rng.choice(fitting or names))]


def _human_parts(
    folder: Path, score: pretty_midi.PrettyMIDI, rng: np.random.Generator
) -> list[Part]:
    programs = {
        "MELODY": ("melody", PROGRAMS["melody"]),
        "BRIDGE": ("counter", PROGRAMS["melody"] + PROGRAMS["strings"]),
        "PIANO": ("keys", (0, 0, 0, 1, 2, 4, 5)),
    }
    drop_left_hand = rng.random() < 0.5
    parts = []
    for track in score.instruments:
        name = track.name.strip().upper()
        if name not in programs or not track.notes:
            continue
        stem, choices = programs[name]
        notes = [Note(float(n.start), float(n.end), int(n.pitch), n.velocity) for n in track.notes]
        right_hand = [note for note in notes if note.pitch >= PIANO_LOWEST_PITCH]
        if stem == "keys" and drop_left_hand and right_hand:
            notes = right_hand
        parts.append(Part(stem, int(rng.choice(choices)), False, tuple(sorted(notes))))
    if not parts:
        raise InputError(
            f"{folder}: its MIDI file needs a track MELODY, BRIDGE or PIANO; name one so."
        )
    return parts
