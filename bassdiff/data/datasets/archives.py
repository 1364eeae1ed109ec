"""Sets as their authors publish them: one file each, checked and unpacked before it is read.

TFDS's own `dl_manager.extract` needs TensorFlow, and holds what it unpacks in memory.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from bassdiff.runtime.errors import InputError

_BLOCK_BYTES = 1 << 20
_JUNK = "__MACOSX"
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, tarfile.TarError, zlib.error, EOFError)


@dataclasses.dataclass(frozen=True)
class Archive:
    """What is published.

    Attributes:
      name: of the file, a .zip or .tar.gz.
      num_bytes: its size, if it is published.
      md5: its checksum, if it is published; the archives' own host gives no other.
    """

    name: str
    num_bytes: int | None = None
    md5: str | None = None


@dataclasses.dataclass(frozen=True)
class Unpacked:
    """What an archive held.

    Attributes:
      folder: the set's own, the first one that is not all there is in its parent.
      md5: of the archive, whether or not one is published.
    """

    folder: Path
    md5: str


def unpack(path: Path, archive: Archive, target: Path) -> Unpacked:
    """Checks and unpacks an archive, or finds that an earlier call has.

    Args:
      path: the file.
      archive: what it should be.
      target: a folder to be made, which appears when all is in it.

    Raises:
      InputError: it is another file than was published, is damaged, or has no room.
      OSError: `target` cannot be written.
    """
    stamp, content = target / "archive.json", target / "content"
    if not target.is_dir():
        _check_size(path, archive)
        unfinished = target.with_name(f"{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            _check_room(path, unfinished)
            md5 = _md5(path)
            if archive.md5 not in (None, md5):
                raise InputError(
                    f"{path}: its MD5 is {md5}, not {archive.md5} as published; download it again."
                )
            _extract(path, unfinished / content.name)
            (unfinished / stamp.name).write_text(json.dumps({"md5": md5}))
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Unpacked(_own_folder(content), json.loads(stamp.read_text())["md5"])


def _check_size(path: Path, archive: Archive) -> None:
    num_bytes = path.stat().st_size
    if archive.num_bytes not in (None, num_bytes):
        raise InputError(
            f"{path}: has {num_bytes} bytes, not {archive.num_bytes} as published; download it "
            "again."
        )


def _check_room(path: Path, folder: Path) -> None:
    # It holds audio, which packs badly: what comes out is as large at least.
    needed, free = path.stat().st_size, shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{path}: to unpack it takes {needed / 1e9:.1f} GB at least and {free / 1e9:.1f} GB "
            "are free; free some space, or choose another folder."
        )


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    bar = tqdm(desc="checking", total=path.stat().st_size, unit="B", unit_scale=True, disable=None)
    with path.open("rb") as file, bar:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def _extract(path: Path, folder: Path) -> None:
    bar = tqdm(desc="unpacking", total=path.stat().st_size, unit="B", unit_scale=True, disable=None)
    is_zip = path.suffix == ".zip"
    try:
        with bar:
            for position in _from_zip(path, folder) if is_zip else _from_tar(path, folder):
                bar.update(position - bar.n)
    except _DAMAGE as error:
        raise InputError(f"{path}: is damaged ({error}); download it again.") from error


def _from_zip(path: Path, folder: Path) -> Iterator[int]:
    """Unpacks file by file; yields how much of the archive is behind."""
    position = 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            archive.extract(member, folder)
            position += member.compress_size
            yield position


def _from_tar(path: Path, folder: Path) -> Iterator[int]:
    """As `_from_zip`."""
    with path.open("rb") as file, gzip.open(file) as content:
        with tarfile.open(fileobj=content, mode="r|") as archive:
            for member in archive:
                archive.extract(member, folder, filter="data")
                yield file.tell()
        # What was unpacked is compared with its checksum at the very end.
        while content.read(_BLOCK_BYTES):
            pass


def _own_folder(folder: Path) -> Path:
    while True:
        inside = [path for path in folder.iterdir() if path.name != _JUNK]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]
