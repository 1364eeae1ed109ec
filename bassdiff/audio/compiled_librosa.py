"""Librosa, whose compiled loops are brought in by one process at a time.

    from bassdiff.audio.compiled_librosa import librosa

Numba compiles them on import and keeps them in files. Two processes that fill those at once leave
parts that do not belong together, and every later process dies of them without a word.
"""

import os
import tempfile
from pathlib import Path

from filelock import FileLock

with FileLock(Path(tempfile.gettempdir()) / f"bassdiff-{os.getuid()}.lock"):
    import librosa
    import librosa.beat
    import librosa.core.audio
    import librosa.core.pitch
    import librosa.util.utils

__all__ = ["librosa"]
