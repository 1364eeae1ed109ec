"""Opens songs and basses: within limits, as browsers can play them, with what is heard in them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bassdiff.app.takes import Song
from bassdiff.audio.channels import to_mono
from bassdiff.audio.io import probe, read, write
from bassdiff.audio.resampling import resample
from bassdiff.audio.transcription import transcribe
from bassdiff.inference.analysis import listened
from bassdiff.inference.control import Control
from bassdiff.inference.grid import Grid
from bassdiff.inference.inputs import check_length
from bassdiff.inference.picture import save_spectrogram
from bassdiff.runtime.errors import InputError

_MOST_CHANNELS = 8
# Of a stereo song at this rate: more values are not music, but a small file that unpacks to them.
_MOST_RATE_HZ = 96_000
_BARS_PER_LINE = 4
# A codec or an editor adds a little at the end.
_LONGER_SECONDS = 0.1


def open_song(path: Path, max_minutes: float, report: Callable[[str], None]) -> Song:
    """Reads and hears a song.

    Args:
      path: The file, in a folder of its own, where the others are written.
      max_minutes: The longest song.
      report: Called with what is done; what it raises ends the work.

    Raises:
      InputError: It cannot be read, or is too long.
    """
    report("reading")
    samples, rate = read_within(path, max_minutes)
    check_length(path.name, len(samples), rate)
    seconds = len(samples) / rate
    wave = path.with_name("mix.player.wav")
    write(wave, samples, rate)
    save_spectrogram(samples.mean(axis=1), rate, wave.with_suffix(".png"), is_bass=False)
    report("listening")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        known, estimates = listened(Control(), samples, rate)
    grid = estimates.grid
    heard = []
    if grid is not None:
        heard.append(f"{grid.bpm:.0f} beats a minute, {grid.beats_per_bar} beats a bar.")
    if cents := round(known.tuning_cents or 0.0):
        heard.append(f"Tuned {abs(cents)} cents {'above' if cents > 0 else 'below'} A = 440 Hz.")
    heard += [f"{_sentence(str(one.message))}." for one in caught if _is_ours(one)]
    return Song(
        path,
        wave,
        rate,
        seconds,
        estimates.chords,
        grid,
        " ".join(heard),
        chord_text(estimates.chords, grid, seconds),
    )


def open_bass(
    path: Path, song: Song, max_minutes: float, report: Callable[[str], None]
) -> tuple[Path, list[tuple[float, float, float]]]:
    """Reads a bass that somebody has, as a take to start from.

    Args:
      path: The file, in a folder of its own, where the others are written.
      song: What it was played to.
      max_minutes: The longest.
      report: Called with what is done; what it raises ends the work.

    Returns:
      A wav file, mono, at the song's rate, with its spectrogram beside it; and its notes, as a
      take has them.

    Raises:
      InputError: It cannot be read, is silent, or is longer than the song.
    """
    report("reading")
    samples, rate = read_within(path, max_minutes)
    wave = resample(to_mono(samples), rate, song.sample_rate_hz)
    seconds = len(wave) / song.sample_rate_hz
    if seconds > song.seconds + _LONGER_SECONDS:
        raise InputError(
            f"{path.name} lasts {seconds:.1f} s and the song {song.seconds:.1f} s; cut it to the "
            "song"
        )
    if not np.any(wave):
        raise InputError(f"{path.name} has no sound; give a recording of a bass playing")
    report("listening")
    notes = [
        (note.start_seconds, note.end_seconds, float(round(note.pitch)))
        for note in transcribe(wave, song.sample_rate_hz)
    ]
    bass = path.with_name(f"{song.path.stem}-own-{path.stem.partition('-')[2]}.wav")
    write(bass, wave, song.sample_rate_hz)
    save_spectrogram(wave, song.sample_rate_hz, bass.with_suffix(".spectrogram.png"), True)
    return bass, notes


def read_within(path: Path, max_minutes: float) -> tuple[np.ndarray, int]:
    """Reads an audio file, unless it is longer than allowed; returns samples and their rate.

    Args:
      path: The file.
      max_minutes: The longest.

    Raises:
      InputError: It cannot be read or is too long. No more than the limit is unpacked.
    """
    info = probe(path)
    limit = round(max_minutes * 60.0 * info.sample_rate_hz)
    values = round(max_minutes * 60.0) * _MOST_RATE_HZ * 2
    if info.channels > _MOST_CHANNELS:
        raise InputError(f"{path.name} has {info.channels} channels; export it in stereo")
    limit = min(limit, values // info.channels)
    samples = read(path, max_samples=limit)
    if len(samples) > limit:
        raise InputError(
            f"{path.name} is longer than {max_minutes:g} minutes, which is as much as this page "
            "takes; cut it and play to the parts"
        )
    return samples, info.sample_rate_hz


def chord_text(chords: list[tuple[float, float, str]], grid: Grid | None, seconds: float) -> str:
    """Chords as text to edit: with bars where they are heard, else with times.

    Args:
      chords: (start seconds, end seconds, name).
      grid: When bars are.
      seconds: Length of the song.
    """
    if not chords:
        return ""
    if grid is None:
        return "\n".join(f"{start:.2f} {end:.2f} {name}" for start, end, name in chords)
    bars: list[str] = []
    while grid.bar_seconds(len(bars)) < seconds - 1e-3:
        first, last = grid.bar_beats(len(bars))
        bars.append(
            _bar([_chord_at(chords, grid.seconds(beat + 0.5)) for beat in range(first, last)])
        )
    lines = [bars[i : i + _BARS_PER_LINE] for i in range(0, len(bars), _BARS_PER_LINE)]
    return "\n".join(" | ".join(line) for line in lines)


def _chord_at(chords: list[tuple[float, float, str]], moment: float) -> str:
    return next((name for start, end, name in chords if start <= moment < end), "N")


def _bar(beats: list[str]) -> str:
    """A bar's chords, one for each beat, in the shortest way to write them."""
    runs: list[tuple[str, int]] = []
    for name in beats:
        runs.append((name, runs.pop()[1] + 1 if runs and runs[-1][0] == name else 1))
    if len({length for _, length in runs}) == 1:
        return " ".join(name for name, _ in runs)
    return " ".join(f"{name}:{length}" for name, length in runs)


def _is_ours(warning: warnings.WarningMessage) -> bool:
    return issubclass(warning.category, UserWarning)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")
