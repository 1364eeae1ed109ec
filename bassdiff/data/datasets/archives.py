"""Checks and unpacks the archives in which datasets are published.

TFDS's own `dl_manager.extract` needs TensorFlow and holds the content in memory.
"""

from __future__ import annotations

import dataclasses
import errno
import gzip
import hashlib
import json
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from bassdiff.runtime.errors import InputError

_BLOCK_BYTES = 1 << 20
_JUNK = "__MACOSX"
_DAMAGE = (
    *(zipfile.BadZipFile, gzip.BadGzipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, IndexError, KeyError, ValueError, OverflowError, struct.error),
)
# A place or a name in it that cannot be; other faults are the disk's.
_IMPOSSIBLE = (errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_ENCRYPTED = 1


@dataclasses.dataclass(frozen=True)
class Archive:
    """A published archive.

    Attributes:
      name: File name, a .zip or .tar.gz.
      num_bytes: Size, if published.
      md5: Checksum, if published.
    """

    name: str
    num_bytes: int | None = None
    md5: str | None = None


@dataclasses.dataclass(frozen=True)
class Unpacked:
    """The content of an archive.

    Attributes:
      folder: The dataset's folder: the outermost one with more than a single folder in it.
      md5: Checksum of the archive.
    """

    folder: Path
    md5: str


def unpack(path: Path, archive: Archive, target: Path) -> Unpacked:
    """Checks and unpacks an archive, unless an earlier call has.

    Args:
      path: The file.
      archive: The expected archive.
      target: Folder to create; it appears when it is complete.

    Raises:
      InputError: If the file differs from the published one, is damaged, or needs more space.
      OSError: If `target` cannot be written.
    """
    stamp, content = target / "archive.json", target / "content"
    if not target.is_dir():
        _check_size(path, archive)
        unfinished = target.with_name(f"{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / content.name).mkdir(parents=True)
        try:
            # It holds audio, which packs badly: what comes out is as large at least.
            _check_room(path, unfinished, path.stat().st_size)
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


def _check_room(path: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{path}: unpacking takes at least {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB "
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
    except tarfile.FilterError as error:
        raise InputError(
            f"{path}: holds what may not be unpacked ({error}); do not use it, and download the "
            "archive from its authors."
        ) from error
    except NotImplementedError as error:
        raise InputError(
            f"{path}: is compressed in a way that is not known here ({error}); unpack it yourself, "
            "and pack it again as a usual .zip."
        ) from error
    except InputError:
        raise
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, *_IMPOSSIBLE):
            raise
        raise InputError(f"{path}: is damaged ({error}); download it again.") from error


def _from_zip(path: Path, folder: Path) -> Iterator[int]:
    """Unpacks file by file; yields the position in the archive."""
    position = 0
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.flag_bits & _ENCRYPTED for member in members):
            raise InputError(
                f"{path}: is encrypted; unpack it yourself, and pack it again without a password."
            )
        _check_room(path, folder.parent, sum(member.file_size for member in members))
        for member in members:
            archive.extract(member, folder)
            position += member.compress_size
            yield position


def _from_tar(path: Path, folder: Path) -> Iterator[int]:
    """Unpacks file by file; yields the position in the archive."""
    with path.open("rb") as file, gzip.open(file) as content:
        with tarfile.open(fileobj=content, mode="r|") as archive:
            for member in archive:
                # How much there is in all is known at the end only.
                _check_room(path, folder.parent, member.size)
                archive.extract(member, folder, filter="data")
                yield file.tell()
        # gzip verifies its checksum at the end of the stream.
        while content.read(_BLOCK_BYTES):
            pass


def _own_folder(folder: Path) -> Path:
    while True:
        inside = [path for path in folder.iterdir() if path.name != _JUNK]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]
