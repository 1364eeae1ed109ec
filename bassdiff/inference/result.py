"""A bass that shows itself in a notebook, and is an array for everything else."""

from __future__ import annotations

import base64
import contextlib
import io
from typing import Any

import numpy as np
import soundfile

from bassdiff.audio.channels import to_mono
from bassdiff.audio.mixdown import mixdown
from bassdiff.runtime.errors import InputError

# libsndfile's Vorbis encoder overflows its stack on long single writes.
_BLOCK_SAMPLES = 1 << 16


class Picture:
    """A PNG file that a notebook shows."""

    def __init__(self, png: bytes) -> None:
        """From the file's bytes."""
        self.png = png

    def _repr_png_(self) -> bytes:
        return self.png


class Bass(np.ndarray):
    """Samples of a bass, `[N]` float32, with the mix that it was played to.

    In a notebook it shows two players, of the bass and of both. What numpy computes from it is an
    ordinary array.
    """

    sample_rate_hz: int | None = None
    mix: np.ndarray | None = None

    def __new__(cls, samples: np.ndarray, sample_rate_hz: int, mix: np.ndarray) -> Bass:
        """A view of samples.

        Args:
          samples: `[N]` float32.
          sample_rate_hz: Their rate.
          mix: `[N]` or `[N, channels]`.
        """
        self = np.asarray(samples).view(cls)
        self.sample_rate_hz, self.mix = sample_rate_hz, mix
        return self

    def __array_wrap__(
        self, array: np.ndarray, context: Any = None, return_scalar: bool = False
    ) -> Any:
        """Results of sums and the like are not this bass any more."""
        return array[()] if return_scalar else array.view(np.ndarray)

    def __reduce__(self) -> Any:
        return self.view(np.ndarray).__reduce__()

    def mixdown(self) -> np.ndarray:
        """The mix with the bass, `[N, channels]` float32, as loud as the mix and within full scale.

        Raises:
          InputError: It is a part of a bass.
        """
        mix, rate = self._whole()
        return mixdown(np.asarray(mix).reshape(len(mix), -1), self.view(np.ndarray), rate)[0]

    def picture(self) -> Picture:
        """The picture that `bassdiff generate` draws, for a notebook to show.

        Raises:
          InputError: It is a part of a bass.
        """
        # matplotlib takes a second to import.
        from bassdiff.inference.appearance import appearance
        from bassdiff.inference.picture import draw

        mix, rate = self._whole()
        file = io.BytesIO()
        mono = to_mono(np.asarray(mix, np.float32).reshape(len(mix), -1))
        shown = appearance(mono, rate, False), appearance(self.view(np.ndarray), rate, True)
        draw(*shown, "", lambda _: contextlib.nullcontext(file))
        return Picture(file.getvalue())

    def _whole(self) -> tuple[np.ndarray, int]:
        if self.mix is None or self.sample_rate_hz is None or len(self.mix) != len(self):
            raise InputError("a part of a bass has no mix; take the whole")
        return self.mix, self.sample_rate_hz

    def _repr_html_(self) -> str | None:
        try:
            _, rate = self._whole()
        except InputError:
            return None
        shown = (("bass", self.view(np.ndarray)[:, None]), ("mix with bass", self.mixdown()))
        return "".join(f"<div>{name}</div>{_player(samples, rate)}" for name, samples in shown)


def _player(samples: np.ndarray, sample_rate_hz: int) -> str:
    """Samples `[N, channels]` as an HTML player that holds them, as Ogg Vorbis."""
    samples = np.asarray(samples, np.float32)
    samples = samples / max(1.0, float(np.abs(samples).max(initial=0.0)))
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", sample_rate_hz, samples.shape[1], "VORBIS", format="OGG"
    ) as encoder:
        for start in range(0, len(samples), _BLOCK_SAMPLES):
            encoder.write(samples[start : start + _BLOCK_SAMPLES])
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls src="data:audio/ogg;base64,{data}"></audio>'
