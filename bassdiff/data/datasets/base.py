"""Base class of the builders, on TFDS's shard-based builder.

Neither building nor reading needs TensorFlow. `tfds.core.GeneratorBasedBuilder` would need it: for
splits above 1 GB its shuffler writes through `tf.io.gfile`. `tfds.core.ShardBasedBuilder` does not
shuffle, keeps the order of songs, and writes shards in parallel on Apache Beam. `features.Audio`,
the command `tfds build` and `tfds.testing` need TensorFlow and are not used.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from bassdiff.data.datasets import archives, parts, rules
from bassdiff.data.datasets.archives import Archive
from bassdiff.data.datasets.rules import Track
from bassdiff.data.datasets.song import FEATURES, REPORT
from bassdiff.runtime.errors import InputError

# TFDS holds a shard in memory while it writes it.
SHARD_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True)
class Means:
    """How a dataset is built, without influence on its content.

    Attributes:
      workers: Processes on this machine.
      beam_options: Options of Apache Beam, which runs the work if they are given.
    """

    workers: int = 1
    beam_options: str | None = None


@dataclasses.dataclass
class SourceConfig(tfds.core.BuilderConfig):
    """A collection of the user: its `name`, and the origin of its songs.

    Attributes:
      folder: Folder of stems, recordings, tracker modules or MIDI files.
      soundfonts: .sf2 files to render with; the one in `pretty_midi` if empty.
      num_songs: Songs to compose for the training split; a tenth as many for validation.
      variants: Renderings per song.
      seed: Decides the renderings together with a song's name.
      max_seconds: Longest song; None for whole songs.
      separator: ONNX file of the network that separates recordings.
    """

    folder: str | None = None
    soundfonts: tuple[str, ...] = ()
    num_songs: int = 0
    variants: int = 1
    seed: int = 0
    max_seconds: float | None = None
    separator: str | None = None

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the dataset's content, as JSON values."""
        return {
            "folder": self.folder,
            "soundfonts": [_name_and_size(font) for font in self.soundfonts],
            **{name: getattr(self, name) for name in ("num_songs", "variants", "seed")},
            "max_seconds": self.max_seconds,
            **({"separator": _name_and_size(self.separator)} if self.separator else {}),
        }


class SongBuilder(tfds.core.ShardBasedBuilder, abc.ABC):
    """A dataset of multitrack songs; a subclass describes it and finds its tracks.

    Attributes:
      DESCRIPTION: One sentence.
      HOMEPAGE: URL.
      LICENSE: Licence of the dataset.
      CITATION: BibTeX.
      ARCHIVE: The published archive, if there is one.
      BITS: Bits of the FLAC files; 24 keep the mean of two 16-bit channels exactly.
      OPTIONS: Attributes of `SourceConfig` that apply, besides name and folder.
      means: How the dataset is built.
    """

    VERSION: ClassVar[tfds.core.Version] = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Mono stems at 44100 Hz as FLAC."}
    DESCRIPTION: ClassVar[str]
    HOMEPAGE: ClassVar[str | None] = None
    LICENSE: ClassVar[str | None] = None
    CITATION: ClassVar[str | None] = None
    ARCHIVE: ClassVar[Archive | None] = None
    BITS: ClassVar[int] = 24
    OPTIONS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *, file_format: str = "array_record", **options: Any):
        """Passes TFDS's options on: `data_dir`, `config` and `version`."""
        super().__init__(file_format=file_format, **options)
        self.means = Means()

    @abc.abstractmethod
    def _tracks(self, folder: Path | None) -> list[Track]:
        """Finds the songs, in a stable order.

        Args:
          folder: The unpacked dataset; None for one without a folder.

        Raises:
          InputError: If the folder has another layout.
        """

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION,
            features=FEATURES,
            homepage=self.HOMEPAGE,
            license=self.LICENSE,
            citation=self.CITATION,
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[functools.partial]]:
        config = self.builder_config
        folder = None
        if isinstance(config, SourceConfig):
            folder = Path(config.folder) if config.folder else None
        elif self.MANUAL_DOWNLOAD_INSTRUCTIONS:
            folder = Path(dl_manager.manual_dir)
        recipe = recipe_of(config, folder)
        archive: dict[str, Any] = {}
        if self.ARCHIVE is not None and folder is not None:
            path = folder / self.ARCHIVE.name
            if path.is_file():
                unpacked = archives.unpack(path, self.ARCHIVE, self.parts_dir / "archive")
                folder = unpacked.folder
                archive = {"archive": {"name": path.name, "md5": unpacked.md5}}
        tracks = self._tracks(folder)
        rules.check_names(tracks, str(folder or self.name))
        outcomes = parts.make_all(
            tracks, self.parts_dir, recipe, self.BITS, self.means.workers, self.means.beam_options
        )
        used = [outcome for outcome in outcomes if not outcome.left_out]
        self._report({"recipe": recipe, **archive}, outcomes)
        if not used:
            raise InputError(
                f"{folder or self.name}: no song can be used; the first: {outcomes[0].left_out}"
            )
        _check_space(used, self.parts_dir)
        splits = {
            split: [outcome for outcome in used if outcome.split == split]
            for split in ("train", "validation", "test")
        }
        splits = {split: songs for split, songs in splits.items() if songs}
        self.info.metadata["songs"] = {
            split: [(song.name, song.num_samples) for song in songs]
            for split, songs in splits.items()
        }
        return {
            split: [functools.partial(_examples, shard) for shard in _shards(songs)]
            for split, songs in splits.items()
        }

    def _report(self, made_from: dict[str, Any], outcomes: Sequence[parts.Outcome]) -> None:
        """Writes the report on the recipe and on bad input, and warns of the latter."""
        left_out = {o.name: o.left_out for o in outcomes if o.left_out}
        changed = {o.name: o.changes for o in outcomes if o.changes}
        for reason in left_out.values():
            warnings.warn(f"left out: {reason}", stacklevel=2)
        if changed:
            warnings.warn(f"{len(changed)} songs were changed; see {REPORT}.", stacklevel=2)
        report = {**made_from, "left_out": left_out, "changed": changed}
        # This folder gets its final name when everything is written.
        (Path(self.data_dir) / REPORT).write_text(json.dumps(report, indent=1))

    @property
    def parts_dir(self) -> Path:
        """Folder of finished songs, until the dataset is complete."""
        folder = Path(self.data_dir_root) / self.name
        if self.builder_config is not None:
            folder /= self.builder_config.name
        return folder / f".{self.version}.parts"

    def _post_download_and_prepare_hook(self) -> None:
        shutil.rmtree(self.parts_dir)


def recipe_of(config: Any, folder: Path | None) -> dict[str, Any]:
    """The recipe of a dataset as recorded in its report."""
    if isinstance(config, SourceConfig):
        return json.loads(json.dumps(config.recipe()))
    return {"folder": str(folder)}


def _name_and_size(file: str) -> tuple[str, int]:
    path = Path(file)
    return path.name, path.stat().st_size


def _shards(songs: Sequence[parts.Outcome]) -> Iterator[list[Path]]:
    shard: list[Path] = []
    size = 0
    for song in songs:
        if size >= SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(song.path)
        size += song.path.stat().st_size
    yield shard


def _examples(paths: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in paths:
        yield path.stem, parts.read_part(path)


def _check_space(songs: Sequence[parts.Outcome], folder: Path) -> None:
    needed, free = sum(song.path.stat().st_size for song in songs), free_bytes(folder)
    if free < needed:
        raise InputError(
            f"{folder.parent}: the dataset needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are "
            "free; free some space and run the command again, finished songs are kept."
        )


def free_bytes(folder: Path) -> int:
    """Free space on the folder's disk, in bytes."""
    return shutil.disk_usage(folder).free
