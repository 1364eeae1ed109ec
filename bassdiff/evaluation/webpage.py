"""Writes self-contained pages, with sounds and pictures as data URIs."""

from __future__ import annotations

import base64
import contextlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import soundfile
from PIL import Image

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.loudness import loudness_lufs
from bassdiff.inference import picture
from bassdiff.inference.appearance import appearance
from bassdiff.runtime.atomic import OpenFile, atomic_file, make_folder

# About 72 kbit/s for a mono mix: twenty clips with four sounds each stay below 20 MB.
_MP3_COMPRESSION = 0.5
_PICTURE_WIDTH, _PICTURE_QUALITY = 1056, 70
_TARGET_LUFS = -20.0
# MP3 may overshoot the peaks it was given.
_MAX_PEAK = 10 ** (-1 / 20)
_TEMPLATES = Path(__file__).parent / "templates"


def write_page(out: Path, template: str, open_file: OpenFile = atomic_file, **values: Any) -> Path:
    """Fills a template, escaping all text, and writes the page whole or not at all.

    Args:
      out: Folder of the page; created if missing.
      template: File name of the template.
      open_file: Opens the file; from `atomic_files` for several that belong together.
      **values: Values for the template.

    Returns:
      The page's path, `out/index.html`.

    Raises:
      InputError: If the file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(**values)
    make_folder(out)
    path = out / "index.html"
    with open_file(path) as file:
        # File names may hold lone surrogates, which have no encoding.
        file.write(page.encode("utf-8", "replace"))
    return path


def mixdown(mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
    """Adds a bass to its mix `[N]`; a shorter bass is padded with silence."""
    bass = bass[: len(mix)]
    return mix + np.pad(bass, (0, len(mix) - len(bass)))


def matching_gains(signals: Sequence[np.ndarray]) -> list[float]:
    """Gains after which all signals are equally loud and none clips.

    Args:
      signals: Each `[N]` float at 44.1 kHz.

    Returns:
      Factors that bring every signal to -20 LUFS, or all to less if one would clip; 1 for silence.
    """
    gains = []
    for signal in signals:
        loudness = loudness_lufs(signal, SAMPLE_RATE_HZ)
        gains.append(10 ** ((_TARGET_LUFS - loudness) / 20) if math.isfinite(loudness) else 1.0)
    peak = max(
        (g * float(np.abs(s).max(initial=0)) for g, s in zip(gains, signals, strict=True)),
        default=0.0,
    )
    return [gain * min(1.0, _MAX_PEAK / max(peak, 1e-9)) for gain in gains]


def mp3_uri(samples: np.ndarray) -> str:
    """A data URI of an MP3 of `[N]` float samples at 44.1 kHz."""
    buffer = io.BytesIO()
    # At constant bit rates LAME attenuates by 0.4 dB.
    with soundfile.SoundFile(
        buffer,
        "w",
        SAMPLE_RATE_HZ,
        1,
        "MPEG_LAYER_III",
        format="MP3",
        bitrate_mode="VARIABLE",
        compression_level=_MP3_COMPRESSION,
    ) as file:
        file.write(np.clip(samples, -1.0, 1.0))
    return _data_uri("audio/mpeg", buffer.getvalue())


def picture_uri(mix: np.ndarray, bass: np.ndarray) -> str:
    """A data URI of `picture.draw`'s spectrograms, both `[N]` float at 44.1 kHz, as WebP."""
    drawn, small = io.BytesIO(), io.BytesIO()
    picture.draw(
        appearance(mix, SAMPLE_RATE_HZ, False),
        appearance(bass, SAMPLE_RATE_HZ, True),
        "picture.png",
        open_file=lambda _: contextlib.nullcontext(drawn),
    )
    with Image.open(drawn) as image:
        height = image.height * _PICTURE_WIDTH // image.width
        size = (_PICTURE_WIDTH, height)
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(
            small, "WEBP", quality=_PICTURE_QUALITY
        )
    return _data_uri("image/webp", small.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
