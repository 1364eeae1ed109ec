"""Moves the onsets of a bass to the grid, by a time warp of its latents."""

from __future__ import annotations

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.resampling import resample
from bassdiff.inference.grid import Grid
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.harmonics import LEVEL_HOP
from bassdiff.pretrained.codec import Codec

_RATE_HZ, _HOP, _WINDOW = 22050, 128, 1024
# Notes begin when their pitch is found; their attack is the steepest rise this near. The rise is
# that much early, measured on notes whose attacks are known.
_NEAR_SECONDS, _EARLY_SECONDS = 0.05, 0.004
# An attack is moved as a whole, from before it until so long after it.
_BEFORE_SECONDS, _AFTER_SECONDS = 0.02, 0.12
# Notes are never nearer to each other.
_LEAST_SECONDS = 0.06
# Beats that are shorter are divided in two, others in four, or in three where that is much nearer.
_SHORT_BEAT_SECONDS, _THREE_IS_NEARER = 0.3, 0.6


def quantised(
    wave: np.ndarray,
    codec: Codec,
    grid: Grid,
    amount: float,
    region_seconds: tuple[float, float] = (0.0, float("inf")),
) -> np.ndarray:
    """Latents of a bass whose onsets are moved to the grid.

    The bass is encoded at steps of a quarter of a latent frame. The warp then chooses the step that
    is to be heard in every frame. Attacks therefore stay whole, and notes become longer or shorter
    without a change of pitch.

    Args:
      wave: `[N]` at 44.1 kHz, at the level at which codecs hear basses.
      codec: The bass codec.
      grid: Beats in the time of `wave`.
      amount: 0 leaves the onsets, 1 puts them on the grid.
      region_seconds: Only onsets within are moved.

    Returns:
      Normalised latents `[T, C]`.
    """
    onsets = onset_times(wave)
    onsets = onsets[(onsets > region_seconds[0]) & (onsets < region_seconds[1])]
    moved = onsets + amount * (nearest_on_grid(onsets, grid) - onsets)
    seconds = len(wave) / SAMPLE_RATE_HZ
    ends = max(region_seconds[0], 0.0), min(region_seconds[1], seconds)
    new, old = warp(onsets, moved, ends)
    frames = -(-len(wave) // LATENT_HOP)
    wanted = np.interp(np.arange(frames) * LATENT_HOP / SAMPLE_RATE_HZ, new, old)
    per_frame = LATENT_HOP // LEVEL_HOP
    steps = np.round(wanted * SAMPLE_RATE_HZ / LEVEL_HOP).astype(int)
    late = [np.pad(wave[step * LEVEL_HOP :], (0, step * LEVEL_HOP)) for step in range(per_frame)]
    by_step = np.stack(codec.encode_all(late), axis=1).reshape(frames * per_frame, -1)
    found: np.ndarray = by_step[np.clip(steps, 0, len(by_step) - 1)]
    return found


def onset_times(wave: np.ndarray) -> np.ndarray:
    """When notes are struck, `[n]` seconds, increasing."""
    # They bring scipy, which takes longer to import than bad input to be refused.
    from bassdiff.audio.spectrogram import onset_strength
    from bassdiff.audio.transcription import transcribe

    notes = transcribe(wave, SAMPLE_RATE_HZ)
    if not notes:
        return np.zeros(0)
    rise = onset_strength(resample(wave, SAMPLE_RATE_HZ, _RATE_HZ), _RATE_HZ, _WINDOW, _HOP)
    reach = round(_NEAR_SECONDS * _RATE_HZ / _HOP)
    found = []
    for note in notes:
        first = max(round(note.start_seconds * _RATE_HZ / _HOP) - reach, 0)
        near = rise[first : first + 2 * reach + 1]
        # A slide into another note has no attack.
        struck = (first + int(near.argmax())) * _HOP / _RATE_HZ + _EARLY_SECONDS
        found.append(struck if near.max(initial=0.0) > 0.0 else note.start_seconds)
    return np.unique(found)


def nearest_on_grid(onsets: np.ndarray, grid: Grid) -> np.ndarray:
    """The nearest places on the grid, `[n]` seconds: sixteenths of quarters, or triplets.

    Args:
      onsets: `[n]` seconds.
      grid: Beats.
    """
    if not len(onsets):
        return onsets
    beats = np.array([grid.beat(float(onset)) for onset in onsets])

    def off(division: int) -> float:
        """The mean distance, 0.25 for any onsets."""
        return float(np.abs(beats * division - np.round(beats * division)).mean())

    straight = 2 if 60.0 / grid.bpm < _SHORT_BEAT_SECONDS else 4
    division = 3 if off(3) < _THREE_IS_NEARER * off(straight) else straight
    return np.array([grid.seconds(beat) for beat in np.round(beats * division) / division])


def warp(
    onsets: np.ndarray, moved: np.ndarray, ends: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """A warp of time that moves onsets, and moves the attacks after them as a whole.

    An onset that would come too near to the one before it is left where the others take it.

    Args:
      onsets: `[n]` seconds, increasing.
      moved: `[n]` where they are to be.
      ends: Seconds at which, and beyond which, nothing moves.

    Returns:
      New times `[m]`, increasing, and the old times `[m]` of what is heard there.
    """
    start, end = ends
    pairs = [(start, start)]
    for old, new in zip(onsets, moved, strict=True):
        if min(new - pairs[-1][0], old - pairs[-1][1]) >= _LEAST_SECONDS:
            pairs.append((float(new), float(old)))
    while len(pairs) > 1 and end - max(pairs[-1]) < _LEAST_SECONDS:
        pairs.pop()
    pairs.append((end, end))
    new_times, old_times = [start], [start]
    for before, (new, old), after in zip(pairs, pairs[1:], pairs[2:], strict=False):
        early = min(_BEFORE_SECONDS, 0.3 * min(new - before[0], old - before[1]))
        late = min(_AFTER_SECONDS, 0.5 * min(after[0] - new, after[1] - old))
        for step in (-early, late):
            new_times.append(new + step)
            old_times.append(old + step)
    new_times.append(end)
    old_times.append(end)
    # Before and after, time is as it was.
    far = 1e6
    return np.array([-far, *new_times, far]), np.array([-far, *old_times, far])
