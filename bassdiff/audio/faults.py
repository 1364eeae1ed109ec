"""Errors of audio files: each is one sentence with its remedy."""

from __future__ import annotations

from pathlib import Path

from bassdiff.runtime.errors import InputError


def not_audio(path: Path) -> InputError:
    """No audio, or of an unknown kind."""
    return InputError(
        f"{path}: is not audio, or in a format that is not known here; export it as wav or flac."
    )


def no_samples(path: Path) -> InputError:
    """Audio of length zero."""
    return InputError(f"{path}: has a header but no samples; export it again.")


def damaged(path: Path, decoded: int) -> InputError:
    """A decoder gave up after `decoded` samples."""
    return InputError(
        f"{path}: cannot be decoded beyond sample {decoded}, so it is truncated or damaged; "
        "export it again."
    )


def short(path: Path, promised_samples: int, decoded: int) -> InputError:
    """Fewer samples than the header says."""
    return InputError(
        f"{path}: the header says at least {promised_samples} samples but {decoded} follow, "
        "so it is truncated; export it again."
    )


def truncated(path: Path, how: str) -> InputError:
    """Fewer bytes than the header says; `how` is a clause with both numbers."""
    return InputError(f"{path}: {how}, so it is truncated; export it again.")
