"""Between songs and latents: mixes as the model hears them, and basses as they are heard."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, all_finite
from bassdiff.audio.loudness import loudness_lufs, match_loudness
from bassdiff.audio.resampling import resample
from bassdiff.audio.tuning import at_speed
from bassdiff.data.mixing import BASS_LUFS
from bassdiff.inference import loop
from bassdiff.inference.conditioning import spliced
from bassdiff.inference.hearing import Heard
from bassdiff.inference.quantise import quantised
from bassdiff.pretrained.codec import Codec
from bassdiff.runtime.errors import InputError

SILENT_DB = 30.0
ODD_LEVEL_DB = 10.0


def encoded(codec: Codec, heard: Sequence[Heard]) -> list[np.ndarray]:
    """Latents of mixes; loops are heard as they repeat."""
    # A mix may peak far above its loudness; a codec has no ceiling, so nothing clips.
    waves = [loop.with_margins(one.wave) if one.loops else one.wave for one in heard]
    latents = codec.encode_all(waves, [one.gain for one in heard])
    return [
        loop.without_margins(rows) if one.loops else rows
        for rows, one in zip(latents, heard, strict=True)
    ]


def decoded(
    codec: Codec, latents: Sequence[np.ndarray], heard: Sequence[Heard]
) -> list[np.ndarray]:
    """What latents of basses sound like, with their onsets moved to the grid if that is wanted."""
    waves = _decoded(codec, latents, heard)
    return [_on_grid(codec, one, wave) for one, wave in zip(heard, waves, strict=True)]


def finished(heard: Heard, wave: np.ndarray) -> np.ndarray:
    """From what the codec decoded to the bass at the mix's rate and level.

    Raises:
      InputError: If it is not finite.
    """
    bass = wave[: heard.length]
    _check_sound(bass)
    gain = 1.0 / heard.level if heard.start is None else heard.start.gain
    bass *= np.float32(gain)
    if heard.loops:
        bass = loop.played(bass, heard.sample_rate_hz, heard.num_samples, heard.slower)
    else:
        at_rate = round(heard.num_samples * heard.slower)
        bass = resample(bass, SAMPLE_RATE_HZ, heard.sample_rate_hz, num_samples=at_rate)
        bass = at_speed(bass, 1.0 / heard.slower, heard.num_samples)
    if heard.start is not None:
        bass = spliced(bass, heard.start, heard.sample_rate_hz)
    if heard.bass_lufs is not None:
        bass = match_loudness(bass, heard.sample_rate_hz, heard.bass_lufs)
    return bass * np.float32(10.0 ** (heard.gain_db / 20.0)) if heard.gain_db else bass


def _decoded(
    codec: Codec, latents: Sequence[np.ndarray], heard: Sequence[Heard]
) -> list[np.ndarray]:
    pairs = zip(latents, heard, strict=True)
    waves = codec.decode_all([loop.in_phase(codec, x) if one.loops else x for x, one in pairs])
    pairs = zip(waves, heard, strict=True)
    return [loop.joined(wave) if one.loops else wave for wave, one in pairs]


def _on_grid(codec: Codec, heard: Heard, wave: np.ndarray) -> np.ndarray:
    if heard.grid is None or not heard.quantise:
        return wave
    if heard.loops:
        moved = loop.quantised(wave, codec, heard.grid, heard.quantise)
    else:
        free = heard.start.free_seconds if heard.start else None
        begin, end = (moment * heard.slower for moment in free or (0.0, float("inf")))
        moved = quantised(wave, codec, heard.grid, heard.quantise, (begin, end))
    return _decoded(codec, [moved], [heard])[0]


def _check_sound(bass: np.ndarray) -> None:
    """Warns of a bass that is silent, too loud or too soft, and says which setting to change.

    Args:
      bass: `[N]` at 44.1 kHz, at the level at which codecs encode basses.

    Raises:
      InputError: It is not finite.
    """
    if not all_finite(bass):
        raise InputError(
            "these weights generate values that are not finite with these settings; lower the "
            "guidance, take more steps or use other weights"
        )
    excess_db = loudness_lufs(bass, SAMPLE_RATE_HZ) - BASS_LUFS
    if excess_db < -SILENT_DB:
        warnings.warn(
            "the bass came out silent; try another seed, lower the guidance or take more steps",
            stacklevel=8,
        )
    elif abs(excess_db) > ODD_LEVEL_DB:
        what = "louder" if excess_db > 0 else "softer"
        remedy = (
            "lower the guidance or raise the rescale"
            if excess_db > 0
            else ("raise the guidance or lower the rescale")
        )
        warnings.warn(
            f"the bass came out {abs(excess_db):.0f} dB {what} than basses are; {remedy}",
            stacklevel=8,
        )
