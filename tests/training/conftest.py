import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bassdiff.data.store_building import build
from bassdiff.pretrained.release import load_codecs
from bassdiff.synthesis.stems import Stems
from bassdiff.training import sharding
from bassdiff.training.guard import gradient_step
from bassdiff.training.objective import Objective
from bassdiff.training.state import fresh_state

NUM_EXAMPLES = 4096


class Regression(Objective):
    """The smallest objective with all that the loop relies on: keys, preparation, both outputs.

    Its weight matrix is large enough to be split over fsdp.
    """

    optimizer = optax.adam(1e-2, eps=1e-3)

    def __init__(self, on_validate=None):
        self.prepared = 0
        self.validated = []
        self._on_validate = on_validate

    def init(self, key):
        params = {"w": 0.1 * jax.random.normal(key, (256, 300)), "b": jnp.zeros(300)}
        return fresh_state(params, self.optimizer)

    def prepare(self, state):
        self.prepared += 1
        params = {**state.params, "b": np.ones(300, np.float32)}
        return state.replace(params=params, ema=jax.tree.map(jnp.copy, params))

    def train_step(self, state, batch, key):
        def mean_loss(params):
            x = batch["x"] + 0.1 * jax.random.normal(key, batch["x"].shape)
            return jnp.mean(jnp.square(x @ params["w"] + params["b"][None]))

        loss, grads = jax.value_and_grad(mean_loss)(state.params)
        return gradient_step(state, loss, grads, self.optimizer, ema_decay=0.9)

    def model_flops(self, batch_size):
        return 6.0 * batch_size * 256 * 300

    def validate(self, state, log):
        self.validated.append(int(state.step))
        log.scalars(int(state.step), {"validation/b": float(state.ema["b"].mean())})
        if self._on_validate is not None:
            self._on_validate(int(state.step))
        return float(jnp.abs(state.ema["b"]).mean())

    def export(self, state, folder):
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "b.npy", state.ema["b"])


class Noise(grain.transforms.RandomMap):
    """Index to a row of noise, not a number where the index is spoilt."""

    def __init__(self, spoilt):
        self._spoilt = spoilt

    def random_map(self, index, rng):
        x = rng.normal(size=256).astype(np.float32)
        return {"x": x if index not in self._spoilt else x * np.nan, "index": np.int32(index)}


def make_rows(spoilt=(), shuffled=True):
    """The regression's dataset; the rows `spoilt` are not numbers."""
    dataset = grain.MapDataset.range(NUM_EXAMPLES).seed(0)
    dataset = dataset.shuffle() if shuffled else dataset
    return dataset.repeat(10).random_map(Noise(frozenset(spoilt)))


@pytest.fixture(scope="session")
def regression():
    """The class of a minimal objective."""
    return Regression


@pytest.fixture(scope="session")
def rows():
    """Makes the regression's dataset."""
    return make_rows


@pytest.fixture
def one_device(monkeypatch):
    """Makes every mesh one of a single device."""

    def make_mesh(data, fsdp):
        axes = (jax.sharding.AxisType.Auto,) * 2
        return jax.make_mesh((1, 1), ("data", "fsdp"), axes, devices=jax.devices()[:1])

    monkeypatch.setattr(sharding, "make_mesh", make_mesh)


class NamedSongs:
    """Song names whose audio nobody asks for."""

    def __init__(self, title, count):
        self.names = tuple(f"{title}{i}" for i in range(count))

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        silent = np.zeros(40, np.float32)
        return Stems(self.names[index], silent, {"drums": silent}, 44100)


@pytest.fixture(scope="session")
def named_songs():
    return NamedSongs


@pytest.fixture(scope="session")
def latent_stores(tmp_path_factory, tiny_weights):
    """Stores of noise as latents of the tiny codecs: two splits, and one of other codecs."""

    def make_latents(source, song, rng):
        stems = source[song]
        shapes = {name: (1, len(stems.bass), codec.model.num_channels) for name, codec in named}
        latents = {name: rng.normal(size=size).astype(np.float16) for name, size in shapes.items()}
        return {**latents, "active": np.ones((1, len(stems.bass)), bool)}

    named = list(zip(("mix", "bass"), load_codecs(tiny_weights), strict=True))
    folder = tmp_path_factory.mktemp("latents")
    own = {name: codec.fingerprint for name, codec in named}
    for split, title, about in (
        ("latents", "song", own),
        ("validation_latents", "unseen", own),
        ("others", "other", {**own, "mix": "x"}),
    ):
        songs = NamedSongs(title, 6)
        build(folder / split, songs, make_latents, {"codecs": about}, seed=len(split))
    return folder


@pytest.fixture(scope="session")
def songs_in_keys(tmp_path_factory):
    """Stores of noise as features of both splits, every song in two keys; and one of one key."""

    def make(keys):
        def make_features(source, song, rng):
            fields = {side: rng.normal(size=(keys, 48, 6)) for side in ("mix", "bass")}
            fields = {side: values.astype(np.float16) for side, values in fields.items()}
            return {**fields, "active": np.ones((1, 48), bool)}

        return make_features

    folder = tmp_path_factory.mktemp("keys")
    about = {"codecs": {"mix": "spectrum", "bass": "spectrum"}}
    for split, title, keys in (
        ("latents", "song", 2),
        ("validation_latents", "unseen", 2),
        ("one_key", "other", 1),
    ):
        build(folder / split, NamedSongs(title, 16), make(keys), about, seed=len(split))
    return {name: folder / name for name in ("latents", "validation_latents", "one_key")}
