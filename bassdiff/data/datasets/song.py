"""Converts a song to a TFDS example and back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile
import tensorflow_datasets as tfds

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.synthesis.annotation import parse_annotation
from bassdiff.synthesis.stems import Stems

# The report on a dataset's recipe and bad input.
REPORT = "report.json"
# `features.Audio` decodes with TensorFlow, so FLAC files are stored as bytes.
FEATURES = tfds.features.FeaturesDict(
    {
        "name": tfds.features.Text(doc="unique within the set"),
        "num_samples": np.int64,
        "stems": tfds.features.Sequence(
            {
                "name": tfds.features.Text(doc="the first is bass"),
                "flac": tfds.features.Tensor(
                    shape=(), dtype=np.object_, doc="mono at 44100 Hz, 16 or 24 bits"
                ),
            }
        ),
        "annotation": tfds.features.Text(doc='JSON: {"beat_seconds": [...], "chords": [...]}'),
    }
)


def to_example(stems: Stems, bits: int) -> dict[str, Any]:
    """Encodes a song whose stems stay within ±1.

    Args:
      stems: Mono at 44100 Hz; multiples of 2^(1 - bits) are kept exactly.
      bits: 16 or 24.
    """
    audio = {"bass": stems.bass, **stems.others}
    return {
        "name": _text(stems.name),
        "num_samples": len(stems.bass),
        "stems": [{"name": _text(name), "flac": _flac(audio[name], bits)} for name in audio],
        "annotation": stems.annotation.to_json(),
    }


def to_stems(example: dict[str, Any]) -> Stems:
    """Decodes an example as read by a TFDS data source."""
    name = example["name"].decode()
    audio = {
        stem.decode(): soundfile.read(io.BytesIO(flac), dtype="float32")[0]
        for stem, flac in zip(example["stems"]["name"], example["stems"]["flac"], strict=True)
    }
    annotation = parse_annotation(example["annotation"].decode(), name)
    return Stems(name, audio.pop("bass"), audio, SAMPLE_RATE_HZ, annotation)


def _text(name: str) -> str:
    """A name as text, which those of files need not be."""
    return name.encode(errors="backslashreplace").decode()


def _flac(samples: np.ndarray, bits: int) -> bytes:
    # libsndfile writes floats scaled by 2^(bits - 1) - 1 but reads them by 2^(bits - 1).
    full_scale = 2.0 ** (bits - 1)
    scaled = np.round(samples.astype(np.float64) * full_scale)
    whole = np.clip(scaled, -full_scale, full_scale - 1).astype(np.int32) << (32 - bits)
    file = io.BytesIO()
    soundfile.write(file, whole, SAMPLE_RATE_HZ, format="FLAC", subtype=f"PCM_{bits}")
    return file.getvalue()
