"""What is left of a bass after the codec, beside Opus and a mel spectrum of the same size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bassdiff.appraisal.stage import Stage
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.evaluation.compression import through_mel, through_opus
from bassdiff.evaluation.fidelity import frame_power, log_mel_distance, spectral_distance
from bassdiff.evaluation.pitch import pitch_agreement
from bassdiff.evaluation.table import Column, Row, Table, mean_score, ratio_score
from bassdiff.models.autoencoder import LATENT_HOP

# Latents are stored as float16.
BITS_PER_VALUE = 16
COLUMNS = (
    Column("pitch_kept", "pitch kept", "share of the original's pitched frames that are within "
           "25 cents", digits=3),
    Column("log_mel", "log-mel distance", "mean difference in dB, 64 bands", "lower"),
    Column("spectral", "spectral distance", "mean difference in dB, windows of 256 to 4096 "
           "samples", "lower"),
    Column("frame_power", "frames heard", "log2 of how much more goes with periods of 512, 1024 "
           "or 2048 samples than in the original, the worst of them; 1 is twice", "lower"),
)  # fmt: skip


def codec(stage: Stage) -> Table:
    """Sends every true bass through the codec and through what is commonly used instead.

    Args:
      stage: clips whose true basses are known.

    Raises:
      InputError: one is not.
    """
    stage.require_true()
    values_per_second = stage.bassist.bass_codec.num_channels * SAMPLE_RATE_HZ / LATENT_HOP
    bits_per_second = BITS_PER_VALUE * values_per_second
    systems: dict[str, tuple[str, Callable[[int], np.ndarray]]] = {
        "codec": ("bassdiff's codec", stage.codec),
        "opus": (
            f"Opus at {bits_per_second / 1000:.1f} kbit/s",
            lambda number: through_opus(stage.true(number), bits_per_second),
        ),
        "mel": (
            "mel spectrum and Griffin-Lim",
            lambda number: through_mel(stage.true(number), values_per_second),
        ),
    }
    rows = []
    for name, (label, copy_of) in systems.items():
        measured: dict[str, list[float]] = {column.name: [] for column in COLUMNS}
        num_pitched = []
        for number in stage.progress(range(len(stage.clips)), label):
            true, copy = stage.true(number), copy_of(number)
            agreement = pitch_agreement(true, copy)
            num_pitched.append(agreement.num_frames)
            for column, value in {
                "pitch_kept": agreement.within_25_cents,
                "log_mel": log_mel_distance(true, copy),
                "spectral": spectral_distance(true, copy),
                "frame_power": frame_power(true, copy),
            }.items():
                measured[column].append(value)
        scores = {column: mean_score(values, stage.songs) for column, values in measured.items()}
        frames = np.array(num_pitched, float)
        kept = np.array(measured["pitch_kept"]) * frames
        scores["pitch_kept"] = ratio_score(kept, frames, stage.songs)
        rows.append(Row(name, label, "system" if name == "codec" else "anchor", scores))
    return Table(
        "codec",
        "What does the codec keep?",
        stage.about(values_per_second=round(values_per_second), bits_per_value=BITS_PER_VALUE),
        COLUMNS,
        tuple(rows),
    )
