"""Files to read, wherever they are, as local files."""

from __future__ import annotations

import contextlib
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from bassdiff.batch.item import is_url
from bassdiff.batch.patience import Patience, StoreUnavailable
from bassdiff.runtime.errors import InputError


@contextlib.contextmanager
def local_copy(name: str, scratch: Path | None, patience: Patience) -> Iterator[Path]:
    """A local file that holds what a path or URL names, while the body runs.

    Args:
      name: A path, which is given back, or a URL, which is downloaded.
      scratch: Folder for what is downloaded; None for the system's.
      patience: For stores that do not answer.

    Raises:
      InputError: It cannot be downloaded.
      StoreUnavailable: Its store did not answer for long.
    """
    if not is_url(name):
        yield Path(name)
        return
    try:
        fs, path = fsspec.url_to_fs(name)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{name}: cannot be reached ({error}); install bassdiff[s3], bassdiff[gcs] or "
            "bassdiff[http], or name a local file"
        ) from error
    if isinstance(fs, LocalFileSystem):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        # Decoders look at the suffix.
        copy = Path(folder) / ("copy" + posixpath.splitext(path.partition("?")[0])[1])
        try:
            patience(name, lambda: fs.get_file(path, str(copy)))
        except StoreUnavailable:
            raise
        except FileNotFoundError as error:
            raise InputError(f"{name}: there is no such file; check the URL") from error
        except Exception as error:
            # Every store has errors of its own kinds.
            raise InputError(
                f"{name}: cannot be downloaded ({type(error).__name__}: {error}); check the URL "
                "and your rights"
            ) from error
        yield copy
