"""The writing side of an evaluation folder: every bass that was played, and the tables."""

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

ABOUT, CLIPS = "about.json", "clips.json"


class Takes:
    """A folder that remembers what was asked, and keeps every bass that was played.

    What is there is not played again, so an evaluation that was interrupted goes on, and every
    task finds the basses of the others.
    """

    def __init__(
        self, path: str | Path, about: Mapping[str, Any], clips: Sequence[Clip] = ()
    ) -> None:
        """Checks that the folder can be made, or gone on with; writes nothing yet.

        The first bass that is kept makes it, so that a question that cannot be asked leaves
        nothing behind.

        Args:
          path: the folder.
          about: everything that decides what is played: data, clips, seed, weights, settings.
          clips: what is played to; their mixes and true basses are kept too.

        Raises:
          InputError: it was made with something else, or cannot be written.
        """
        self.path = Path(path)
        # As JSON gives it back, so that it compares equal to what is on disk.
        self.about: dict[str, Any] = json.loads(json.dumps(dict(about)))
        self._clips: Sequence[Clip] | None = clips
        check_folder(self.path)
        if (self.path / ABOUT).exists():
            self._check(self.path / ABOUT)

    def take(self, clip: Clip, system: str, play: Callable[[], np.ndarray]) -> np.ndarray:
        """What a system plays to a clip: read if it is there, else played and kept.

        Args:
          clip: the clip.
          system: the system's name, which becomes the file's.
          play: makes the bass `[N]` at 44.1 kHz.

        Returns:
          `[N]` float32, as it is on disk: a first run and a resumed one score the same samples.

        Raises:
          InputError: the file that is there is spoilt, or none can be written.
        """
        self._make()
        path = self._file(clip, system)
        if not path.is_file():
            self.keep(clip, system, play())
        try:
            return read_mono(path)
        except InputError as error:
            raise InputError(
                f"{path}: is truncated or damaged; delete it, and it is played again."
            ) from error

    def has(self, clip: Clip, system: str) -> bool:
        """Whether what a system plays to a clip is kept already."""
        return self._file(clip, system).is_file()

    def keep(self, clip: Clip, system: str, samples: np.ndarray) -> None:
        """Stores samples `[N]` at 44.1 kHz, 24 bits, softer where they would clip."""
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
            found = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read ({error}); choose another --out.") from error
        if not isinstance(found, dict):
            raise InputError(f"{file}: is no record of an evaluation; choose another --out.")
        for key in {**found, **self.about}:
            if found.get(key) != self.about.get(key):
                raise InputError(
                    f"{self.path} was made with another {key} ({found.get(key)!r}, not "
                    f"{self.about.get(key)!r}); choose another --out or delete it"
                )

    def _write(self, path: Path, text: str) -> None:
        with atomic_file(path) as file:
            file.write(text.encode())
