"""Codec task: the loss of the codecs compared with Opus and mel spectra of the same size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.loudness import match_loudness
from bassdiff.audio.pitch import pitch_agreement
from bassdiff.data.mixing import MIX_LUFS
from bassdiff.evaluation.tasks.context import EvaluationContext
from bassdiff.metrics.compression import LEAST_BITS_PER_SECOND, through_mel, through_opus
from bassdiff.metrics.fidelity import (
    chroma_correlation,
    frame_power,
    log_mel_distance,
    spectral_distance,
)
from bassdiff.metrics.sound import sound
from bassdiff.metrics.table import Column, Row, Table, mean_score, ratio_score
from bassdiff.models.features import LATENT_HOP
from bassdiff.pretrained.codec import Codec

# Latents are stored as float16.
BITS_PER_VALUE = 16
COLUMNS = (
    Column("pitch_kept", "pitch kept", "share of the original's pitched frames that are within "
           "25 cents", digits=3),
    Column("log_mel", "log-mel distance", "mean difference in dB, 64 bands", "lower"),
    Column("spectral", "spectral distance", "mean difference in dB, windows of 256 to 4096 "
           "samples", "lower"),
    Column("hnr_loss", "loss of harmonic-to-noise ratio", "dB that a copy lies below its "
           "original", "lower", digits=1),
    Column("attack_loss", "loss of attack", "dB that the steepest rise of notes is less steep "
           "than the original's", "lower", digits=1),
    Column("frame_power", "frame-rate artefacts",
           "log2 of how much more goes with periods of 512, 1024 "
           "or 2048 samples than in the original, the worst of them; 1 is twice", "lower"),
    Column("chroma", "chroma of mixes", "correlation of a mix's chroma with that of the mix after "
           "as many values a second as the mix codec has", digits=3),
)  # fmt: skip


@dataclass(frozen=True)
class _System:
    """A codec under test: its label, and its round trips of basses and mixes."""

    label: str
    bass: Callable[[int], np.ndarray]
    mix: Callable[[np.ndarray], np.ndarray]


def codec(context: EvaluationContext) -> Table:
    """Measures round trips of every true bass and mix through the codecs and alternatives.

    Args:
      context: The evaluation; true basses must be known.

    Raises:
      InputError: If a true bass is unknown.
    """
    context.require_true()
    mix_codec = context.generator.mix_codec
    rates = {
        "values_per_second": _values_per_second(context.generator.bass_codec),
        "mix_values_per_second": _values_per_second(mix_codec),
    }
    bass_values, mix_values = rates.values()
    bass_bits, mix_bits = (
        max(BITS_PER_VALUE * values, LEAST_BITS_PER_SECOND) for values in rates.values()
    )
    systems = {
        "codec": _System(
            "bassdiff's codecs",
            context.codec,
            lambda mix: mix_codec.decode(mix_codec.encode(mix))[: len(mix)],
        ),
        "opus": _System(
            f"Opus at {bass_bits / 1000:.1f} kbit/s",
            lambda number: through_opus(context.true(number), bass_bits),
            lambda mix: through_opus(mix, mix_bits),
        ),
        "mel": _System(
            "mel spectrum and Griffin-Lim",
            lambda number: through_mel(context.true(number), bass_values),
            lambda mix: through_mel(mix, mix_values),
        ),
    }
    # The mix codec may be released without its decoder.
    is_mix_heard = "decoder" in mix_codec.weights.params
    columns = COLUMNS if is_mix_heard else COLUMNS[:-1]
    rows = []
    for name, system in systems.items():
        measured: dict[str, list[float]] = {column.name: [] for column in columns}
        num_pitched = []
        for number in context.progress(range(len(context.clips)), system.label):
            true, copy = context.true(number), system.bass(number)
            agreement = pitch_agreement(true, copy)
            num_pitched.append(agreement.num_frames)
            measured["pitch_kept"].append(agreement.within_25_cents)
            measured["log_mel"].append(log_mel_distance(true, copy))
            measured["spectral"].append(spectral_distance(true, copy))
            was, now = sound(true), sound(copy)
            measured["hnr_loss"].append(was.hnr_db - now.hnr_db)
            measured["attack_loss"].append(was.attack_db - now.attack_db)
            measured["frame_power"].append(frame_power(true, copy))
            if is_mix_heard:
                mix = match_loudness(context.clips[number].mix, SAMPLE_RATE_HZ, MIX_LUFS)
                measured["chroma"].append(chroma_correlation(mix, system.mix(mix)))
        scores = {column: mean_score(values, context.songs) for column, values in measured.items()}
        frames = np.array(num_pitched, float)
        kept = np.array(measured["pitch_kept"]) * frames
        scores["pitch_kept"] = ratio_score(kept, frames, context.songs)
        rows.append(Row(name, system.label, "system" if name == "codec" else "anchor", scores))
    return Table(
        "codec",
        "What do the codecs keep?",
        context.about(
            **{name: round(rate) for name, rate in rates.items()}, bits_per_value=BITS_PER_VALUE
        ),
        columns,
        tuple(rows),
    )


def _values_per_second(codec: Codec) -> float:
    return codec.num_channels * SAMPLE_RATE_HZ / LATENT_HOP
