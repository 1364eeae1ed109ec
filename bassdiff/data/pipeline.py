"""Training examples by index: shuffled, repeated and cropped by grain, on any number of hosts.

Example i depends only on i and the seed, and is fixed before examples are dealt to processes, so
the sequence of global batches does not depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import grain
import numpy as np

from bassdiff.data.store import Store
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.variety import another_sound

# Grain needs a finite number of repeats; no run sees a song this often.
NUM_EPOCHS = 1_000_000
CROP_TRIALS = 20


class Songs:
    """A random-access source of song numbers; crops are read later."""

    def __init__(self, num_songs: int) -> None:
        self._num_songs = num_songs

    def __len__(self) -> int:
        return self._num_songs

    def __getitem__(self, index: int) -> int:
        return int(index)


class WaveformCrop(grain.transforms.RandomMap):
    """Maps a song number to a crop `{"audio": [N] float32}` that is not too quiet.

    Row, start and gain (±6 dB) are random; a share of the crops is changed by `another_sound`.
    """

    def __init__(
        self, store: Store, num_samples: int, min_rms: float = 0.01, varied_share: float = 0.0
    ) -> None:
        self._store = store
        self._num_samples = num_samples
        self._min_rms = min_rms
        self._varied_share = varied_share

    def random_map(self, song: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Reads one crop; the last attempt if none is loud enough."""
        num_rows, length = self._store.num_rows(song, "audio"), self._store.num_frames(song)
        for _ in range(CROP_TRIALS):
            row = int(rng.integers(num_rows))
            start = int(rng.integers(length - self._num_samples + 1))
            crop = self._store.crop(song, "audio", row, start, self._num_samples)
            crop = crop.astype(np.float32) / 32768.0
            if np.sqrt(np.mean(np.square(crop))) >= self._min_rms:
                break
        crop = crop * np.float32(10.0 ** (rng.uniform(-6.0, 6.0) / 20.0))
        if self._varied_share and rng.random() < self._varied_share:
            crop = another_sound(crop, rng)
        return {"audio": crop}


class LatentCrop(grain.transforms.RandomMap):
    """Maps a song number to float32 crops in which the bass plays.

    `{"bass": [T, C], "mix": [T, C'], "reference": [T, C]}`: a bass, its mix, and the same bass at
    another place of the song, which shares its sound but not its notes. Crops with less than
    `min_active` of their frames active, by the store's field `active`, are drawn again.
    """

    def __init__(self, store: Store, num_frames: int, min_active: float = 0.25) -> None:
        self._store = store
        self._num_frames = num_frames
        self._min_active = min_active

    def random_map(self, song: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Reads one crop; the last attempt if the bass rests in all of them."""
        active = self._store.read(song, "active")[0]
        num_keys, num_mixes = (self._store.num_rows(song, name) for name in ("bass", "mix"))
        mix = int(rng.integers(num_mixes))
        bass = mix // (num_mixes // num_keys)
        start, elsewhere = self._start(active, rng), self._start(active, rng)

        def crop(field: str, row: int, first: int) -> np.ndarray:
            return self._store.crop(song, field, row, first, self._num_frames).astype(np.float32)

        return {
            "bass": crop("bass", bass, start),
            "mix": crop("mix", mix, start),
            "reference": crop("bass", bass, elsewhere),
        }

    def _start(self, active: np.ndarray, rng: np.random.Generator) -> int:
        for _ in range(CROP_TRIALS):
            start = int(rng.integers(len(active) - self._num_frames + 1))
            if active[start : start + self._num_frames].mean() >= self._min_active:
                break
        return start


class ConfusableCrops(grain.transforms.RandomMap):
    """Maps a song number to `NUM_VIEWS` pairs of one song that differ only in their music.

    `{"bass": [V, T, C], "mix": [V, T, C']}` float32: a crop; the same moment in another key; the
    first key up to half a second earlier or later; the first key at a moment that does not overlap
    the first crop. Every bass belongs to one of the mixes, so that its sound alone cannot reveal a
    wrong pair.
    """

    NUM_VIEWS = 4
    # 0.1 s to 0.6 s: half a beat at 180 to 50 beats a minute.
    SHIFT_FRAMES = (2, 13)

    def __init__(self, store: Store, num_frames: int, min_active: float = 0.25) -> None:
        """Opens the crops.

        Raises:
          InputError: If the store has songs in one key only.
        """
        there = [song for song in range(len(store)) if store.num_frames(song)]
        if any(store.num_rows(song, "bass") < 2 for song in there):
            raise InputError("the store has its songs in one key; encode them with --keys 2")
        self._store = store
        self._num_frames = num_frames
        self._min_active = min_active
        # Room for a second crop elsewhere and one half a beat off, for any first crop.
        self.min_frames = max(3 * num_frames, num_frames + self.SHIFT_FRAMES[1])

    def random_map(self, song: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Reads the views of one song, which has `min_frames` or more."""
        active = self._store.read(song, "active")[0]
        num_keys, num_mixes = (self._store.num_rows(song, name) for name in ("bass", "mix"))
        starts = np.arange(len(active) - self._num_frames + 1)
        here = self._start(active, starts, rng)
        elsewhere = self._start(active, starts[abs(starts - here) >= self._num_frames], rng)
        shift = int(rng.integers(*self.SHIFT_FRAMES))
        near = here + shift if here + shift < len(starts) else here - shift
        first, second = rng.permutation(num_keys)[:2]
        views = ((first, here), (second, here), (first, near), (first, elsewhere))
        mixes_per_key = num_mixes // num_keys
        rows = [
            {"bass": key, "mix": key * mixes_per_key + rng.integers(mixes_per_key)}
            for key, _ in views
        ]
        return {
            name: np.stack(
                [
                    self._store.crop(song, name, of[name], start, self._num_frames)
                    for of, (_, start) in zip(rows, views, strict=True)
                ]
            ).astype(np.float32)
            for name in ("bass", "mix")
        }

    def _start(self, active: np.ndarray, starts: np.ndarray, rng: np.random.Generator) -> int:
        for _ in range(CROP_TRIALS):
            start = int(rng.choice(starts))
            if active[start : start + self._num_frames].mean() >= self._min_active:
                break
        return start


def examples(
    store: Store, crop: grain.transforms.RandomMap, crop_frames: int, seed: int
) -> grain.MapDataset:
    """An endless dataset of crops, with every song once per epoch in a new order.

    Args:
      store: The store.
      crop: Reads a crop of a song.
      crop_frames: Length of a crop in the store's frames; shorter songs are left out.
      seed: Decides order and crops.

    Returns:
      A dataset whose item i depends on i and `seed` alone.

    Raises:
      InputError: If no song is long enough.
    """
    long_enough = [i for i in range(len(store)) if store.num_frames(i) >= crop_frames]
    if not long_enough:
        raise InputError(f"no song of the store has {crop_frames} frames; shorten the crops")
    dataset = grain.MapDataset.source(Songs(len(long_enough))).map(lambda i: long_enough[i])
    return dataset.seed(seed).shuffle().repeat(NUM_EPOCHS).random_map(crop)


def mixed(datasets: Sequence[grain.MapDataset], weights: Sequence[float]) -> grain.MapDataset:
    """Interleaves endless datasets evenly, in proportion to their weights.

    The dataset of example i depends on i alone, so a mixture is as reproducible as its parts, on
    any number of processes. No example is lost or repeated.
    """
    return datasets[0] if len(datasets) == 1 else grain.MapDataset.mix(datasets, weights)
