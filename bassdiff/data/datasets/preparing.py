"""Prepares a dataset: from downloaded files to shards of songs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import filelock
import tensorflow_datasets as tfds

from bassdiff.data.datasets.base import Means, SongBuilder, SourceConfig, recipe_of
from bassdiff.data.datasets.moisesdb import MoisesDb
from bassdiff.data.datasets.musdb18_hq import Musdb18Hq
from bassdiff.data.datasets.reading import read_report
from bassdiff.data.datasets.recordings import Recordings
from bassdiff.data.datasets.rendered import ComposedSongs, MidiFolder
from bassdiff.data.datasets.slakh2100 import Slakh2100
from bassdiff.data.datasets.stem_folders import StemFolders
from bassdiff.data.datasets.tracker_modules import TrackerModules
from bassdiff.runtime.atomic import check_folder, make_folder
from bassdiff.runtime.errors import InputError

BUILDERS: dict[str, type[SongBuilder]] = {
    builder.name: builder
    for builder in (
        *(Musdb18Hq, MoisesDb, Slakh2100),
        *(StemFolders, Recordings, TrackerModules, MidiFolder, ComposedSongs),
    )
}
OF_USER = (StemFolders, Recordings, TrackerModules, MidiFolder, ComposedSongs)


def prepare(
    name: str,
    data_dir: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    collection: str | None = None,
    workers: int = 1,
    beam_options: str | None = None,
    **options: Any,
) -> Path:
    """Prepares a dataset, or resumes an interrupted preparation.

    Finished songs are kept in files of their own and not prepared again. The dataset appears under
    its name when it is complete. The same arguments give the same records in the same order, with
    any number of workers (protobuf may order the fields of a serialised example differently).

    Args:
      name: One of `BUILDERS`.
      data_dir: Root folder of TFDS; the dataset goes to `DATA_DIR/NAME[/COLLECTION]/VERSION`.
      folder: The unpacked dataset, its archive, or the archive's folder, as described by
        MANUAL_DOWNLOAD_INSTRUCTIONS; or the user's songs.
      collection: Name of the user's songs; the folder's name if None.
      workers: Processes on this machine.
      beam_options: Runs on Apache Beam instead, for instance "--runner=DirectRunner".
      **options: Other attributes of `SourceConfig` that are in the dataset's `OPTIONS`.

    Returns:
      The dataset's folder.

    Raises:
      InputError: If an argument is invalid, the input is fatally flawed by `rules`, or another
        process prepares the dataset.
    """
    if folder is not None:
        folder = _of_archive(name, Path(folder))
    builder = _builder(name, Path(data_dir), folder, collection, options)
    recipe = recipe_of(builder.builder_config, Path(folder).resolve() if folder else None)
    target = Path(builder.data_dir)
    check_folder(target.parent)
    make_folder(target.parent)
    lock = filelock.FileLock(target.parent / f".{builder.version}.lock")
    try:
        with lock.acquire(timeout=0):
            if target.is_dir():
                _check_recipe(target, recipe)
                return target
            for left_behind in target.parent.glob(f"incomplete.*_{builder.version}"):
                shutil.rmtree(left_behind)
            builder.means = Means(workers, beam_options)
            _build(builder, folder, beam_options)
    except filelock.Timeout as error:
        raise InputError(f"{target}: another process prepares it; wait for it.") from error
    return target


def _of_archive(name: str, path: Path) -> Path:
    """The folder of an archive, where TFDS looks for manual downloads; a folder as it is."""
    archive = BUILDERS[name].ARCHIVE if name in BUILDERS else None
    if not path.is_file():
        return path
    if archive is None or path.name != archive.name:
        published = f" or {archive.name}" if archive else ""
        raise InputError(f"{path}: is a file; {name} is made from a folder{published}.")
    return path.parent


def _builder(
    name: str,
    data_dir: Path,
    folder: str | os.PathLike[str] | None,
    collection: str | None,
    options: dict[str, Any],
) -> SongBuilder:
    if name not in BUILDERS:
        raise InputError(f"{name!r} is not a dataset; choose among {', '.join(BUILDERS)}.")
    kind = BUILDERS[name]
    if idle := options.keys() - kind.OPTIONS:
        raise InputError(f"{name} does not use {', '.join(sorted(idle))}; leave it out.")
    if (folder is None) != (kind is ComposedSongs):
        raise InputError(
            f"{name} needs no folder; leave it out."
            if folder
            else f"{name}: say in which folder it lies. {kind.MANUAL_DOWNLOAD_INSTRUCTIONS or ''}"
        )
    if folder is not None and not (Path(folder).is_dir() and any(Path(folder).iterdir())):
        raise InputError(f"{folder}: there is no such folder, or nothing in it; check the path.")
    for font in options.get("soundfonts", ()):
        if not Path(font).is_file():
            raise InputError(f"{font}: there is no such SoundFont; check the path.")
    separator = options.get("separator")
    if separator is not None and not Path(separator).is_file():
        raise InputError(f"{separator}: there is no such separator; check the path.")
    if not issubclass(kind, OF_USER):
        if collection is not None:
            raise InputError(f"{name} is one collection; leave out its name {collection!r}.")
        return kind(data_dir=data_dir)
    source = None if folder is None else str(Path(folder).resolve())
    called = collection or re.sub(r"\W+", "_", Path(source).name if source else "songs")
    if not re.fullmatch(r"[\w.-]+", called):
        raise InputError(f"{called!r} names no collection; use letters, digits, _, - and dots.")
    return kind(data_dir=data_dir, config=SourceConfig(name=called, folder=source, **options))


def _build(
    builder: SongBuilder, folder: str | os.PathLike[str] | None, beam_options: str | None
) -> None:
    config = tfds.download.DownloadConfig(
        manual_dir=None if folder is None else str(Path(folder).resolve())
    )
    if beam_options is not None:
        config.beam_runner, config.beam_options = _beam(beam_options)
    try:
        # TFDS prints to standard output, which belongs to the caller.
        with contextlib.redirect_stdout(sys.stderr):
            # Nothing is downloaded; this folder is removed with the parts.
            builder.download_and_prepare(
                download_dir=builder.parts_dir / "downloads", download_config=config
            )
    except (OSError, RuntimeError) as error:
        # While writing, ArrayRecord raises RuntimeError for disk faults only.
        if isinstance(error, RuntimeError) and "; writing " not in str(error):
            raise
        reason = (getattr(error, "strerror", None) or str(error).partition(";")[0]).lower()
        raise InputError(
            f"{builder.data_dir}: cannot be written ({reason}); free some space or choose another "
            "folder, and run the command again: finished songs are kept."
        ) from error


def _beam(options: str) -> tuple[str, Any]:
    from bassdiff.data.datasets.parts import pipeline_options

    parsed = pipeline_options(options)
    return parsed.get_all_options()["runner"] or "DirectRunner", parsed


def _check_recipe(target: Path, recipe: dict[str, Any]) -> None:
    found = read_report(target)["recipe"]
    if found != recipe:
        key = next(key for key in {**recipe, **found} if found.get(key) != recipe.get(key))
        raise InputError(
            f"{target}: was made with another {key} ({found.get(key)}); delete it, or choose "
            f"another folder{' or name' if 'seed' in recipe else ''} for the new one."
        )
