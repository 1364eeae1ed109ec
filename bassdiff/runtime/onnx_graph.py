"""Runs networks of others' making, which come as ONNX files, within limits.

A graph is data, but what it computes may take any time and memory, and it may name other files.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.runtime.errors import InputError

_LARGEST_FILES = _LARGEST_MEMORY = 8 << 30
_MOST_THREADS = 16
# For one run, of a window of some seconds.
_LONGEST_SECONDS = 600.0
# Of a tensor that is in another file: the key, and the first bytes of the value.
_LOCATION = re.compile(rb"\x0a\x08location(.{0,4})", re.DOTALL)


class Graph:
    """A graph that is ready to run."""

    def __init__(self, path: Path, session: Any) -> None:
        """Takes an `onnxruntime.InferenceSession` and where it is from."""
        self._path, self._session = path, session

    @property
    def inputs(self) -> list[Any]:
        """What it takes: objects with a `name`, a `shape` and a `type`."""
        inputs: list[Any] = self._session.get_inputs()
        return inputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """All outputs, in order.

        Raises:
          InputError: It takes too long.
          Exception: Of onnxruntime: the inputs do not fit, or it takes too much memory.
        """
        import onnxruntime

        options = onnxruntime.RunOptions()
        timer = threading.Timer(_LONGEST_SECONDS, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            outputs: list[np.ndarray] = self._session.run(None, dict(inputs), options)
        except Exception as error:  # onnxruntime's errors have no base class of their own.
            if not options.terminate:
                raise
            raise InputError(
                f"{self._path}: computes for more than {_LONGEST_SECONDS:g} s; use another network."
            ) from error
        finally:
            timer.cancel()
        return outputs


def open_graph(path: Path, wanted_by: str, extra: str, providers: Sequence[str] = ()) -> Graph:
    """Opens an ONNX file.

    Args:
      path: the ONNX file.
      wanted_by: what needs it, for the message about a missing onnxruntime.
      extra: the extra of bassdiff that installs onnxruntime.
      providers: onnxruntime's providers; when empty, all of this machine, the fastest first.

    Raises:
      InputError: onnxruntime is not installed, or the file cannot be run, is too large or names
        files outside of its folder.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"{wanted_by} needs onnxruntime, which is not installed; pip install "
            f"'bassdiff[{extra}]'."
        ) from error
    try:
        _check_files(path)
        _limit_memory()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.intra_op_num_threads = min(_MOST_THREADS, os.cpu_count() or 1)
        # Only errors, which are raised too.
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            path, options, providers=list(providers) or onnxruntime.get_available_providers()
        )
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: is not a runnable ONNX file; export it again.") from error
    return Graph(path, session)


@functools.cache
def _limit_memory() -> None:
    """Limits what all graphs of this process may take on the CPU."""
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    arena = onnxruntime.OrtArenaCfg(_LARGEST_MEMORY, -1, -1, -1)
    onnxruntime.create_and_register_allocator(memory, arena)


def _check_files(path: Path) -> None:
    """Checks the sizes of a graph's files, and that they are in its folder."""
    folder = path.resolve().parent
    files = {path.resolve()}
    for name in _others(path):
        file = folder.joinpath(name).resolve()
        if not file.is_relative_to(folder):
            raise InputError(
                f"{path}: names the file {name}, which is outside of its folder; do not use it, or "
                "export it again as one file."
            )
        files.add(file)
    num_bytes = sum(file.stat().st_size for file in files)
    if num_bytes > _LARGEST_FILES:
        raise InputError(
            f"{path}: has {num_bytes / 1e9:.1f} GB of weights; use a network of at most "
            f"{_LARGEST_FILES / 1e9:.1f} GB."
        )


def _others(path: Path) -> Iterator[str]:
    """The names of the other files that hold its tensors."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for found in _LOCATION.finditer(data):
            # A value of text, and its length in 7 bits a byte.
            tag, *rest = found[1]
            size = rest[0] if rest[0] < 0x80 else (rest[0] & 0x7F) | rest[1] << 7
            start = found.start(1) + (2 if rest[0] < 0x80 else 3)
            if tag != 0x12 or size > 4096:
                raise ValueError("a location without a name")
            yield data[start : start + size].decode()
