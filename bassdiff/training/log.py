"""The log of a run: TensorBoard events and JSON lines."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType

import jax
import numpy as np
from tensorboardX import SummaryWriter

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.stft import log_magnitude, stft
from bassdiff.diffusion.types import Array
from bassdiff.runtime.errors import InputError

_STFT_LENGTH, _STFT_HOP = 1024, 256


class RunLog:
    """Writes scalars (also to `metrics.jsonl`), audio and pictures of one run.

    Args:
      folder: Folder of the event files.
      enabled: False on every process but the first; all calls do nothing then.
    """

    def __init__(self, folder: Path, enabled: bool = True) -> None:
        self.enabled = enabled
        self._path = folder / "metrics.jsonl"
        if enabled:
            folder.mkdir(parents=True, exist_ok=True)
            self._events = SummaryWriter(str(folder))
            self._lines = self._path.open("a", encoding="utf-8")

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.enabled:
            self._events.close()
            self._lines.close()

    def last_step(self) -> int:
        """The last recorded step of this run, including earlier processes; 0 if none."""
        last = 0
        if self.enabled:
            for line in self._path.read_text(encoding="utf-8").splitlines():
                # A killed process may have written half a line.
                with contextlib.suppress(json.JSONDecodeError):
                    last = json.loads(line)["step"]
        return last

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Logs scalars by name."""
        if self.enabled:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)
            try:
                self._lines.write(json.dumps({"step": step, **values}) + "\n")
                self._lines.flush()
            except OSError as error:
                raise InputError(
                    f"{self._path} cannot be written ({error.strerror}); free some space and run "
                    "again"
                ) from error

    def sound(self, step: int, name: str, samples: np.ndarray) -> None:
        """Logs a mono clip `[N]` at 44.1 kHz, N a multiple of 256, and its spectrogram."""
        if self.enabled:
            clipped = np.clip(np.asarray(samples, np.float32), -1.0, 1.0)
            self._events.add_audio(
                f"audio/{name}", clipped[:, None], step, sample_rate=SAMPLE_RATE_HZ
            )
            self.image(step, f"spectrogram/{name}", np.asarray(_spectrogram(clipped)).T[::-1])

    def image(self, step: int, name: str, values: np.ndarray) -> None:
        """Logs a matrix `[rows, columns]` as a grey image scaled to its range."""
        if self.enabled:
            low, high = float(values.min()), float(values.max())
            grey = (255 * (values - low) / max(high - low, 1e-9)).astype(np.uint8)
            self._events.add_image(name, grey[None], step)


@jax.jit
def _spectrogram(samples: Array) -> Array:
    return log_magnitude(stft(samples, _STFT_LENGTH, _STFT_HOP))
