"""Waveforms on their way from one machine to the next: files in the folder of the job.

Ray's blocks carry their names and never the waveforms, of which a block would outgrow Arrow's
columns and its store would spill to disk.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

from bassdiff.batch.storage import Storage
from bassdiff.runtime.atomic import atomic_file

# A mix that is to be played to, and a bass that is to be written.
MIX, BASS = ".mix", ".bass"


class Spool:
    """A folder of such files, named by song: what is put there twice replaces itself."""

    def __init__(self, storage: Storage, folder: str) -> None:
        """Opens the one of this name below the storage's folder."""
        self._storage, self._folder = storage, folder

    def put(self, song_id: str, kind: str, what: Any) -> None:
        """Leaves something for the next machine.

        Raises:
          InputError: The disk is full or cannot be written.
          StoreUnavailable: The store did not take it for long.
        """

        def make(path: Path) -> None:
            with atomic_file(path) as file:
                pickle.dump(what, file, protocol=5)

        self._storage.publish(self._name(song_id, kind), make)

    def take(self, song_id: str, kind: str) -> Any:
        """What was left, which is then deleted.

        Raises:
          FileNotFoundError: Another one has taken it.
          StoreUnavailable: The store did not answer for long.
        """
        name = self._name(song_id, kind)
        what = self._storage.read(name, pickle.load)
        self._storage.remove(name)
        return what

    def count(self, kind: str) -> int:
        """How many songs are on the way."""
        return self._storage.count(self._folder, kind)

    def clear(self) -> None:
        """Deletes all of it."""
        self._storage.remove(self._folder)

    def _name(self, song_id: str, kind: str) -> str:
        return f"{self._folder}/{hashlib.sha256(song_id.encode()).hexdigest()[:32]}{kind}"
