"""From a config to the training of a matching model."""

from __future__ import annotations

from pathlib import Path

import grain
import numpy as np
from ml_collections import ConfigDict

from bassdiff.data import pipeline
from bassdiff.models.matching import MatchingModel
from bassdiff.recipes.optimiser import adam, compute_dtype
from bassdiff.recipes.stores import open_stores
from bassdiff.training.matching import MatchingObjective

NUM_VALIDATION_SONGS = 32
NUM_STATISTICS_SONGS = 64


def build(config: ConfigDict, workdir: Path) -> tuple[MatchingObjective, grain.MapDataset]:
    """The matching model's objective and its confusable crops of pre-encoded features."""
    del workdir
    stores = open_stores(config)
    model = MatchingModel(**config.model, dtype=compute_dtype(config))

    def crops(split: str) -> grain.MapDataset:
        crop = pipeline.ConfusableCrops(stores[split], model.window_frames)
        return pipeline.examples(stores[split], crop, crop.min_frames, config.seed)

    seen = [crops("train")[i] for i in range(NUM_STATISTICS_SONGS)]
    unseen = [crops("validation")[i] for i in range(NUM_VALIDATION_SONGS)]
    rows = {
        side: np.concatenate([song[side].reshape(-1, song[side].shape[-1]) for song in seen])
        for side in ("mix", "bass")
    }
    objective = MatchingObjective(
        model=model,
        optimizer=adam(config, b1=0.9, b2=0.98),
        ema_decay=config.ema_decay,
        noise=config.noise,
        mean={side: values.mean(axis=0) for side, values in rows.items()},
        # A channel that hardly moves says nothing, and must not be made to shout.
        std={side: np.maximum(values.std(axis=0), 0.02) for side, values in rows.items()},
        validation={side: np.stack([song[side] for song in unseen]) for side in ("mix", "bass")},
        bindings={"features": stores["train"].manifest["codecs"]},
    )
    return objective, crops("train")
