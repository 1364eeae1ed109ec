"""Composes songs at random, reproducibly by index."""

from __future__ import annotations

import numpy as np

from bassdiff.synthesis.composing import harmony
from bassdiff.synthesis.composing.arrangement import PROGRAMS, Section, band_events, rhythm_section
from bassdiff.synthesis.composing.meter import Bar, Grid, Harmony, to_chords, to_part
from bassdiff.synthesis.composing.styles import STYLES, Style
from bassdiff.synthesis.score import Song

FORMS = (
    "intro verse chorus verse chorus bridge chorus",
    "intro verse verse chorus verse chorus",
    "verse chorus verse chorus bridge chorus",
    "intro chorus verse chorus bridge verse chorus",
    "verse verse bridge verse",
    "intro verse bridge chorus verse chorus",
)
ENERGY = {"intro": 0.4, "verse": 0.65, "chorus": 1.0, "bridge": 0.55}
# How often a stem plays in a section.
PRESENCE = {
    "intro": {"drums": 0.6, "bass": 0.45, "melody": 0.2},
    "verse": {"drums": 0.93, "bass": 0.95, "melody": 0.85},
    "chorus": {"drums": 1.0, "bass": 1.0, "melody": 0.9},
    "bridge": {"drums": 0.6, "bass": 0.85, "melody": 0.5},
}
OTHER_PRESENCE = {"intro": 0.6, "verse": 0.65, "chorus": 0.9, "bridge": 0.6}
# How many stems join drums and bass, and how likely each one is asked.
BAND_SIZES = (2, 3, 3, 4, 4, 5)
BAND_WEIGHTS = {
    "keys": 3.0,
    "melody": 4.0,
    "guitar": 2.0,
    "pads": 2.0,
    "arpeggio": 1.5,
    "strings": 1.0,
}
POWER_STYLES = frozenset({"rock", "metal", "three rock"})
HARMONIC = frozenset({"keys", "guitar", "pads", "arpeggio", "power"})


def compose(
    index: int,
    seed: int = 0,
    duration_seconds: float = 60.0,
    style: str | None = None,
    idiom: str | None = None,
) -> Song:
    """Makes up a song.

    Args:
      index: Number of the song, 0 or more.
      seed: Seed of the series.
      duration_seconds: Least length; the song ends with a section.
      style: A name in `styles.STYLES`; random if None.
      idiom: A bass idiom in `basslines.IDIOMS` for all sections; random if None.

    Returns:
      The song with its chords annotated; the same for the same arguments.
    """
    rng = np.random.default_rng([seed, index])
    drawn = str(rng.choice(sorted(STYLES)))
    style_name = style or drawn
    chosen = STYLES[style_name]
    tempo_bpm = float(rng.uniform(*chosen.tempo_bpm))
    sections = _form(chosen, _players(style_name, rng), tempo_bpm, duration_seconds, rng)
    num_beats = sum(len(section.bars) for section in sections) * chosen.meter.beats
    swings = chosen.meter.division == 4 and rng.random() < chosen.swing
    grid = Grid(
        beat_seconds=_beats(num_beats, tempo_bpm, rng),
        division=chosen.meter.division,
        swing=float(rng.uniform(0.4, 1.0)) if swings else 0.0,
        swing_sixteenths=tempo_bpm < 110.0,
    )
    events = rhythm_section(sections, chosen, rng, () if idiom is None else (idiom,))
    stems = sorted(set().union(*(section.stems for section in sections)) - {"drums", "bass"})
    for stem in stems:
        events[stem] = band_events(sections, stem, chosen, rng)
    looseness_seconds = float(rng.choice([0.0, 0.004, 0.009]))
    parts = []
    for stem, played in events.items():
        program = 33 if stem == "bass" else 0 if stem == "drums" else rng.choice(PROGRAMS[stem])
        name = "guitar" if stem == "power" else stem
        if played:
            parts.append(to_part(played, grid, name, int(program), rng, looseness_seconds))
    bars = [bar for section in sections for bar in section.bars]
    return Song(
        name=f"composed-{seed}-{index}",
        beat_seconds=grid.beat_seconds,
        bar_seconds=grid.beat_seconds[: -1 : chosen.meter.beats],
        chords=to_chords(bars, grid),
        parts=tuple(parts),
    )


def _players(style_name: str, rng: np.random.Generator) -> frozenset[str]:
    size = int(rng.choice(BAND_SIZES))
    names = list(BAND_WEIGHTS)
    weights = np.array(list(BAND_WEIGHTS.values()))
    chosen = {str(n) for n in rng.choice(names, size, replace=False, p=weights / weights.sum())}
    if style_name in POWER_STYLES and rng.random() < 0.75:
        chosen = (chosen - {"guitar"}) | {"power"}
    if not chosen & HARMONIC:
        chosen.add("keys")
    return frozenset({"drums", "bass"} | chosen)


def _form(
    style: Style,
    players: frozenset[str],
    tempo_bpm: float,
    duration_seconds: float,
    rng: np.random.Generator,
) -> list[Section]:
    """Sections of the song; those of one label share their chords."""
    weights = np.array(list(harmony.MODE_WEIGHTS.values()), float)
    mode = str(rng.choice(list(harmony.MODE_WEIGHTS), p=weights / weights.sum()))
    tonic = int(rng.integers(12))
    scale = tuple((tonic + degree) % 12 for degree in harmony.SCALES[mode])
    bar_seconds = style.meter.beats * 60.0 / tempo_bpm
    progressions: dict[str, list[list[Harmony]]] = {}
    plan: list[tuple[str, list[list[Harmony]], frozenset[str]]] = []
    labels = str(rng.choice(FORMS)).split()
    while sum(len(chords) for _, chords, _ in plan) * bar_seconds < duration_seconds:
        label = labels[len(plan) % len(labels)]
        if label not in progressions:
            shared = bool(progressions) and rng.random() < 0.3
            progressions[label] = (
                progressions[str(rng.choice(list(progressions)))]
                if shared
                else harmony.progression(mode, tonic, rng)
            )
        cycle = progressions[label]
        length = 4 if label == "intro" or bar_seconds > 3.0 else 8
        length = max(len(cycle), length // len(cycle) * len(cycle))
        chords = (cycle * length)[:length]
        plan.append((label, chords, _sounding(label, players, rng)))
    if not any("bass" in stems for _, _, stems in plan):
        plan = [(label, chords, stems | {"bass"}) for label, chords, stems in plan]
    return _numbered(plan, style, scale)


def _sounding(label: str, players: frozenset[str], rng: np.random.Generator) -> frozenset[str]:
    """Who plays in a section: someone with chords always does."""
    stems = {
        stem
        for stem in sorted(players)
        if rng.random() < PRESENCE[label].get(stem, OTHER_PRESENCE[label])
    }
    if not stems & HARMONIC:
        stems.add(sorted(players & HARMONIC)[0])
    return frozenset(stems)


def _numbered(
    plan: list[tuple[str, list[list[Harmony]], frozenset[str]]],
    style: Style,
    scale: tuple[int, ...],
) -> list[Section]:
    flat = [chords for _, section, _ in plan for chords in section]
    sections, number = [], 0
    for label, section, stems in plan:
        bars = []
        for place, chords in enumerate(section):
            share = style.meter.steps // len(chords)
            following = flat[number + 1][0] if number + 1 < len(flat) else None
            bars.append(
                Bar(
                    start=number * style.meter.steps,
                    meter=style.meter,
                    changes=tuple((i * share, chord) for i, chord in enumerate(chords)),
                    following=following,
                    place=place,
                    section_bars=len(section),
                    energy=ENERGY[label],
                    scale=scale,
                )
            )
            number += 1
        sections.append(Section(label, tuple(bars), stems))
    return sections


def _beats(num_beats: int, tempo_bpm: float, rng: np.random.Generator) -> np.ndarray:
    """Times of `num_beats + 1` beats: steady in half of the songs, else drifting a little."""
    drift = np.zeros(num_beats)
    if rng.random() < 0.5:
        drift = np.cumsum(rng.normal(0.0, 0.002, num_beats))
    seconds = 60.0 / tempo_bpm * (1.0 + np.clip(drift, -0.04, 0.04))
    return np.concatenate([[0.0], np.cumsum(seconds)])
