"""Finds where a mix has no pitch, and therefore no key: where only drums play."""

from __future__ import annotations

import numpy as np
import soxr

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.running import lasting, running_median, running_sum, widened

RATE_HZ = 11025
_HOP = 1024
# Short windows for fast notes, and long ones for the dense partials of distorted guitars; in how
# many of them in a row a partial has to stay, give or take a bin: 0.4 s of the sound.
_WINDOWS = {2048: 3, 4096: 2}
# Kicks and toms ring below, cymbals above.
MIN_HZ, _MAX_HZ = 100.0, 2500.0
# A partial stands out of the 160 Hz around it, and is within 40 dB of the strongest of its frame.
# Medians take most of the time, so they are taken of 15 bins across that range.
_SURROUNDINGS, _APART_HZ, _PROMINENCE, _RANGE = 15, 10.8, 10.0, 1e-4
PLACES_PER_SEMITONE = 10
# Sums over a neighbourhood are taken of groups of frames, each of 0.46 s.
_GROUP, _NEAR_SECONDS = 5, 6.0
# A mix has no pitch below both thresholds: evidence of a scale, and share of the power in partials,
# which is high where one pure tone plays. Chosen on 68 game songs in two SoundFonts: 84 % of their
# drums alone is below both, and 0.7 % of their mixes, mostly before the first chord. For 17 other
# songs in another SoundFont these are 88 and 2.5 %, and for 31 finished productions 87 and 3.1 %;
# those were in view when the thresholds were chosen.
_LEAST_IN_TUNE, _LEAST_SHARE = 3.0, 0.6
_BLOCK_WINDOWS = 1024


def pitchless(mix: np.ndarray, num_frames: int, frame_seconds: float) -> np.ndarray:
    """Finds where a mix has next to nothing in tune within six seconds either way.

    Music keeps to a scale: its many partials are nearly whole semitones apart. Drums ring too, but
    at a few frequencies outside any scale. The thresholds favour pitch.

    Args:
      mix: `[N]` float at 44.1 kHz, of any level.
      num_frames: number of frames to return.
      frame_seconds: their length.

    Returns:
      `[num_frames]` bool; False where nothing sounds.
    """
    low = soxr.resample(np.asarray(mix, np.float32), SAMPLE_RATE_HZ, RATE_HZ)
    found = {window: partials(low, window) for window in _WINDOWS}
    evidence = np.mean(
        [np.log1p(in_tune(_near(places))) for places, _, _ in found.values()], axis=0
    )
    _, share, sounding = found[min(_WINDOWS)]
    heard = _near(sounding)
    is_little = _near(share * sounding) < _LEAST_SHARE * heard
    # Near-silent neighbourhoods say nothing.
    enough = 0.1 * _NEAR_SECONDS * RATE_HZ / _HOP
    told = (evidence < np.log1p(_LEAST_IN_TUNE)) & is_little & (heard > enough)
    middles = (np.arange(num_frames) + 0.5) * frame_seconds * RATE_HZ / (_HOP * _GROUP)
    return told[np.minimum(middles.astype(int), len(told) - 1)]


def in_tune(places: np.ndarray) -> np.ndarray:
    """Rayleigh's statistic of frequencies on a scale of semitones, for any tuning.

    Args:
      places: `[..., P]` how often each tenth of a semitone occurs.

    Returns:
      `[...]`: the effective number of places times the square of their agreement on the scale.
      About 1 for a few random frequencies, and the number of places for music in tune; 0 for
      silence.
    """
    # Square roots, so that one long note does not outweigh all others.
    weights = np.sqrt(places)
    weights = weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-9)
    turns = np.exp(2j * np.pi * np.arange(places.shape[-1]) / PLACES_PER_SEMITONE)
    return np.abs(weights @ turns) ** 2 / np.maximum(np.sum(weights**2, axis=-1), 1e-9)


def partials(
    low: np.ndarray, window: int, per_semitone: int = PLACES_PER_SEMITONE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the partials that stay at one frequency, eleven times a second.

    Args:
      low: `[N]` float32 at 11025 Hz.
      window: one of `_WINDOWS`.
      per_semitone: places per semitone.

    Returns:
      `[F, P]` number of steady partials in each place, from 100 Hz on; `[F]` share of the power in
      partials, steady or not; `[F]` bool, whether the frame is within 40 dB of the loudest.
    """
    low = np.pad(low, (window // 2, window // 2 + _HOP))
    windows = np.lib.stride_tricks.sliding_window_view(low, window)[::_HOP]
    shape = np.hanning(window + 1)[:-1].astype(np.float32)
    first, last = (round(hz * window / RATE_HZ) for hz in (MIN_HZ, _MAX_HZ))
    thinned = round(_APART_HZ * window / RATE_HZ)
    reach = _SURROUNDINGS // 2 * thinned
    is_peak, frequencies, levels, shares = [], [], [], []
    for start in range(0, len(windows), _BLOCK_WINDOWS):
        spectrum = np.fft.rfft(windows[start : start + _BLOCK_WINDOWS] * shape)
        block = np.square(np.abs(spectrum[:, first - reach : last + reach]))
        around = running_median(block[:, ::thinned], _SURROUNDINGS)
        block = block[:, reach:-reach]
        around = np.repeat(around, thinned, axis=1)[:, : block.shape[1]]
        top = block.max(axis=1, keepdims=True)
        stands_out = (block == widened(block, 2)) & (
            block > np.maximum(_PROMINENCE * around, _RANGE * top)
        )
        lobes = widened(stands_out, 2)
        levels.append(block.sum(axis=1))
        shares.append((block * lobes).sum(axis=1) / np.maximum(levels[-1], 1e-20))
        is_peak.append(stands_out)
        frequencies.append(first + _between_bins(block, *np.nonzero(stands_out)))
    level = np.concatenate(levels)
    sounding = level > _RANGE * max(float(level.max()), 1e-9)
    peaks = np.concatenate(is_peak)
    steady = lasting(widened(peaks, 1), _WINDOWS[window])
    hz = np.concatenate(frequencies) * RATE_HZ / window
    place = np.round(12 * per_semitone * np.log2(hz / MIN_HZ)).astype(int)
    num_places = round(12 * per_semitone * np.log2(_MAX_HZ / MIN_HZ)) + 1
    moments, bins = np.nonzero(peaks)
    counted = steady[moments, bins] & sounding[moments]
    places = np.zeros((len(peaks), num_places), np.uint8)
    np.add.at(places, (moments[counted], np.clip(place[counted], 0, num_places - 1)), 1)
    return places, np.concatenate(shares), sounding


def _between_bins(power: np.ndarray, moments: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Positions of peaks `[P]` of `power` `[F, B]` between bins: parabolas through logarithms."""
    middle = np.clip(bins, 1, power.shape[1] - 2)
    below, at, above = (
        np.log(np.maximum(power[moments, middle + step], 1e-20)) for step in (-1, 0, 1)
    )
    offset = 0.5 * (below - above) / np.minimum(below - 2 * at + above, -1e-6)
    return middle + np.clip(offset, -0.5, 0.5)


def _near(values: np.ndarray) -> np.ndarray:
    """Sums `[G, ...]` of `values` `[F, ...]` over the neighbourhood of each group of frames."""
    groups = np.add.reduceat(values, np.arange(0, len(values), _GROUP), axis=0, dtype=np.float32)
    reach = round(_NEAR_SECONDS * RATE_HZ / (_HOP * _GROUP))
    return running_sum(groups, 2 * reach + 1)
