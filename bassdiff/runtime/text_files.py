"""Reads text files, whichever program saved them."""

from __future__ import annotations

import codecs
from pathlib import Path

from bassdiff.runtime.errors import InputError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """Reads a file as UTF-8, or as what the mark at its beginning says.

    The mark, which spreadsheets and editors write, is no part of the text. The locale decides
    nothing.

    Raises:
      OSError: It cannot be read.
      InputError: It is not text.
    """
    data = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        # As Python's text files do: one kind of line end.
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8; save it as UTF-8 text") from error
