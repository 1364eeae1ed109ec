"""From a config to the training of a matching model."""

from __future__ import annotations

from pathlib import Path

import grain
import numpy as np
from ml_collections import ConfigDict

from bassdiff.data import pipeline
from bassdiff.data.store import Store
from bassdiff.models.matching import MatchingModel
from bassdiff.training.matching import MatchingObjective
from bassdiff.training.recipes.optimiser import adam, compute_dtype
from bassdiff.training.recipes.stores import mixed, open_stores, origin

NUM_VALIDATION_SONGS = 32
NUM_STATISTICS_SONGS = 64


def build(config: ConfigDict, workdir: Path) -> tuple[MatchingObjective, grain.MapDataset]:
    """The matching model's objective and its confusable crops of pre-encoded features."""
    del workdir
    mixtures = open_stores(config)
    model = MatchingModel(**config.model, dtype=compute_dtype(config))

    def examples(store: Store, seed: int) -> grain.MapDataset:
        crop = pipeline.ConfusableCrops(store, model.window_frames)
        return pipeline.examples(store, crop, crop.min_frames, seed)

    dataset, unseen_dataset = (
        mixed(mixtures[split], examples, config.seed) for split in ("train", "validation")
    )
    seen = [dataset[i] for i in range(NUM_STATISTICS_SONGS)]
    unseen = [unseen_dataset[i] for i in range(NUM_VALIDATION_SONGS)]
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
        # Avoids amplifying channels that are almost constant.
        std={side: np.maximum(values.std(axis=0), 0.02) for side, values in rows.items()},
        validation={side: np.stack([song[side] for song in unseen]) for side in ("mix", "bass")},
        bindings={"features": origin(mixtures["train"])},
    )
    return objective, dataset
