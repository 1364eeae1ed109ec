"""Plays what the page asks for: from the values of its form to takes in a session."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bassdiff.app.jobs import Job
from bassdiff.app.sessions import Session
from bassdiff.app.takes import Song, Take
from bassdiff.audio.io import read_mono
from bassdiff.diffusion.settings import Sampling, setting_fields
from bassdiff.inference import inputs
from bassdiff.inference.chord_files import has_bars
from bassdiff.inference.control import Control
from bassdiff.inference.inputs import Draft, Style
from bassdiff.inference.outputs import name_outputs
from bassdiff.inference.performance import perform
from bassdiff.inference.picture import save_spectrogram
from bassdiff.inference.region import check_region, is_in_bars, region_seconds
from bassdiff.inference.tempo import HEARD, given_grid
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.midi import parse_midi

if TYPE_CHECKING:
    from bassdiff.inference.generator import BassGenerator

MOST_VARIATIONS = 4
MOST_LETTERS = 4000
_TIMES = re.compile(r"\s*[\d.]+\s+[\d.]+\s+\S+\s*")
# By what is asked for: the option of `bassdiff generate`, and how a take is described.
KINDS = {
    "new": ("", "from nothing"),
    "edit": ("edit", "take {take} with {region} played again"),
    "continue": ("continuing", "take {take} continued from {region}"),
    "vary": ("vary", "take {take} varied by {strength:g}"),
    "retimbre": ("retimbre", "take {take} in another sound"),
}
# Where a form's texts and numbers go in `Control`, which are options of `bassdiff generate` too.
_TEXTS = ("key", "meter", "avoid_below", "avoid_above")
_OFF_AT_0 = ("quantise", "gain_db", "first_beat_seconds")
_NUMBERS = ("first_beat_seconds", "tuning_cents", "quantise", "bass_lufs", "gain_db")


@dataclasses.dataclass(frozen=True)
class Wish:
    """A checked request: arguments of `perform`, and how its takes are described."""

    song: Song
    draft: Draft | None
    styles: list[Style]
    control: Control
    seed: int
    variations: int
    overrides: dict[str, Any]
    words: dict[str, Any]
    label: str
    parents: tuple[Path, ...]
    lab: str

    @property
    def region_seconds(self) -> tuple[float, float] | None:
        """What is played again, if it is a part."""
        if self.draft is None or self.draft.free_seconds is None:
            return None
        start, end = self.draft.free_seconds
        return (start or 0.0), min(end, self.song.seconds)


def wish_of(session: Session, kind: str, form: Mapping[str, Any], defaults: Sampling) -> Wish:
    """Checks the values of the form.

    Args:
      session: The user's.
      kind: One of `KINDS`.
      form: Values by name: of settings, of `Control`, and `follow_chords`, `region`, `strength`,
        `seed`, `variations`.
      defaults: The settings of the weights.

    Raises:
      InputError: One of them cannot be used.
    """
    song = session.the_song()
    texts = [value for value in form.values() if isinstance(value, str)]
    if any(len(text) > MOST_LETTERS for text in texts):
        raise InputError(f"a text is longer than {MOST_LETTERS} letters; shorten it")
    control, words, lab = _control(session, form)
    seed = _whole(form.get("seed"), "the seed", 2**32 - 1, 0)
    variations = _whole(form.get("variations"), "the number of variations", MOST_VARIATIONS, 1)
    inputs.check_seed(seed + variations - 1)
    overrides = {
        field.name: int(form[field.name]) if field.type == "int" else form[field.name]
        for field in setting_fields()
        if form.get(field.name) is not None and form[field.name] != getattr(defaults, field.name)
    }
    defaults.changed(**overrides)
    draft, draft_words, label = _draft(session, song, kind, form)
    styles = [Style(session.style)] if session.style else []
    if styles:
        words["style"] = [session.style.name] if session.style else []
    if kind == "retimbre" and not styles:
        raise InputError("another sound needs a bass to take it from; give a reference of sound")
    parents = [draft.bass] if draft else []
    files = [*parents, session.style, *control.files()]
    return Wish(
        song,
        draft,
        styles,
        control,
        seed,
        variations,
        overrides,
        {"mix": song.path.name, **words, **draft_words, **overrides},
        label,
        tuple(Path(file) for file in files if isinstance(file, Path)),
        lab,
    )


def play(
    session: Session, wish: Wish, generator: BassGenerator, weights: Mapping[str, str], job: Job
) -> str:
    """Plays takes one by one, and adds each to the session.

    Args:
      session: The user's.
      wish: What to play.
      generator: What plays.
      weights: The options that name it.
      job: Reported to, and asked whether to end.

    Returns:
      Warnings, in sentences.

    Raises:
      InputError: Something that was given cannot be used.
      Cancelled: The job was cancelled; takes that are finished stay.
    """
    said: list[str] = []
    for number in range(wish.variations):
        nth = f" {number + 1} of {wish.variations}" if wish.variations > 1 else ""

        def show(stage: str, done: int, total: int, nth: str = nth) -> None:
            if stage == "playing":
                job.report(f"playing{nth}", done, total)
            else:
                job.report(stage)

        folder = session.new_folder("job")
        try:
            job.report("listening")
            said += _play_one(session, wish, number, generator, weights, folder, show)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return " ".join(dict.fromkeys(said))


def _play_one(
    session: Session,
    wish: Wish,
    number: int,
    generator: BassGenerator,
    weights: Mapping[str, str],
    folder: Path,
    show: Any,
) -> list[str]:
    song, seed = wish.song, wish.seed + number
    take_number = session.number()
    name = f"{song.path.stem}-bass-{take_number}.wav"
    outputs = name_outputs(folder / name, None, True, 1, midi=True)
    control, words, parents = wish.control, wish.words, wish.parents
    lab = (folder / name).with_suffix(".lab")
    if wish.lab:
        lab.write_text(wish.lab, encoding="utf-8")
        control = dataclasses.replace(control, chords=lab)
        words = {**words, "chords": lab.name}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        perform(
            song.path,
            outputs,
            weights["weights"],
            None,
            wish.styles,
            wish.draft,
            control,
            seed,
            wish.overrides,
            {**weights, **words},
            generator=generator,
            progress=show,
            name_of=lambda path: path.name,
        )
    show("drawing", 0, 0)
    bass = outputs[0].bass
    samples = read_mono(bass, song.sample_rate_hz)
    save_spectrogram(samples, song.sample_rate_hz, bass.with_suffix(".spectrogram.png"), True)
    played = [
        (note.start, note.end, note.pitch)
        for track in parse_midi(bass.with_suffix(".mid")).instruments
        for note in track.notes
    ]
    with session.lock:
        if session.song is not song:
            raise InputError("another song was opened meanwhile; generate a bass to it")
        home = folder.rename(folder.with_name(folder.name.replace("job-", "take-", 1)))
        take = Take(
            take_number,
            f"{wish.label}, seed {seed}",
            seed,
            home / name,
            played,
            wish.region_seconds,
            (*parents, home / lab.name) if wish.lab else parents,
        )
        session.add(take)
    messages = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    return [f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in messages]


def _control(session: Session, form: Mapping[str, Any]) -> tuple[Control, dict[str, Any], str]:
    """The choices of the form, the same as options, and chords with times as lines of a file."""
    lab = ""
    words: dict[str, Any] = {}
    for name in _TEXTS:
        if text := str(form.get(name) or "").strip():
            words[name] = text
    for name in _NUMBERS:
        value = form.get(name)
        if value in (None, "") or (name in _OFF_AT_0 and not value):
            continue
        words[name] = _number(name.replace("_", " "), value)
    if bpm := str(form.get("bpm") or "").strip():
        words["bpm"] = HEARD if bpm.lower() == HEARD else _number("the tempo", bpm)
    given: dict[str, Any] = dict(words)
    chords = str(form.get("chords") or "").strip()
    if form.get("follow_chords") and chords:
        if all(_TIMES.fullmatch(line) for line in chords.splitlines() if line.strip()):
            lab = chords + "\n"
            rows = (line.split() for line in chords.splitlines() if line.strip())
            given["chords"] = [(float(start), float(end), name) for start, end, name in rows]
        elif has_bars(chords):
            given["chords"] = words["chords"] = chords
            if "bpm" not in words:
                given["bpm"] = words["bpm"] = HEARD
        else:
            raise InputError("the chords are the name of a file; write chords, as C | G/B | Am7")
    if "quantise" in words and "bpm" not in words:
        given["bpm"] = words["bpm"] = HEARD
    if session.notes:
        given["notes"], words["notes"] = session.notes, session.notes.name
    return Control(**given), words, lab


def _draft(
    session: Session, song: Song, kind: str, form: Mapping[str, Any]
) -> tuple[Draft | None, dict[str, Any], str]:
    """The bass to start from, the same as options, and how the take is described."""
    if kind not in KINDS:
        raise InputError(f"unknown kind of take {kind!r}; choose among {', '.join(KINDS)}")
    option, label = KINDS[kind]
    if kind == "new":
        return None, {}, label
    take = session.take()
    words: dict[str, Any] = {option: take.bass.name}
    strength = form.get("strength")
    if kind in ("vary", "retimbre"):
        if not isinstance(strength, (int, float)):
            raise InputError(f"the strength is {strength!r}; choose a value from 0 to 1")
        words["strength"] = float(strength)
        make = inputs.variation if kind == "vary" else inputs.retimbre
        label = label.format(take=take.number, strength=strength)
        return make(take.bass, float(strength)), words, label
    region = str(form.get("region") or "").strip()
    if not region:
        raise InputError("no part is chosen; drag over the waveform, or write it, as 12.5:20")
    check_region(region)
    grid = song.grid
    if form.get("bpm") and str(form["bpm"]).strip().lower() != HEARD:
        first = form.get("first_beat_seconds") or 0.0
        grid = given_grid(_number("the tempo", form["bpm"]), first, form.get("meter") or None)
    if is_in_bars(region) and grid is None:
        raise InputError(f"{region} needs a tempo; give the tempo, or seconds")
    start, end = region_seconds(region, grid)
    # In seconds, as in the record, so that it means the same without the tempo.
    start, end = round(start, 3), round(end, 3)
    if kind == "continue":
        end = math.inf
    words["region"] = f"{start:g}:" + ("" if math.isinf(end) else f"{end:g}")
    draft = inputs.edit(take.bass, start, end)
    draft.check_fits(song.seconds)
    shown = f"{start:g} s" if math.isinf(end) else f"{start:g} to {end:g} s"
    return draft, words, label.format(take=take.number, region=shown)


def _number(name: str, text: Any) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} is {text!r}; write a number, such as 120")
    return value


def _whole(value: Any, name: str, most: int, least: int) -> int:
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    if not is_number or value != int(value) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}; choose a whole number from {least} to {most}")
    return int(value)
