"""Round trips through Opus and mel spectra, for comparison with the codecs."""

from __future__ import annotations

import io

import av
import numpy as np
import soxr

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import SAMPLE_RATE_HZ

_OPUS_RATE_HZ = 48000
# The lowest bit rate of Opus.
LEAST_BITS_PER_SECOND = 6000
_MEL_HOP, _MEL_WINDOW = 1024, 4096
_ITERATIONS = 32


def through_opus(samples: np.ndarray, bits_per_second: float) -> np.ndarray:
    """Encodes with libopus and decodes again, without delay.

    Args:
      samples: `[N]` float32 at 44.1 kHz.
      bits_per_second: Bit rate, 6000 or more.

    Returns:
      `[N]` float32.
    """
    top = np.float32(max(1.0, float(np.abs(samples).max(initial=0.0))))
    wide = soxr.resample(samples / top, SAMPLE_RATE_HZ, _OPUS_RATE_HZ)
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=_OPUS_RATE_HZ, layout="mono")
        stream.bit_rate = round(bits_per_second)
        frame = av.AudioFrame.from_ndarray(wide[None], format="flt", layout="mono")
        frame.sample_rate = _OPUS_RATE_HZ
        container.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    with av.open(file, "r") as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    back = soxr.resample(np.concatenate(blocks), _OPUS_RATE_HZ, SAMPLE_RATE_HZ)[: len(samples)]
    return (np.pad(back, (0, len(samples) - len(back))) * top).astype(np.float32)


def through_mel(samples: np.ndarray, values_per_second: float) -> np.ndarray:
    """Reduces to a mel spectrum and reconstructs by Griffin-Lim (IEEE Trans. ASSP 32(2), 1984).

    Args:
      samples: `[N]` float32 at 44.1 kHz.
      values_per_second: Decides the number of bands, with frames of 1024 samples.

    Returns:
      `[N]` float32.
    """
    num_bands = round(values_per_second * _MEL_HOP / SAMPLE_RATE_HZ)
    bands = librosa.filters.mel(
        sr=SAMPLE_RATE_HZ, n_fft=_MEL_WINDOW, n_mels=num_bands, fmin=30.0, fmax=8000.0
    )
    spectrum = librosa.stft(samples, n_fft=_MEL_WINDOW, hop_length=_MEL_HOP)
    mel = bands @ np.abs(spectrum) ** 2
    # Least squares clipped at zero; non-negative least squares takes minutes.
    power = np.maximum(np.linalg.pinv(bands) @ mel, 0.0)
    back = librosa.griffinlim(
        np.sqrt(power),
        n_iter=_ITERATIONS,
        n_fft=_MEL_WINDOW,
        hop_length=_MEL_HOP,
        length=len(samples),
        random_state=0,
    )
    return back.astype(np.float32)
