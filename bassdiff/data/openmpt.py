"""Renders tracker modules with libopenmpt, one instrument at a time.

A module is a score that carries its own samples, so it can be separated exactly.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.runtime.errors import InputError

_INTERPOLATION, _WINDOWED_SINC = 3, 8
_CHUNK = 1 << 16
# Functions of libopenmpt's interface "interactive", in the order of its header.
_NUM_FUNCTIONS, _MUTE_INSTRUMENT = 16, 12


class Module:
    """A tracker module.

    Attributes:
      names: Names of its instruments, or of its samples if it has no instruments.
    """

    def __init__(self, path: Path):
        """Reads the module.

        Raises:
          InputError: If the file cannot be read or is not a module, or libopenmpt is missing.
        """
        self._path = path
        try:
            self._bytes = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
        with _Player(self) as player:
            self.names = player.names()

    def play(self, instruments: Collection[int], max_seconds: float) -> np.ndarray:
        """Renders some of the instruments, from the beginning to the first repetition.

        Args:
          instruments: Indices into `names`.
          max_seconds: Longest result.

        Returns:
          `[N]` float32 mono at 44.1 kHz; may exceed ±1. N does not depend on the instruments, and
          renderings of single instruments add up to that of all.
        """
        muted = [number for number in range(len(self.names)) if number not in instruments]
        with _Player(self) as player:
            return player.render(muted, round(max_seconds * SAMPLE_RATE_HZ))


class _Player:
    """A module at its beginning, in libopenmpt's memory."""

    def __init__(self, module: Module):
        self._lib = _library()
        self._ext = self._lib.openmpt_module_ext_create_from_memory(
            module._bytes, len(module._bytes), *[None] * 7
        )
        if not self._ext:
            raise InputError(f"{module._path}: is not a tracker module that libopenmpt can read.")
        self._module = self._lib.openmpt_module_ext_get_module(self._ext)

    def __enter__(self) -> _Player:
        return self

    def __exit__(self, *_: object) -> None:
        self._lib.openmpt_module_ext_destroy(self._ext)

    def names(self) -> list[str]:
        has_instruments = self._lib.openmpt_module_get_num_instruments(self._module) > 0
        kind = "instrument" if has_instruments else "sample"
        count = getattr(self._lib, f"openmpt_module_get_num_{kind}s")(self._module)
        get = getattr(self._lib, f"openmpt_module_get_{kind}_name")
        names = []
        for i in range(count):
            pointer = get(self._module, i)
            names.append(ctypes.string_at(pointer).decode("utf-8", "replace").strip())
            self._lib.openmpt_free_string(pointer)
        return names

    def render(self, muted: Sequence[int], num_samples: int) -> np.ndarray:
        functions = (ctypes.c_void_p * _NUM_FUNCTIONS)()
        if not self._lib.openmpt_module_ext_get_interface(
            self._ext, b"interactive", functions, ctypes.sizeof(functions)
        ):
            raise InputError("this libopenmpt cannot mute instruments; install 0.5 or later.")
        mute = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int)(
            functions[_MUTE_INSTRUMENT] or 0
        )
        for instrument in muted:
            mute(self._ext, instrument, 1)
        set_parameter = self._lib.openmpt_module_set_render_param
        set_parameter(self._module, _INTERPOLATION, _WINDOWED_SINC)
        pieces, left = [], num_samples
        while left > 0:
            piece = np.zeros(min(_CHUNK, left), np.float32)
            pointer = piece.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            got = self._lib.openmpt_module_read_float_mono(
                self._module, SAMPLE_RATE_HZ, len(piece), pointer
            )
            if not got:
                break
            pieces.append(piece[:got])
            left -= got
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


@functools.cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("openmpt")
    if name is None:
        raise InputError(
            "tracker modules are played by libopenmpt, which is not installed; install it "
            "(Debian and Ubuntu: libopenmpt0, macOS: brew install libopenmpt)."
        )
    library = ctypes.CDLL(name)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for function, result, arguments in (
        ("module_ext_create_from_memory", pointer, [ctypes.c_char_p, size, *[pointer] * 7]),
        ("module_ext_destroy", None, [pointer]),
        ("module_ext_get_module", pointer, [pointer]),
        ("module_ext_get_interface", ctypes.c_int, [pointer, ctypes.c_char_p, pointer, size]),
        ("module_get_num_instruments", ctypes.c_int32, [pointer]),
        ("module_get_num_samples", ctypes.c_int32, [pointer]),
        ("module_get_instrument_name", pointer, [pointer, ctypes.c_int32]),
        ("module_get_sample_name", pointer, [pointer, ctypes.c_int32]),
        ("free_string", None, [pointer]),
        ("module_set_render_param", ctypes.c_int, [pointer, ctypes.c_int, ctypes.c_int32]),
        (
            "module_read_float_mono",
            size,
            [pointer, ctypes.c_int32, size, ctypes.POINTER(ctypes.c_float)],
        ),
    ):
        found = getattr(library, f"openmpt_{function}")
        found.restype, found.argtypes = result, arguments
    return library
