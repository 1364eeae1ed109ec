"""Features of audio as VGGish, CLAP and MERT were trained on, window by window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.resampling import resample

# 128 latent frames of 2048 samples; four windows fill a clip of the benchmark.
WINDOW_SECONDS = 128 * 2048 / SAMPLE_RATE_HZ
NUM_BANDS = 64

_VGGISH_HZ, _VGGISH_HOP, _VGGISH_FRAME, _VGGISH_PATCH = 16000, 160, 400, 96
_CLAP_HZ, _CLAP_SECONDS = 48000, 10
_MERT_HZ = 24000
# Rounded down, so that resampling cannot cost a signal its last window.
_MERT_SAMPLES = int(WINDOW_SECONDS * _MERT_HZ)


@dataclass(frozen=True)
class FrontEnd:
    """The input of a network.

    Attributes:
      features: Maps `[N]` float at 44.1 kHz to `[windows, *shapes[0]]` float32.
      shapes: accepted shapes of one window, which differ by axes of length 1.
    """

    features: Callable[[np.ndarray], np.ndarray]
    shapes: tuple[tuple[int, ...], ...]


def vggish_features(samples: np.ndarray) -> np.ndarray:
    """Log-mel patches of 0.96 s as VGGish was trained on, `[windows, 96, 64]`.

    16 kHz; Hann frames of 25 ms every 10 ms; magnitudes in 64 bands, 125…7500 Hz, whose
    triangles are straight over mel and not, as librosa's, over Hz; log(band + 0.01).

    Source: https://arxiv.org/abs/1609.09430.
    """
    samples = resample(samples, SAMPLE_RATE_HZ, _VGGISH_HZ)
    patch = (_VGGISH_PATCH - 1) * _VGGISH_HOP + _VGGISH_FRAME
    cut = windows(samples, patch, _VGGISH_PATCH * _VGGISH_HOP)
    frames = np.lib.stride_tricks.sliding_window_view(cut, _VGGISH_FRAME, axis=1)
    hann = np.hanning(_VGGISH_FRAME + 1)[:-1]
    num_bins = 1 << (_VGGISH_FRAME - 1).bit_length()
    spectra = np.abs(np.fft.rfft(frames[:, ::_VGGISH_HOP] * hann, num_bins))
    return np.log(spectra @ _vggish_filters(num_bins) + 0.01).astype(np.float32)


def clap_features(samples: np.ndarray) -> np.ndarray:
    """Log-mel windows of 10 s as LAION's CLAP without fusion takes them, `[windows, 1, 1001, 64]`.

    48 kHz; 1024-sample Hann frames every 480; power in 64 Slaney bands, 50…14000 Hz, in dB. A
    shorter signal is repeated as often as it fits, as in training.

    Source: https://arxiv.org/abs/2211.06687.
    """
    samples = resample(samples, SAMPLE_RATE_HZ, _CLAP_HZ)
    length = _CLAP_SECONDS * _CLAP_HZ
    samples = np.tile(samples, max(1, length // max(1, len(samples))))
    filters = librosa.filters.mel(sr=_CLAP_HZ, n_fft=1024, n_mels=NUM_BANDS, fmin=50, fmax=14000)
    power = np.stack(
        [filters @ stft_power(window, 1024, 480) for window in windows(samples, length)]
    )
    level_db = 10 * np.log10(np.maximum(power, 1e-10))
    return level_db.swapaxes(1, 2)[:, None].astype(np.float32)


def mert_features(samples: np.ndarray) -> np.ndarray:
    """Windows of 5.9 s at 24 kHz of zero mean and unit variance, `[windows, 142663]`.

    Source: https://arxiv.org/abs/2306.00107.
    """
    samples = resample(samples, SAMPLE_RATE_HZ, _MERT_HZ)
    cut = windows(samples, _MERT_SAMPLES)
    cut = cut - cut.mean(axis=1, keepdims=True)
    return cut / np.sqrt(cut.var(axis=1, keepdims=True) + 1e-7)


FRONT_ENDS = {
    "vggish": FrontEnd(
        vggish_features,
        (
            (_VGGISH_PATCH, NUM_BANDS),
            (1, _VGGISH_PATCH, NUM_BANDS),
            (_VGGISH_PATCH, NUM_BANDS, 1),
        ),
    ),
    "clap": FrontEnd(clap_features, ((1, 1001, NUM_BANDS),)),
    "mert": FrontEnd(mert_features, ((_MERT_SAMPLES,),)),
}


def mixed(mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
    """The sum of a mix and a bass of the same length, `[N]` float32."""
    if np.shape(mix) != np.shape(bass):
        raise ValueError(f"mix {np.shape(mix)} and bass {np.shape(bass)} differ in length")
    return np.asarray(mix, np.float32) + np.asarray(bass, np.float32)


def windows(samples: np.ndarray, length: int, hop: int | None = None) -> np.ndarray:
    """Cuts `[N]` into `[windows, length]`; a signal below one length is padded with silence."""
    samples = np.pad(samples, (0, max(0, length - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(samples, length)[:: hop or length]


def stft_power(samples: np.ndarray, fft: int, hop: int, center: bool = True) -> np.ndarray:
    """Power `[bins, frames]` of a short-time Fourier transform."""
    spectrum = librosa.stft(samples, n_fft=fft, hop_length=hop, center=center, pad_mode="reflect")
    return np.abs(spectrum) ** 2


def _vggish_filters(num_bins: int) -> np.ndarray:
    """Mel filters `[num_bins // 2 + 1, 64]`."""
    low, high = librosa.hz_to_mel(np.array([125.0, 7500.0]), htk=True)
    edges = np.linspace(low, high, NUM_BANDS + 2)
    bins = librosa.hz_to_mel(np.fft.rfftfreq(num_bins, 1 / _VGGISH_HZ), htk=True)[:, None]
    rising, falling = bins - edges[:-2], edges[2:] - bins
    return np.maximum(0, np.minimum(rising, falling)) / (edges[1] - edges[0])
