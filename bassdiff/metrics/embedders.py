"""Turns audio into embeddings of its windows, for `distributions`; downloads nothing.

`log_mel` needs nothing else. VGGish, CLAP and MERT run from ONNX files, which `onnx_embedder`
explains how to make.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.metrics.front_ends import (
    FRONT_ENDS,
    NUM_BANDS,
    WINDOW_SECONDS,
    mixed,
    stft_power,
    windows,
)
from bassdiff.metrics.onnx_embedder import open_onnx
from bassdiff.runtime.errors import InputError

_LOG_MEL_RANGE_HZ, _LOG_MEL_FFT, _LOG_MEL_HOP = (30.0, 16000.0), 4096, 2048
_LOG_MEL_FLOOR = 1e-8


class Embedder(Protocol):
    """Embeds windows of a bass, or of a mix together with its bass.

    Signals are `[N]` float at 44.1 kHz. Windows do not overlap. The remainder at the end is
    dropped; a signal shorter than one window is padded to one.
    """

    @property
    def name(self) -> str:
        """The embedder's name, recorded with every score."""

    def sound(self, bass: np.ndarray) -> np.ndarray:
        """Embeds a bass alone, `[windows, D]` float32."""

    def pair(self, mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
        """Embeds a mix and its bass of the same length together, `[windows, D']` float32."""


class LogMel:
    """Mean and standard deviation of the levels of mel bands over windows of 5.9 s.

    Levels are relative to the signal's mean, in units of 40 dB above -40 dB, so that numbers are
    around 1, as the cubic kernel of `kernel_distance` needs: `[windows, 128]`. They describe the
    spectrum's colour and how much it varies, but not harmony.
    """

    name = "log_mel"

    def sound(self, bass: np.ndarray) -> np.ndarray:
        """See `Embedder.sound`."""
        filters = librosa.filters.mel(
            sr=SAMPLE_RATE_HZ,
            n_fft=_LOG_MEL_FFT,
            n_mels=NUM_BANDS,
            fmin=_LOG_MEL_RANGE_HZ[0],
            fmax=_LOG_MEL_RANGE_HZ[1],
        )
        length = round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
        power = np.stack(
            [
                filters @ stft_power(window, _LOG_MEL_FFT, _LOG_MEL_HOP, center=False)
                for window in windows(np.asarray(bass, np.float32), length)
            ]
        )  # [windows, bands, frames]
        # Per signal, not per window, so that a rest differs from the music around it.
        power /= max(float(power.mean()), np.finfo(np.float32).tiny)
        level = 1 + np.log10(power + _LOG_MEL_FLOOR) / 4
        return np.concatenate([level.mean(axis=2), level.std(axis=2)], axis=1, dtype=np.float32)

    def pair(self, mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
        """Embeds the sum of both; see `Embedder.pair`."""
        return self.sound(mixed(mix, bass))


def open_embedder(which: str) -> Embedder:
    """Opens an embedder.

    Args:
      which: `log_mel`, or `vggish:FILE.onnx`, `clap:FILE.onnx` or `mert:FILE.onnx`.

    Returns:
      The embedder, after a test on silence.

    Raises:
      InputError: If there is no such embedder, its file is missing, unreadable or does not fit, or
        onnxruntime is not installed.
    """
    kind, _, file = which.partition(":")
    if kind not in _FACTORIES:
        raise InputError(f"{which}: no such embedder; name one of {', '.join(_FACTORIES)}.")
    return _FACTORIES[kind](file)


def _open_log_mel(file: str) -> Embedder:
    if file:
        raise InputError(f"log_mel:{file}: log_mel takes no file; leave it out.")
    return LogMel()


# Embedders by kind, each opened with the text after the colon.
_FACTORIES: dict[str, Callable[[str], Embedder]] = {
    "log_mel": _open_log_mel,
    **{kind: functools.partial(open_onnx, kind) for kind in FRONT_ENDS},
}
