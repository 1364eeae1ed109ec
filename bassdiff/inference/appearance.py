"""What a picture shows of a signal, which takes far less memory than the signal."""

from __future__ import annotations

import dataclasses

import numpy as np

from bassdiff.audio.pitch import PitchTrack, track_pitch
from bassdiff.audio.resampling import resample
from bassdiff.audio.spectrogram import decibels, onset_strength, power_blocks

MIX_HZ = (40.0, 10000.0)
BASS_HZ = (27.5, 2000.0)
MAX_COLUMNS = 1400
_RATE_HZ = 22050
_WINDOW_SAMPLES = 4096
_MIN_HOP_SAMPLES = 128
_ONSET_HOP = 256
_NUM_ROWS = 240


@dataclasses.dataclass(frozen=True)
class Appearance:
    """What is drawn of a signal.

    Attributes:
      seconds: Its length.
      range_hz: The range of frequencies that is shown.
      spectrogram_db: `[240, columns]` level on a logarithmic frequency axis.
      onsets: How much begins, in at most `MAX_COLUMNS` stretches of time.
      onset_seconds: Length of each.
      pitch: Of one voice; None if it is not drawn.
    """

    seconds: float
    range_hz: tuple[float, float]
    spectrogram_db: np.ndarray
    onsets: np.ndarray
    onset_seconds: float
    pitch: PitchTrack | None


def appearance(samples: np.ndarray, sample_rate_hz: int, is_bass: bool) -> Appearance:
    """What a picture shows of `[N]` float: of a bass, its pitch, too.

    Long signals are thinned to the picture's width.
    """
    pitch = track_pitch(samples, sample_rate_hz) if is_bass else None
    seconds = len(samples) / sample_rate_hz
    samples = resample(samples, sample_rate_hz, _RATE_HZ)
    onsets = onset_strength(samples, _RATE_HZ, hop=_ONSET_HOP)
    pool = -(-len(onsets) // MAX_COLUMNS)
    range_hz = BASS_HZ if is_bass else MIX_HZ
    return Appearance(
        seconds,
        range_hz,
        spectrogram_db(samples, _RATE_HZ, range_hz),
        np.maximum.reduceat(onsets, np.arange(0, len(onsets), pool)),
        pool * _ONSET_HOP / _RATE_HZ,
        pitch,
    )


def spectrogram_db(
    samples: np.ndarray, sample_rate_hz: int, range_hz: tuple[float, float]
) -> np.ndarray:
    """`[240, columns]` level of `[N]` float on a logarithmic frequency axis."""
    samples = resample(samples, sample_rate_hz, _RATE_HZ)
    # Hops of at most half a window, so that thinning skips no sound.
    hop = int(np.clip(len(samples) // MAX_COLUMNS, _MIN_HOP_SAMPLES, _WINDOW_SAMPLES // 2))
    bins = np.geomspace(*range_hz, _NUM_ROWS) * _WINDOW_SAMPLES / _RATE_HZ
    below = bins.astype(int)
    part = (bins - below)[:, None].astype(np.float32)
    power = np.concatenate(
        [
            (1 - part) * block[below] + part * block[below + 1]
            for block in power_blocks(samples, _WINDOW_SAMPLES, hop)
        ],
        axis=1,
    )
    pool = -(-power.shape[1] // MAX_COLUMNS)
    power = np.maximum.reduceat(power, np.arange(0, power.shape[1], pool), axis=1)
    return decibels(power)
