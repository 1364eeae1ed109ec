"""Power spectrograms of long signals, a stretch at a time, and onsets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bassdiff.audio.filters import band_filters, hann

_BLOCK_FRAMES = 512
_FLOOR_POWER = 1e-10
_ONSET_BANDS, _ONSET_RANGE_HZ = 40, (30.0, 8000.0)
# Bands further below the loudest are hiss, whose flux would be as large as a note's.
_ONSET_RANGE_DB = 80.0


def power_blocks(samples: np.ndarray, window: int, hop: int) -> Iterator[np.ndarray]:
    """The power spectrogram in blocks, since that of ten minutes takes gigabytes.

    Args:
      samples: `[N]` float.
      window: Length of the Hann window in samples, even.
      hop: Samples between frames; frame i is centred on sample i · hop.

    Yields:
      `[window // 2 + 1, F]` float32; in all there are 1 + N // hop frames.
    """
    samples = np.asarray(samples, np.float32)
    num_frames = 1 + len(samples) // hop
    for start in range(0, num_frames, _BLOCK_FRAMES):
        stop = min(start + _BLOCK_FRAMES, num_frames)
        # Zeros around the signal, but no copy of all of it.
        first, last = start * hop - window // 2, (stop - 1) * hop + window // 2
        inside = samples[max(first, 0) : last]
        piece = np.pad(inside, (max(-first, 0), max(last - len(samples), 0)))
        frames = np.lib.stride_tricks.sliding_window_view(piece, window)[::hop]
        spectrum = np.fft.rfft(frames * hann(window), axis=1)
        yield np.square(np.abs(spectrum)).T.astype(np.float32)


def decibels(power: np.ndarray) -> np.ndarray:
    """Power in dB; silence is at -100."""
    return 10.0 * np.log10(np.maximum(power, _FLOOR_POWER))


def onset_strength(
    samples: np.ndarray, sample_rate_hz: int, window: int = 2048, hop: int = 256
) -> np.ndarray:
    """How much louder bands get from frame to frame, on average: `[1 + N // hop]` float32.

    Args:
      samples: `[N]` float.
      sample_rate_hz: At least twice 8 kHz.
      window: As for `power_blocks`.
      hop: Likewise.
    """
    bands = band_filters(window, sample_rate_hz, _ONSET_BANDS, *_ONSET_RANGE_HZ).T
    power = np.concatenate([bands @ block for block in power_blocks(samples, window, hop)], axis=1)
    level = decibels(power)
    level = np.maximum(level, level.max() - _ONSET_RANGE_DB)
    rise = np.maximum(np.diff(level, axis=1, prepend=level[:, :1]), 0.0)
    return rise.mean(axis=0).astype(np.float32)
