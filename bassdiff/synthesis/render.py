"""Renders a song to stems through a SoundFont, with a varied sound for each stem."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from pathlib import Path

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.runtime.errors import UnusableSong
from bassdiff.synthesis import soundfont as sf
from bassdiff.synthesis import synth, variety
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.humanise import loosened
from bassdiff.synthesis.score import Part, Song
from bassdiff.synthesis.stems import Stems

# Loudness of each stem while it plays, in dB of full scale before the mix is normalised.
LEVELS_DB = {"bass": -19.0, "drums": -18.0, "melody": -20.0, "keys": -22.0, "guitar": -22.0}
OTHER_LEVEL_DB = -24.0
MIX_PEAK = 0.9
TAIL_SECONDS = 1.0
SILENCE_DB = -90.0


def render(
    song: Song,
    soundfont: str | Path | None = None,
    seed: int = 0,
    transpose: int = 0,
    vary: bool = True,
    start_seconds: float = 0.0,
    max_seconds: float | None = None,
    feel: bool = False,
) -> Stems:
    """Renders a song to stems of equal length.

    Args:
      song: The song.
      soundfont: An .sf2 file; the one in `pretty_midi` if None.
      seed: Decides everything random together with the song's name.
      transpose: Semitones for all parts except drums.
      vary: Whether programs, levels and effects are random; otherwise the song's own programs play
        without effects.
      start_seconds: Start within the song.
      max_seconds: Longest result; None for the whole song.
      feel: Whether the players drift; see `loosened`.

    Returns:
      Stems at 44100 Hz whose mix, with the bass, peaks at 0.9.

    Raises:
      InputError: If the SoundFont cannot be read, or the bass or everything else is silent in the
        excerpt.
    """
    font = sf.default_soundfont() if soundfont is None else Path(soundfont)
    rng = np.random.default_rng([seed, zlib.crc32(song.name.encode(errors="surrogatepass"))])
    if feel:
        song = loosened(song, rng)
    end = song.end_seconds + TAIL_SECONDS
    if max_seconds is not None:
        end = min(end, start_seconds + max_seconds)
    excerpt = cut(song.transposed(transpose), start_seconds, end)
    num_samples = round((end - start_seconds) * SAMPLE_RATE_HZ)
    audio = {}
    for name, samples in _play(excerpt, font, num_samples, rng if vary else None):
        if vary:
            samples = variety.dressed(samples, name, rng)
        level = active_level_db(samples)
        if level > SILENCE_DB:
            target = LEVELS_DB.get(name, OTHER_LEVEL_DB)
            target += variety.level_change_db(rng) if vary else 0.0
            audio[name] = samples * np.float32(10.0 ** ((target - level) / 20.0))
    if "bass" not in audio or len(audio) < 2:
        missing = "everything else" if "bass" in audio else "the bass"
        raise UnusableSong(f"{song.name}: {missing} is silent there; choose another excerpt.")
    total = functools.reduce(np.add, audio.values())
    scale = np.float32(MIX_PEAK / max(peak(total), *map(peak, audio.values())))
    audio = {name: samples * scale for name, samples in audio.items()}
    known = Annotation(tuple(song.beat_seconds.tolist()), song.chords).transposed(transpose)
    return Stems(
        song.name,
        audio.pop("bass"),
        audio,
        SAMPLE_RATE_HZ,
        known.cut(start_seconds, start_seconds + num_samples / SAMPLE_RATE_HZ),
    )


def _play(
    song: Song, font: Path, num_samples: int, rng: np.random.Generator | None
) -> list[tuple[str, np.ndarray]]:
    """Every stem dry; with `rng`, on instruments it draws."""
    stems = {name: song.stem(name) for name in song.stem_names}
    timbre = None
    if rng is not None:
        stems = {name: variety.substituted(parts, rng) for name, parts in stems.items()}
        timbre = variety.bass_timbre(rng)
    if timbre is None:
        return list(zip(stems, sf.play(list(stems.values()), font, num_samples), strict=True))
    bass = synth.play_voice(stems.pop("bass"), timbre, num_samples)
    others = zip(stems, sf.play(list(stems.values()), font, num_samples), strict=True)
    return [("bass", bass), *others]


def cut(song: Song, start_seconds: float, end_seconds: float) -> Song:
    """The notes between two times, with `start_seconds` as the new origin."""

    def cut_part(part: Part) -> Part:
        notes = tuple(
            n._replace(
                start_seconds=max(n.start_seconds - start_seconds, 0.0),
                end_seconds=min(n.end_seconds, end_seconds) - start_seconds,
            )
            for n in part.notes
            if n.end_seconds > start_seconds and n.start_seconds < end_seconds
        )
        bends = tuple(
            b._replace(start_seconds=max(b.start_seconds - start_seconds, 0.0)) for b in part.bends
        )
        return dataclasses.replace(part, notes=notes, bends=bends)

    return dataclasses.replace(song, parts=tuple(cut_part(part) for part in song.parts))


def active_level_db(samples: np.ndarray) -> float:
    """Root mean square in dB over the 50 ms blocks within 30 dB of the loudest; -inf if none."""
    block = SAMPLE_RATE_HZ // 20
    blocks = samples[: len(samples) // block * block].reshape(-1, block)
    power = np.einsum("ij,ij->i", blocks, blocks) / block
    if not power.size or power.max() <= 0.0:
        return -np.inf
    return float(10.0 * np.log10(power[power > power.max() * 1e-3].mean()))


def peak(samples: np.ndarray) -> float:
    """The largest magnitude."""
    return float(max(samples.max(), -samples.min()))
