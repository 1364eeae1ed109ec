"""The writing side of an evaluation folder: every bass that was played, and the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bassdiff.audio.atomic import atomic_file
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.errors import InputError
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.table import Table

ABOUT, CLIPS = "about.json", "clips.json"


class Takes:
    """A folder that remembers what was asked, and keeps every bass that was played.

    What is there is not played again, so an evaluation that was interrupted goes on, and every
    task finds the basses of the others.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any]) -> None:
        """Creates the folder, or opens it to go on.

        Args:
          path: the folder.
          about: everything that decides what is played: data, clips, seed, weights, settings.

        Raises:
          InputError: it was made with something else, or cannot be written.
        """
        self.path = Path(path)
        # As JSON gives it back, so that it compares equal to what is on disk.
        self.about: dict[str, Any] = json.loads(json.dumps(dict(about)))
        file = self.path / ABOUT
        try:
            if file.exists():
                self._check(json.loads(file.read_text()))
                return
            self.path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{self.path} cannot be used as an evaluation folder ({error}); choose another"
            ) from error
        self._write(file, json.dumps(self.about, indent=1) + "\n")

    def save_clips(self, clips: Sequence[Clip]) -> None:
        """Keeps the mixes and true basses, for players and pictures."""
        for clip in clips:
            self.keep(clip, "mix", clip.mix)
            if clip.bass is not None:
                self.keep(clip, "true", clip.bass)
        listed = [
            {
                "name": clip.name,
                "song": clip.song,
                "start_seconds": clip.start_samples / SAMPLE_RATE_HZ,
                "seconds": len(clip.mix) / SAMPLE_RATE_HZ,
            }
            for clip in clips
        ]
        self._write(self.path / CLIPS, json.dumps(listed, indent=1) + "\n")

    def take(self, clip: Clip, system: str, play: Callable[[], np.ndarray]) -> np.ndarray:
        """What a system plays to a clip: read if it is there, else played and kept.

        Args:
          clip: the clip.
          system: the system's name, which becomes the file's.
          play: makes the bass `[N]` at 44.1 kHz.

        Returns:
          `[N]` float32, as it is on disk: a first run and a resumed one score the same samples.
        """
        path = self._file(clip, system)
        if not path.is_file():
            self.keep(clip, system, play())
        samples, _ = soundfile.read(path, dtype="float32")
        return samples

    def keep(self, clip: Clip, system: str, samples: np.ndarray) -> None:
        """Stores samples `[N]` at 44.1 kHz, 24 bits, softer where they would clip."""
        path = self._file(clip, system)
        if path.is_file():
            return
        samples = np.asarray(samples, np.float32)
        samples = samples / max(1.0, float(np.abs(samples).max()))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path.parent} cannot be made ({error.strerror}); free it") from error
        with atomic_file(path) as file:
            soundfile.write(file, samples, SAMPLE_RATE_HZ, "PCM_24", format="FLAC")

    def save(self, table: Table) -> Path:
        """Writes a task's table as `TASK.json`."""
        path = self.path / f"{table.task}.json"
        self._write(path, table.to_json())
        return path

    def _file(self, clip: Clip, system: str) -> Path:
        return self.path / "clips" / clip.name / f"{system}.flac"

    def _check(self, found: dict[str, Any]) -> None:
        for key in sorted({*found, *self.about}):
            if found.get(key) != self.about.get(key):
                raise InputError(
                    f"{self.path} was made with another {key} ({found.get(key)!r}, not "
                    f"{self.about.get(key)!r}); choose another --out or delete it"
                )

    def _write(self, path: Path, text: str) -> None:
        with atomic_file(path) as file:
            file.write(text.encode())
