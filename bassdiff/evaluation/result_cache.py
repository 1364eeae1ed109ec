"""Writes an evaluation folder: generated basses, which are reused, and tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bassdiff.audio.io import SAMPLE_RATE_HZ, read_mono
from bassdiff.evaluation.clips import Clip
from bassdiff.metrics.table import Table
from bassdiff.runtime.atomic import atomic_file, check_folder, make_folder
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text

ABOUT, CLIPS = "about.json", "clips.json"


class Takes:
    """A cache of the basses of an evaluation, bound to the request that made them.

    Existing basses are reused, so interrupted evaluations resume and tasks share their basses.
    """

    def __init__(
        self, path: str | Path, about: Mapping[str, Any], clips: Sequence[Clip] = ()
    ) -> None:
        """Checks that the folder can be created or resumed, without writing.

        The folder is created with its first bass, so that failing requests leave nothing behind.

        Args:
          path: The folder.
          about: Everything that decides the basses: data, clips, seed, weights, settings.
          clips: The clips, whose mixes and true basses are stored too.

        Raises:
          InputError: If the folder was made for another request, or cannot be written.
        """
        self.path = Path(path)
        # Through JSON, so that it compares equal to the file on disk.
        self.about: dict[str, Any] = json.loads(json.dumps(dict(about)))
        self._clips: Sequence[Clip] | None = clips
        check_folder(self.path)
        if (self.path / ABOUT).exists():
            self._check(self.path / ABOUT)

    def take(self, clip: Clip, system: str, play: Callable[[], np.ndarray]) -> np.ndarray:
        """The bass of a system for a clip, read from the cache or made and stored.

        Args:
          clip: The clip.
          system: The system's name, which is also the file's.
          play: Makes the bass `[N]` at 44.1 kHz.

        Returns:
          `[N]` float32 as read from disk, so that first and resumed runs score the same samples.

        Raises:
          InputError: If the stored file is damaged, or none can be written.
        """
        self._make()
        path = self._file(clip, system)
        if not path.is_file():
            self.keep(clip, system, play())
        try:
            return read_mono(path)
        except InputError as error:
            raise InputError(
                f"{path}: is truncated or damaged; delete it and run the evaluation again."
            ) from error

    def has(self, clip: Clip, system: str) -> bool:
        """Whether what a system plays to a clip is kept already."""
        return self._file(clip, system).is_file()

    def keep(self, clip: Clip, system: str, samples: np.ndarray) -> None:
        """Stores samples `[N]` at 44.1 kHz with 24 bits, attenuated if they would clip."""
        self._make()
        path = self._file(clip, system)
        if path.is_file():
            return
        samples = np.asarray(samples, np.float32)
        samples = samples / max(1.0, float(np.abs(samples).max()))
        make_folder(path.parent)
        with atomic_file(path) as file:
            soundfile.write(file, samples, SAMPLE_RATE_HZ, "PCM_24", format="FLAC")

    def save(self, table: Table) -> Path:
        """Writes a task's table as `TASK.json`."""
        self._make()
        path = self.path / f"{table.task}.json"
        self._write(path, table.to_json())
        return path

    def _file(self, clip: Clip, system: str) -> Path:
        return self.path / "clips" / clip.name / f"{system}.flac"

    def _make(self) -> None:
        if self._clips is None:
            return
        clips, self._clips = self._clips, None
        make_folder(self.path)
        self._write(self.path / ABOUT, json.dumps(self.about, indent=1) + "\n")
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

    def _check(self, file: Path) -> None:
        try:
            found = parse_json(read_text(file))
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read ({error}); choose another --out.") from error
        if not isinstance(found, dict):
            raise InputError(f"{file}: is not a record of an evaluation; choose another --out.")
        for key in {**found, **self.about}:
            if found.get(key) != self.about.get(key):
                raise InputError(
                    f"{self.path} was made with another {key} ({found.get(key)!r}, not "
                    f"{self.about.get(key)!r}); choose another --out or delete it"
                )

    def _write(self, path: Path, text: str) -> None:
        with atomic_file(path) as file:
            file.write(text.encode())
