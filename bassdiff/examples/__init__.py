"""A short mix without bass, to try the generator on.

It was composed and rendered by this package; this makes it again:

    python -c "from bassdiff import examples; examples.make_mix('mix.ogg')"
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

# A song whose chords (G, D over F sharp, E minor, G over D, C, ...) ask for a walk down.
STYLE, INDEX, RENDERING_SEED = "rock", 16, 2
DURATION_SECONDS = 24.0
FADE_SECONDS = 1.5
LOUDNESS_LUFS = -16.0


def example_mix() -> Path:
    """The path of the example: 24 s of drums, keys, melody and strings, mono, Ogg Vorbis."""
    return Path(str(resources.files(__name__) / "mix.ogg"))


def make_mix(path: str | Path) -> None:
    """Composes, renders and writes the example.

    Args:
      path: the file to write; its suffix decides the format.

    Raises:
      InputError: when the file cannot be written.
    """
    # Reading the example needs no renderer.
    from bassdiff.audio.io import write
    from bassdiff.audio.loudness import match_loudness
    from bassdiff.synthesis.effects import drive
    from bassdiff.synthesis.render import render
    from bassdiff.synthesis.songs import compose

    song = compose(INDEX, style=STYLE)
    stems = render(song, seed=RENDERING_SEED, max_seconds=DURATION_SECONDS)
    # Rounds off the drums' peaks, so that the mix can be as loud as a record.
    mix = drive(stems.mix(), 0.3)
    fade = int(FADE_SECONDS * stems.sample_rate_hz)
    mix[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32) ** 2
    mix = match_loudness(mix, stems.sample_rate_hz, LOUDNESS_LUFS)
    write(path, mix, stems.sample_rate_hz)
