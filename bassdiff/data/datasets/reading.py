"""Reads prepared songs by index."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from bassdiff.data.datasets.song import REPORT, to_stems
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text
from bassdiff.synthesis.stems import Source, Stems


class PreparedSongs(Source):
    """The songs of one split of a prepared dataset: a `Source` with random access.

    Reading needs only the dataset's folder: neither the builder nor TensorFlow.
    """

    def __init__(self, folder: str | Path, split: str = "train"):
        """Opens `DATA_DIR/NAME[/COLLECTION]/VERSION`.

        Args:
          folder: The dataset's folder.
          split: "train", "validation", "test", or "all" for all existing ones in this order.

        Raises:
          InputError: If the split has no songs, or the folder holds no dataset of this package.
        """
        self._folder = Path(folder)
        self._songs: dict[str, list[tuple[str, int]]] = _metadata(self._folder)
        wanted = [split] if split != "all" else ["train", "validation", "test"]
        self._splits = [name for name in wanted if name in self._songs]
        if not self._splits:
            raise InputError(
                f"{folder}: has no songs for {split}; choose among {', '.join(self._songs)}."
            )

    @property
    def names(self) -> list[str]:
        """Names of the songs, in order; no audio is read."""
        return [name for split in self._splits for name, _ in self._songs[split]]

    @property
    def num_samples(self) -> list[int]:
        """Lengths of the songs at 44100 Hz, in order; no audio is read."""
        return [length for split in self._splits for _, length in self._songs[split]]

    def __len__(self) -> int:
        return sum(len(self._songs[split]) for split in self._splits)

    def __getitem__(self, index: int) -> Stems:
        index = range(len(self))[index]
        try:
            return to_stems(self._records[index])
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            raise InputError(
                f"{self._folder}: the record of {self.names[index]} is damaged; delete the "
                "folder and prepare it again."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens the files itself.
        return {key: value for key, value in vars(self).items() if key != "_records"}

    @functools.cached_property
    def _records(self) -> Sequence[dict[str, Any]]:
        builder = tfds.builder_from_directory(self._folder)
        return builder.as_data_source("+".join(self._splits))


def open_prepared(spec: str, split: str = "train") -> PreparedSongs:
    """Opens `NAME@DATA_DIR`, or `NAME/COLLECTION@DATA_DIR` if there are several.

    The newest version is opened.

    Raises:
      InputError: If there is no such dataset; the message names the command that prepares it.
    """
    name, _, where = spec.partition("@")
    if not (name and where):
        raise InputError(f"tfds:{spec} names no dataset; write tfds:NAME@DATA_DIR.")
    root = Path(where)
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder of datasets; check the path.")
    found = sorted((root / name).glob("*/dataset_info.json"), key=_version)
    found = found or sorted((root / name).glob("*/*/dataset_info.json"), key=_version)
    found = [path for path in found if not path.parent.name.startswith("incomplete.")]
    if not found:
        kind = name.partition("/")[0]
        raise InputError(
            f"{root / name}: is not prepared yet; run `bassdiff data prepare {kind} --from DIR "
            f"--out {root}`, whose --help lists the datasets there are."
        )
    collections = sorted({path.parent.parent.name for path in found})
    if len(collections) > 1:
        choices = ", ".join(f"tfds:{name}/{collection}@{where}" for collection in collections)
        raise InputError(f"tfds:{spec} may mean several collections; choose among {choices}.")
    return PreparedSongs(found[-1].parent, split)


def read_report(folder: Path) -> dict[str, Any]:
    """Reads the report on a dataset's recipe and on bad input; see `rules`.

    Raises:
      InputError: If there is none.
    """
    return _json(folder / REPORT)


def _metadata(folder: Path) -> dict[str, list[tuple[str, int]]]:
    path = folder / "metadata.json"
    try:
        return {
            split: [(_typed(name, str), _typed(length, int)) for name, length in songs]
            for split, songs in _json(path)["songs"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: does not list songs; delete {folder} and prepare it again."
        ) from error


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _json(path: Path) -> dict[str, Any]:
    try:
        values = parse_json(read_text(path))
        if not isinstance(values, dict):
            raise ValueError("not an object")
        return values
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: missing or damaged; delete {path.parent} and prepare it again."
        ) from error


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(word) for word in path.parent.name.split(".") if word.isdecimal())
