"""Opens networks of others' making, which come as ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bassdiff.runtime.errors import InputError


def open_graph(path: Path, wanted_by: str, extra: str, providers: Sequence[str] = ()) -> Any:
    """A graph that is ready to run.

    Args:
      path: the ONNX file.
      wanted_by: what needs it, for the message about a missing onnxruntime.
      extra: the extra of bassdiff that installs onnxruntime.
      providers: onnxruntime's providers; when empty, all of this machine, the fastest first.

    Returns:
      An `onnxruntime.InferenceSession`.

    Raises:
      InputError: onnxruntime is not installed, or the file cannot be run.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"{wanted_by} needs onnxruntime, which is not installed; pip install "
            f"'bassdiff[{extra}]'."
        ) from error
    try:
        return onnxruntime.InferenceSession(
            path, providers=list(providers) or onnxruntime.get_available_providers()
        )
    except Exception as error:  # onnxruntime's errors have no base class of their own.
        raise InputError(f"{path}: is not a runnable ONNX file; export it again.") from error
