"""Integrated loudness of signals of any length, in little memory.

ITU-R BS.1770-4 of one channel. A library would import scipy.signal, which takes longer than the
loudness of a song, and hold an hour of it four times in double precision.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from bassdiff.audio.resampling import resample

BLOCK_SECONDS = 0.4
# The filters have corners that low rates do not reach.
_LEAST_HZ = 8000
_HOPS_PER_BLOCK = 4
_OFFSET_DB = -0.691
# Blocks below the absolute gate do not count, nor those so far below the mean of the rest.
GATE_LUFS = -70.0
_RELATIVE_GATE_DB = -10.0
# The head's effect on high frequencies: gain, corner and quality of a shelf.
_SHELF_DB, _SHELF_HZ, _SHELF_QUALITY = 4.0, 1500.0, math.sqrt(0.5)
# What is low is hardly loud.
_HIGH_PASS_HZ, _HIGH_PASS_QUALITY = 38.0, 0.5
# After so long, the response of the high pass has fallen by 300 dB.
_RESPONSE_SECONDS = 0.15


def loudness_lufs(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Integrated loudness after ITU-R BS.1770-4.

    Args:
      samples: `[N]` float. Below 0.4 s, the standard's block, the RMS level stands in.
      sample_rate_hz: samples per second.

    Returns:
      LUFS; -inf below the standard's gate of -70 LUFS, which is silence.
    """
    if sample_rate_hz < _LEAST_HZ:
        samples = resample(samples, sample_rate_hz, _LEAST_HZ)
        sample_rate_hz = _LEAST_HZ
    samples = np.asarray(samples)
    if len(samples) >= math.ceil(BLOCK_SECONDS * sample_rate_hz):
        return integrated_lufs(samples, sample_rate_hz)
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    # The K filter's gain at 1 kHz cancels the formula's -0.691 dB.
    loudness = 10 * math.log10(power) if power > 0 else -math.inf
    return loudness if loudness >= GATE_LUFS else -math.inf


def match_loudness(samples: np.ndarray, sample_rate_hz: int, target_lufs: float) -> np.ndarray:
    """Scales a signal to a loudness.

    Args:
      samples: `[N]` float.
      sample_rate_hz: samples per second.
      target_lufs: loudness of the result; peaks may exceed 1.

    Returns:
      `[N]` float32; silence comes back unchanged.
    """
    samples = np.asarray(samples, np.float32)
    loudness = loudness_lufs(samples, sample_rate_hz)
    if not math.isfinite(loudness):
        return samples
    return samples * np.float32(10 ** ((target_lufs - loudness) / 20))


def integrated_lufs(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Gated loudness of one channel.

    Args:
      samples: `[N]` float, 0.4 s or more.
      sample_rate_hz: Samples per second.

    Returns:
      LUFS; -inf where no block passes the gate.

    Source: ITU-R BS.1770-4, annex 1; its filters as biquads of the corners that are usual.
    """
    hops = _hop_energies(samples, sample_rate_hz)
    blocks = np.convolve(hops, np.ones(_HOPS_PER_BLOCK), mode="valid")
    power = blocks / (BLOCK_SECONDS * sample_rate_hz)
    power = power[power >= _power(GATE_LUFS)]
    if len(power):
        power = power[power > power.mean() * 10.0 ** (_RELATIVE_GATE_DB / 10.0)]
    return _OFFSET_DB + 10.0 * math.log10(power.mean()) if len(power) else -math.inf


def _power(lufs: float) -> float:
    return float(10.0 ** ((lufs - _OFFSET_DB) / 10.0))


def _hop_energies(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Energy of the weighted signal in every tenth of a second; the last is filled up with zeros.

    As many as whole blocks need, to the nearest hop.
    """
    hop_seconds = BLOCK_SECONDS / _HOPS_PER_BLOCK
    count = round(len(samples) / sample_rate_hz / hop_seconds)
    edges = np.round(np.arange(count + 1) * (hop_seconds * sample_rate_hz)).astype(int)
    response, past = _weighting(sample_rate_hz)
    size = 2 * (len(response) - 1)
    energies = np.zeros(count)
    # A stretch is filtered with what came before it, as far back as the filters remember.
    for start in range(0, min(len(samples), edges[-1]), size - past):
        stretch = np.zeros(size)
        known = samples[max(0, start - past) : start + size - past]
        first = past - min(start, past)
        stretch[first : first + len(known)] = known
        squared = np.square(np.fft.irfft(np.fft.rfft(stretch) * response)[past:])
        squared = squared[: len(samples) - start]
        # Of the hops that begin before the stretch ends; the first may have begun earlier.
        begun = int(np.searchsorted(edges, start, side="right")) - 1
        ended = int(np.searchsorted(edges[:-1], start + len(squared)))
        inside = np.maximum(edges[begun:ended] - start, 0)
        squared = squared[: edges[ended] - start]
        if begun < ended:
            energies[begun:ended] += np.add.reduceat(squared, inside)
    return energies


@functools.lru_cache(maxsize=16)
def _weighting(sample_rate_hz: int) -> tuple[np.ndarray, int]:
    """The filters' frequency response, and samples after which they have forgotten.

    Source: the biquads of R. Bristow-Johnson's cookbook of audio equalisers.
    """
    past = math.ceil(_RESPONSE_SECONDS * sample_rate_hz)
    size = 1 << (8 * past - 1).bit_length()
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)

    def biquad(above: tuple[float, ...], below: tuple[float, ...]) -> np.ndarray:
        over, under = (b + (c + d * turn) * turn for b, c, d in (above, below))
        return np.asarray(over / under)

    cosine, alpha = _corner(_SHELF_HZ, _SHELF_QUALITY, sample_rate_hz)
    gain = 10.0 ** (_SHELF_DB / 40.0)
    slope = 2.0 * math.sqrt(gain) * alpha
    plus, minus = gain + 1.0, gain - 1.0
    shelf = biquad(
        (
            gain * (plus + minus * cosine + slope),
            -2.0 * gain * (minus + plus * cosine),
            gain * (plus + minus * cosine - slope),
        ),
        (
            plus - minus * cosine + slope,
            2.0 * (minus - plus * cosine),
            plus - minus * cosine - slope,
        ),
    )
    cosine, alpha = _corner(_HIGH_PASS_HZ, _HIGH_PASS_QUALITY, sample_rate_hz)
    half = (1.0 + cosine) / 2.0
    high_pass = biquad((half, -2.0 * half, half), (1.0 + alpha, -2.0 * cosine, 1.0 - alpha))
    return shelf * high_pass, past


def _corner(hz: float, quality: float, sample_rate_hz: int) -> tuple[float, float]:
    angle = 2.0 * math.pi * hz / sample_rate_hz
    return math.cos(angle), math.sin(angle) / (2.0 * quality)
