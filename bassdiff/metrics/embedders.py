"""Turns audio into embeddings of its windows, for `distributions`; downloads nothing.

`log_mel` needs nothing else. VGGish, CLAP and MERT run from an ONNX file that you export once,
if you may use their weights; their licences, some of which forbid commercial use, are between
you and their owners. To export one with PyTorch, write

    class Network(torch.nn.Module):
        def __init__(self, network, take):
            super().__init__()
            self.network, self.take = network.eval(), take
        def forward(self, x):
            return self.take(self.network, x)

    torch.onnx.export(Network(network, take), (example,), "FILE.onnx", external_data=False)

where

    vggish  network  torch.hub.load("harritaylor/torchvggish", "vggish",
                                    preprocess=False, postprocess=False)
            take     lambda network, x: network(x)
            example  torch.zeros(1, 1, 96, 64)
    clap    network  transformers.ClapAudioModelWithProjection.from_pretrained(
                         "laion/larger_clap_music")
            take     lambda network, x: torch.nn.functional.normalize(
                         network(input_features=x).audio_embeds)
            example  torch.zeros(1, 1, 1001, 64)
    mert    network  transformers.AutoModel.from_pretrained("m-a-p/MERT-v1-95M",
                                                            trust_remote_code=True)
            take     lambda network, x: network(x).last_hidden_state
            example  torch.zeros(1, 142663)

Other exporters serve as well: a graph has one input, and its first output is taken.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import SAMPLE_RATE_HZ, resample
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.onnx_graph import open_graph

# 128 latent frames of 2048 samples; four windows fill a clip of the benchmark.
WINDOW_SECONDS = 128 * 2048 / SAMPLE_RATE_HZ

_VGGISH_HZ, _VGGISH_HOP, _VGGISH_FRAME, _VGGISH_PATCH = 16000, 160, 400, 96
_CLAP_HZ, _CLAP_SECONDS = 48000, 10
_MERT_HZ = 24000
# Rounded down, or resampling could cost a signal of whole windows its last one.
_MERT_SAMPLES = int(WINDOW_SECONDS * _MERT_HZ)
_NUM_BANDS = 64
_LOG_MEL_RANGE_HZ, _LOG_MEL_FFT, _LOG_MEL_HOP = (30.0, 16000.0), 4096, 2048
_LOG_MEL_FLOOR = 1e-8


class Embedder(Protocol):
    """Embeds windows of a bass, or of a mix together with its bass.

    Signals are `[N]` float at 44.1 kHz. Windows follow one another without overlap; what is left
    at the end is dropped, but a signal shorter than one window is filled up to one.
    """

    @property
    def name(self) -> str:
        """Recorded beside every score: distances of two embedders cannot be compared."""

    def sound(self, bass: np.ndarray) -> np.ndarray:
        """Embeds a bass alone, `[windows, D]` float32."""

    def pair(self, mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
        """Embeds a mix and its bass, as long as the mix, together: `[windows, D']` float32."""


class LogMel:
    """Mean and standard deviation of each mel band's level over a window of 5.9 s.

    Levels are relative to the signal's mean, in units of 40 dB above -40 dB, so that numbers are
    around 1, as the cubic kernel of `kernel_distance` likes them: `[windows, 128]`. Knows the
    spectrum's colour and its liveliness, nothing of harmony.
    """

    name = "log_mel"

    def sound(self, bass: np.ndarray) -> np.ndarray:
        """As `Embedder.sound`."""
        filters = librosa.filters.mel(
            sr=SAMPLE_RATE_HZ,
            n_fft=_LOG_MEL_FFT,
            n_mels=_NUM_BANDS,
            fmin=_LOG_MEL_RANGE_HZ[0],
            fmax=_LOG_MEL_RANGE_HZ[1],
        )
        length = round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
        power = np.stack(
            [
                filters @ _stft_power(window, _LOG_MEL_FFT, _LOG_MEL_HOP, center=False)
                for window in _windows(np.asarray(bass, np.float32), length)
            ]
        )  # [windows, bands, frames]
        # By signal and not by window: a rest is to differ from what is played around it.
        power /= max(float(power.mean()), np.finfo(np.float32).tiny)
        level = 1 + np.log10(power + _LOG_MEL_FLOOR) / 4
        return np.concatenate([level.mean(axis=2), level.std(axis=2)], axis=1, dtype=np.float32)

    def pair(self, mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
        """As `Embedder.pair`: the sum of both."""
        return self.sound(_sum(mix, bass))


@dataclass(frozen=True)
class FrontEnd:
    """What a network is fed.

    Attributes:
      features: `[N]` float at 44.1 kHz → `[windows, *shapes[0]]` float32.
      shapes: of one window; a graph takes any of these, which differ by axes of length 1.
    """

    features: Callable[[np.ndarray], np.ndarray]
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Onnx:
    """A network in an ONNX file, behind its front end.

    Attributes:
      name: kind, stem of the file and the first 8 hex digits of its SHA-256.
      features: as of `FrontEnd`.
      shape: of one window as the graph takes it.
      run: `[1, *shape]` float32 → `[1, D]`, or `[1, frames, D]` to be averaged over frames.
    """

    name: str
    features: Callable[[np.ndarray], np.ndarray]
    shape: tuple[int, ...]
    run: Callable[[np.ndarray], np.ndarray]

    def sound(self, bass: np.ndarray) -> np.ndarray:
        """As `Embedder.sound`."""
        # One at a time: a graph exported without dynamic axes takes no other batch.
        windows = self.features(bass).reshape(-1, 1, *self.shape)
        embedded = [np.asarray(self.run(window)) for window in windows]
        return np.concatenate(
            [rows.mean(axis=1) if rows.ndim == 3 else rows for rows in embedded], dtype=np.float32
        )

    def pair(self, mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
        """As `Embedder.pair`: the sum of both."""
        return self.sound(_sum(mix, bass))


def vggish_features(samples: np.ndarray) -> np.ndarray:
    """Log-mel patches of 0.96 s as VGGish was trained on, `[windows, 96, 64]`.

    16 kHz; Hann frames of 25 ms every 10 ms; magnitudes in 64 bands, 125…7500 Hz, whose
    triangles are straight over mel and not, as librosa's, over Hz; log(band + 0.01).

    Source: https://arxiv.org/abs/1609.09430.
    """
    samples = resample(samples, SAMPLE_RATE_HZ, _VGGISH_HZ)
    patch = (_VGGISH_PATCH - 1) * _VGGISH_HOP + _VGGISH_FRAME
    windows = _windows(samples, patch, _VGGISH_PATCH * _VGGISH_HOP)
    frames = np.lib.stride_tricks.sliding_window_view(windows, _VGGISH_FRAME, axis=1)
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
    filters = librosa.filters.mel(sr=_CLAP_HZ, n_fft=1024, n_mels=_NUM_BANDS, fmin=50, fmax=14000)
    power = np.stack(
        [filters @ _stft_power(window, 1024, 480) for window in _windows(samples, length)]
    )
    level_db = 10 * np.log10(np.maximum(power, 1e-10))
    return level_db.swapaxes(1, 2)[:, None].astype(np.float32)


def mert_features(samples: np.ndarray) -> np.ndarray:
    """Windows of 5.9 s at 24 kHz of zero mean and unit variance, `[windows, 142663]`.

    Source: https://arxiv.org/abs/2306.00107.
    """
    samples = resample(samples, SAMPLE_RATE_HZ, _MERT_HZ)
    windows = _windows(samples, _MERT_SAMPLES)
    windows = windows - windows.mean(axis=1, keepdims=True)
    return windows / np.sqrt(windows.var(axis=1, keepdims=True) + 1e-7)


_FRONT_ENDS = {
    "vggish": FrontEnd(
        vggish_features,
        (
            (_VGGISH_PATCH, _NUM_BANDS),
            (1, _VGGISH_PATCH, _NUM_BANDS),
            (_VGGISH_PATCH, _NUM_BANDS, 1),
        ),
    ),
    "clap": FrontEnd(clap_features, ((1, 1001, _NUM_BANDS),)),
    "mert": FrontEnd(mert_features, ((_MERT_SAMPLES,),)),
}


def open_embedder(which: str) -> Embedder:
    """Opens an embedder.

    Args:
      which: `log_mel`, or `vggish:FILE.onnx`, `clap:FILE.onnx` or `mert:FILE.onnx`.

    Returns:
      The embedder, tried out on silence.

    Raises:
      InputError: no such embedder, its file is missing, unreadable or does not fit, or
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


def _open_onnx(kind: str, file: str) -> Embedder:
    if not file:
        raise InputError(f"{kind}: needs its network; name it as {kind}:FILE.onnx.")
    path = Path(file)
    digest = _sha256(path)
    # Of all providers the only one that gives the same numbers on every machine.
    session = open_graph(path, kind, "embedders", ["CPUExecutionProvider"])
    front_end, inputs = _FRONT_ENDS[kind], session.get_inputs()
    embedder = Onnx(
        name=f"{kind}:{path.stem}-{digest[:8]}",
        features=front_end.features,
        shape=_fitting_shape(path, inputs, front_end),
        run=lambda window: session.run(None, {inputs[0].name: window})[0],
    )
    try:
        rank = np.ndim(embedder.run(np.zeros((1, *embedder.shape), np.float32)))
    except Exception as error:
        raise InputError(
            f"{path}: fails on a silent window; export it again for windows of shape "
            f"{[1, *embedder.shape]}."
        ) from error
    if rank not in (2, 3):
        raise InputError(
            f"{path}: its first output has {rank} axes; export it with [n, D] or [n, frames, D]."
        )
    return embedder


# What `open_embedder` knows: from the text after the colon, or "" where there is none.
_FACTORIES: dict[str, Callable[[str], Embedder]] = {
    "log_mel": _open_log_mel,
    **{kind: functools.partial(_open_onnx, kind) for kind in _FRONT_ENDS},
}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    # Large exports keep their weights beside the graph, which alone does not tell them apart.
    data = Path(f"{path}.data")
    try:
        for part in [path, data] if data.exists() else [path]:
            with part.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    return digest.hexdigest()


def _fitting_shape(path: Path, inputs: list[Any], front_end: FrontEnd) -> tuple[int, ...]:
    """The front end's shape that the graph takes."""
    wanted = " or ".join(str(["n", *shape]) for shape in front_end.shapes).replace("'", "")
    if len(inputs) != 1:
        raise InputError(
            f"{path}: has {len(inputs)} inputs; export it with one, float32 of shape {wanted}."
        )
    has, kind = inputs[0].shape, inputs[0].type
    for shape in front_end.shapes:
        # Axes of any length have a name or None instead of a number.
        if kind == "tensor(float)" and len(has) == 1 + len(shape):
            if all(not isinstance(a, int) or a == b for a, b in zip(has, (1, *shape), strict=True)):
                return shape
    raise InputError(
        f"{path}: takes {kind} of shape {has}; export it with float32 of shape {wanted}."
    )


def _sum(mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
    if np.shape(mix) != np.shape(bass):
        raise ValueError(f"mix {np.shape(mix)} and bass {np.shape(bass)} differ in length")
    return np.asarray(mix, np.float32) + np.asarray(bass, np.float32)


def _windows(samples: np.ndarray, length: int, hop: int | None = None) -> np.ndarray:
    """`[windows, length]`: whole ones, or the one that silence fills up."""
    samples = np.pad(samples, (0, max(0, length - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(samples, length)[:: hop or length]


def _stft_power(samples: np.ndarray, fft: int, hop: int, center: bool = True) -> np.ndarray:
    spectrum = librosa.stft(samples, n_fft=fft, hop_length=hop, center=center, pad_mode="reflect")
    return np.abs(spectrum) ** 2


def _vggish_filters(num_bins: int) -> np.ndarray:
    """`[num_bins // 2 + 1, 64]`."""
    low, high = librosa.hz_to_mel(np.array([125.0, 7500.0]), htk=True)
    edges = np.linspace(low, high, _NUM_BANDS + 2)
    bins = librosa.hz_to_mel(np.fft.rfftfreq(num_bins, 1 / _VGGISH_HZ), htk=True)[:, None]
    rising, falling = bins - edges[:-2], edges[2:] - bins
    return np.maximum(0, np.minimum(rising, falling)) / (edges[1] - edges[0])
