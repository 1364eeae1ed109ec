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
LEAST_HZ = 8000
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
    if sample_rate_hz < LEAST_HZ:
        samples = resample(samples, sample_rate_hz, LEAST_HZ)
        sample_rate_hz = LEAST_HZ
    meter = LoudnessMeter(sample_rate_hz)
    meter.add(np.asarray(samples))
    return meter.lufs()


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


class LoudnessMeter:
    """Measures the integrated loudness of one channel that comes in blocks of any length.

    Source: ITU-R BS.1770-4, annex 1; its filters as biquads of the corners that are usual.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        """Begins with silence before the first sample; the rate is `LEAST_HZ` or more."""
        self._hop = BLOCK_SECONDS / _HOPS_PER_BLOCK * sample_rate_hz
        self._shortest = math.ceil(BLOCK_SECONDS * sample_rate_hz)
        self._response, self._past = _weighting(sample_rate_hz)
        # A stretch is filtered with what came before it, as far back as the filters remember.
        self._stretch = np.zeros(2 * (len(self._response) - 1))
        self._filled, self._measured = self._past, 0
        self._energies = np.zeros(0)
        self._plain_energy = 0.0

    def add(self, samples: np.ndarray) -> None:
        """Takes the next samples, `[n]` float."""
        while len(samples):
            part, samples = np.split(samples, [len(self._stretch) - self._filled])
            self._stretch[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            if self._filled == len(self._stretch):
                self._measure()

    def lufs(self) -> float:
        """The loudness of all samples, after which no more are taken; see `loudness_lufs`."""
        self._stretch[self._filled :] = 0.0
        self._measure()
        if self._measured < self._shortest:
            power = self._plain_energy / max(self._measured, 1)
            # The K filter's gain at 1 kHz cancels the formula's -0.691 dB.
            loudness = 10 * math.log10(power) if power > 0 else -math.inf
            return loudness if loudness >= GATE_LUFS else -math.inf
        # As many hops as whole blocks need, to the nearest; the last is filled up with zeros.
        hops = self._energies[: round(self._measured / self._hop)]
        blocks = np.convolve(hops, np.ones(_HOPS_PER_BLOCK), mode="valid")
        blocks = blocks / (self._hop * _HOPS_PER_BLOCK)
        blocks = blocks[blocks >= _power(GATE_LUFS)]
        if len(blocks):
            blocks = blocks[blocks > blocks.mean() * 10.0 ** (_RELATIVE_GATE_DB / 10.0)]
        return _OFFSET_DB + 10.0 * math.log10(blocks.mean()) if len(blocks) else -math.inf

    def _measure(self) -> None:
        """Adds the new samples of the stretch to the energies of hops, tenths of a second."""
        new = slice(self._past, self._filled)
        weighted = np.fft.irfft(np.fft.rfft(self._stretch) * self._response)[new]
        if len(weighted):
            self._plain_energy += float(np.square(self._stretch[new]).sum())
            end = self._measured + len(weighted)
            edges = np.round(np.arange(int(end / self._hop) + 2) * self._hop).astype(int)
            begun = int(np.searchsorted(edges, self._measured, side="right")) - 1
            ended = int(np.searchsorted(edges, end))
            inside = np.maximum(edges[begun:ended] - self._measured, 0)
            self._energies = np.pad(self._energies, (0, ended - len(self._energies)))
            self._energies[begun:ended] += np.add.reduceat(np.square(weighted), inside)
            self._measured = end
        self._stretch[: self._past] = self._stretch[self._filled - self._past : self._filled]
        self._filled = self._past


def _power(lufs: float) -> float:
    return float(10.0 ** ((lufs - _OFFSET_DB) / 10.0))


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
