"""Separates recordings into stems with a network that the user provides."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.onnx_graph import open_graph

STEMS = ("drums", "bass", "other", "vocals")
# Window, hop and extra frames at either end of the network's spectrogram.
_WINDOW, _HOP = 4096, 1024
_EDGE_FRAMES = 2
_PADDING = _HOP // 2 * 3
# Share of a block that overlaps the next one; both are crossfaded.
_OVERLAP = 0.25


class Separator:
    """Hybrid Transformer Demucs as an ONNX graph, without the Fourier transforms at its ends.

    The graph takes a block of stereo `[1, 2, N]` and its spectrogram `[1, 4, 2048, ceil(N / 1024)]`
    (real and imaginary parts of the left channel, then of the right), float32, and returns
    spectrograms `[1, 4, 4, 2048, ...]` and waveforms `[1, 4, 2, N]` of `STEMS`, to be added. It is
    not part of this package; its weights have a licence of their own.

    Source: Rouard et al., arXiv 2211.08553; the spectrogram's window, hop, padding and scale are
    those of its authors' implementation.
    """

    def __init__(self, path: Path) -> None:
        """Opens the graph.

        Raises:
          InputError: If the graph cannot be run, or has other inputs.
        """
        self._graph = open_graph(path, "a separator", "separation")
        shapes = [put_in.shape for put_in in self._graph.inputs]
        length = shapes[0][-1] if shapes else None
        if not isinstance(length, int) or shapes != [
            [1, 2, length],
            [1, 4, _WINDOW // 2, math.ceil(length / _HOP)],
        ]:
            raise InputError(
                f"{path}: takes {shapes}; a separator takes stereo [1, 2, N] and its spectrogram "
                f"[1, 4, {_WINDOW // 2}, N / {_HOP}]."
            )
        self._length = length

    def separate(self, stereo: np.ndarray) -> dict[str, np.ndarray]:
        """Separates a song.

        Args:
          stereo: `[2, N]` float at 44.1 kHz.

        Returns:
          `[N]` float32 mono for each of `STEMS`. They add up to the recording, except for what the
          network misses.
        """
        num_samples = stereo.shape[1]
        # The network expects normalised input.
        scale = float(stereo.std()) + 1e-8
        stereo = (stereo / scale).astype(np.float32)
        hop = round((1.0 - _OVERLAP) * self._length)
        ramp = np.arange(1, self._length + 1, dtype=np.float32) / (self._length - hop)
        weight = np.minimum(1.0, np.minimum(ramp, ramp[::-1]))
        total = np.zeros((len(STEMS), num_samples), np.float32)
        weights = np.zeros(num_samples, np.float32)
        for start in range(0, max(num_samples - (self._length - hop), 1), hop):
            block = stereo[:, start : start + self._length]
            size = block.shape[1]
            block = np.pad(block, ((0, 0), (0, self._length - size)))
            parts = self._block(block).mean(axis=1)
            total[:, start : start + size] += (weight * parts)[:, :size]
            weights[start : start + size] += weight[:size]
        return dict(zip(STEMS, total / weights * np.float32(scale), strict=True))

    def _block(self, stereo: np.ndarray) -> np.ndarray:
        """Separates one block `[2, N]` of the network's length into `[4, 2, N]`."""
        spectrum = _spectrogram(stereo)
        parts = np.stack([spectrum.real, spectrum.imag], axis=1).astype(np.float32)
        names = [put_in.name for put_in in self._graph.inputs]
        inputs = (stereo, parts.reshape(4, *spectrum.shape[1:]))
        spectra, waves = self._graph.run(
            {name: value[None] for name, value in zip(names, inputs, strict=True)}
        )
        spectra = spectra[0].reshape(len(STEMS), 2, 2, *spectrum.shape[1:])
        return waves[0] + _waveform(spectra[:, :, 0] + 1j * spectra[:, :, 1], self._length)


def _spectrogram(stereo: np.ndarray) -> np.ndarray:
    """`[..., N]` to complex `[..., 2048, ceil(N / 1024)]`."""
    num_samples = stereo.shape[-1]
    num_frames = math.ceil(num_samples / _HOP)
    after = _PADDING + num_frames * _HOP - num_samples
    edges = [(0, 0)] * (stereo.ndim - 1)
    padded = np.pad(stereo, [*edges, (_PADDING, after)], mode="reflect")
    spectrum = librosa.stft(padded, n_fft=_WINDOW, hop_length=_HOP, pad_mode="reflect")
    return spectrum[..., :-1, _EDGE_FRAMES : _EDGE_FRAMES + num_frames] / math.sqrt(_WINDOW)


def _waveform(spectrum: np.ndarray, num_samples: int) -> np.ndarray:
    """Inverts `_spectrogram`, except for the highest frequency."""
    edges = [(0, 0)] * (spectrum.ndim - 2)
    whole = np.pad(spectrum, [*edges, (0, 1), (_EDGE_FRAMES, _EDGE_FRAMES)])
    padded = librosa.istft(
        whole * math.sqrt(_WINDOW),
        hop_length=_HOP,
        length=spectrum.shape[-1] * _HOP + 2 * _PADDING,
    )
    return padded[..., _PADDING : _PADDING + num_samples]
