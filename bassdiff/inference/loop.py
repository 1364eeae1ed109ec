"""Loops: a mix that follows itself, and a bass whose end meets its beginning."""

from __future__ import annotations

import dataclasses

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.resampling import resample
from bassdiff.audio.tuning import at_speed
from bassdiff.inference import quantise
from bassdiff.inference.grid import Grid
from bassdiff.models.features import LATENT_HOP
from bassdiff.pretrained.codec import Codec

# More than codecs look at on either side.
_HALO_FRAMES = 32
# Tones meet in phase, and their noise does not: it is crossfaded.
_FADE_SECONDS = 0.02


def whole_frames(num_samples: int, sample_rate_hz: int, slower: float) -> tuple[int, float]:
    """The number of latent frames of a loop, and how many times as long it is to have them.

    A loop has a whole number of frames: it is heard up to half a frame longer or shorter than its
    tuning asks for, 5 cents in 8 s, and played as much faster or slower.

    Args:
      num_samples: Length of the loop.
      sample_rate_hz: Its rate.
      slower: How many times as long it is to be, for its tuning.
    """
    length = num_samples / sample_rate_hz * SAMPLE_RATE_HZ
    frames = max(1, round(length * slower / LATENT_HOP))
    return frames, frames * LATENT_HOP / length


def heard(given: np.ndarray, sample_rate_hz: int, frames: int, slower: float) -> np.ndarray:
    """A loop `[N]` as `[2048 frames]` at 44.1 kHz, `slower` times as long."""
    thrice = resample(at_speed(np.tile(given, 3), slower), sample_rate_hz, SAMPLE_RATE_HZ)
    length = frames * LATENT_HOP
    return np.pad(thrice, (0, max(0, 2 * length - len(thrice))))[length : 2 * length]


def played(wave: np.ndarray, sample_rate_hz: int, num_samples: int, slower: float) -> np.ndarray:
    """The inverse of `heard`: `[2048 frames]` to `[num_samples]`."""
    thrice = resample(np.tile(wave, 3), SAMPLE_RATE_HZ, sample_rate_hz)
    return at_speed(thrice, 1.0 / slower, 3 * num_samples)[num_samples : 2 * num_samples]


def with_margins(wave: np.ndarray) -> np.ndarray:
    """A loop `[2048 T]` as codecs are to hear it: with what is before and after when it repeats."""
    return _wrapped(wave, _HALO_FRAMES * LATENT_HOP)


def without_margins(latents: np.ndarray) -> np.ndarray:
    """The latents `[T, C]` of a loop, from those of `with_margins`."""
    return latents[_HALO_FRAMES:-_HALO_FRAMES]


def in_phase(codec: Codec, latents: np.ndarray) -> np.ndarray:
    """Latents of a bass `[T, C]` as a codec is to decode them: with margins, and in tune.

    The pitch, of a codec that has one, is changed by as little as makes its oscillator turn a whole
    number of times, so that a note that is held across the end stays in phase: by a cent in 8 s of
    a low A.
    """
    closed = in_whole_turns(codec, latents) if codec.has_pitch else latents
    return _wrapped(closed, _HALO_FRAMES)


def joined(wave: np.ndarray) -> np.ndarray:
    """The loop `[2048 T]`, from what a codec decodes of `in_phase`."""
    start = _HALO_FRAMES * LATENT_HOP
    length = len(wave) - 2 * start
    loop = wave[start : start + length].copy()
    fade = min(round(_FADE_SECONDS * SAMPLE_RATE_HZ), length // 2)
    share = (np.arange(fade, dtype=np.float32) + 0.5) / fade
    loop[:fade] = share * loop[:fade] + (1.0 - share) * wave[start + length :][:fade]
    return loop


def quantised(wave: np.ndarray, codec: Codec, grid: Grid, amount: float) -> np.ndarray:
    """As `quantise.quantised`, of a loop: notes may move across its end."""
    frames, seconds = len(wave) // LATENT_HOP, len(wave) / SAMPLE_RATE_HZ
    later = dataclasses.replace(grid, beat_seconds=grid.beat_seconds + seconds)
    thrice = quantise.quantised(np.tile(wave, 3), codec, later, amount)
    return thrice[frames : 2 * frames]


def in_whole_turns(codec: Codec, latents: np.ndarray) -> np.ndarray:
    """The same latents, transposed until the oscillator turns a whole number of times."""
    turns = codec.turns(latents)
    wanted = max(1.0, round(turns))
    semitones = 0.0
    for _ in range(3):
        semitones += 12.0 * float(
            np.log2(wanted / codec.turns(codec.transposed(latents, semitones)))
        )
    return codec.transposed(latents, semitones)


def _wrapped(rows: np.ndarray, margin: int) -> np.ndarray:
    """Rows `[T, ...]` with `margin` more on either side, from the other end."""
    return np.take(rows, np.arange(-margin, len(rows) + margin), axis=0, mode="wrap")
