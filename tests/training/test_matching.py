import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from bassdiff.models.matching import MatchingModel
from bassdiff.pretrained.weights import load_matching
from bassdiff.runtime.errors import InputError
from bassdiff.training import recipes
from bassdiff.training.log import RunLog
from bassdiff.training.matching import MatchingObjective, info_nce
from bassdiff.training.sharding import batch_sharding, replicated


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_info_nce_is_the_mean_cross_entropy_of_both_directions(rng):
    mix, bass = unit(rng.normal(size=(6, 4))), unit(rng.normal(size=(6, 4)))
    logits = 7.0 * mix @ bass.T
    expected = 0.0
    for i in range(6):
        for row in (logits[i], logits[:, i]):
            expected -= np.log(np.exp(row[i]) / np.exp(row).sum()) / 12
    loss, picked = info_nce(*map(jnp.asarray, (mix, bass)), jnp.asarray(7.0))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(picked) == pytest.approx(np.mean(logits.argmax(axis=1) == np.arange(6)))


def test_vectors_that_say_nothing_lose_the_logarithm_of_the_batch():
    same = jnp.ones((8, 4)) / 2
    assert float(info_nce(same, same, jnp.asarray(10.0))[0]) == pytest.approx(np.log(8), rel=1e-5)


@pytest.fixture(scope="module")
def objective():
    rng = np.random.default_rng(3)
    return MatchingObjective(
        model=MatchingModel(
            width=8, num_blocks=1, num_heads=2, reach_frames=8, embedding_size=8, window_frames=12
        ),
        optimizer=optax.adam(3e-3),
        ema_decay=0.9,
        noise=0.1,
        mean={"mix": np.full(4, 0.5, np.float32), "bass": np.zeros(4, np.float32)},
        std={"mix": np.full(4, 2.0, np.float32), "bass": np.ones(4, np.float32)},
        validation={
            side: rng.normal(size=(3, 4, 12, 4)).astype(np.float32) for side in ("mix", "bass")
        },
        bindings={"features": {"mix": "a", "bass": "b"}},
    )


def related(rng, songs=8, views=4):
    """Mixes and basses that are the same frames but for noise: a task that can be learnt."""
    bass = rng.normal(size=(songs, views, 12, 4))
    mix = 0.5 + 2.0 * (bass + 0.3 * rng.normal(size=bass.shape))
    return {"mix": mix.astype(np.float32), "bass": bass.astype(np.float32)}


@pytest.fixture(scope="module")
def step(objective):
    return jax.jit(objective.train_step)


def test_training_learns_who_belongs_to_whom(objective, step, rng):
    state = jax.jit(objective.init)(jax.random.key(0))
    history = []
    for i in range(150):
        state, metrics = step(state, related(rng), jax.random.fold_in(jax.random.key(1), i))
        history.append((float(metrics["loss"]), float(metrics["picked"])))
    assert np.mean([loss for loss, _ in history[-10:]]) < 0.5 * np.log(32) < history[0][0]
    assert np.mean([picked for _, picked in history[-10:]]) > 0.5


def test_negatives_come_from_all_devices(objective, rng):
    """One step on two devices is the step on one: every row sees every other."""
    # Adam would make steps of gradients that are zero but for rounding.
    objective = dataclasses.replace(objective, optimizer=optax.sgd(0.1))
    state = jax.jit(objective.init)(jax.random.key(0))
    batch, key = related(rng), jax.random.key(5)
    alone, metrics = jax.jit(objective.train_step)(state, batch, key)
    # Two devices hold as many secrets from one another as eight, and gather faster.
    axes = (AxisType.Auto,) * 2
    mesh = jax.make_mesh((2, 1), ("data", "fsdp"), axes, devices=jax.devices()[:2])
    with jax.set_mesh(mesh):
        rows = jax.device_put(batch, batch_sharding(mesh))
        split, split_metrics = jax.jit(
            objective.train_step, out_shardings=NamedSharding(mesh, P())
        )(jax.device_put(state, replicated(mesh)), rows, key)
    assert float(split_metrics["loss"]) == pytest.approx(float(metrics["loss"]), rel=1e-5)
    for one, other in zip(jax.tree.leaves(alone.ema), jax.tree.leaves(split.ema), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_step_without_a_finite_loss_changes_nothing(objective, step, rng):
    state = jax.jit(objective.init)(jax.random.key(0))
    batch = related(rng)
    batch["mix"][0, 0, 0, 0] = np.nan
    new, metrics = step(state, batch, jax.random.key(0))
    assert float(metrics["skipped"]) == 1.0
    for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(new.params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_validation_tells_each_confusion_apart(objective, tmp_path):
    state = jax.jit(objective.init)(jax.random.key(0))
    with RunLog(tmp_path) as log:
        objective.validate(state, log)
    text = (tmp_path / "metrics.jsonl").read_text()
    for name in ("picked", "scale", "not_another_key", "not_shifted", "not_elsewhere"):
        assert f"validation/{name}" in text


@pytest.fixture
def config(get_config, songs_in_keys):
    config = get_config("matching", "tiny")
    for split in ("latents", "validation_latents"):
        config.data[split] = str(songs_in_keys[split])
    return config


def test_a_config_trains_from_stores_to_weights(config, tmp_path, one_device):
    state = recipes.run(config, tmp_path)
    assert int(state.step) == config.num_steps == 8
    weights = load_matching(tmp_path / "weights" / "matching.safetensors")
    assert weights.bindings == {"features": {"mix": "spectrum", "bass": "spectrum"}}
    assert weights.model.window_frames == 16
    assert weights.mean["mix"].shape == weights.std["bass"].shape == (6,)
    for loaded, average in zip(
        jax.tree.leaves(weights.params), jax.tree.leaves(state.ema), strict=True
    ):
        np.testing.assert_array_equal(loaded, np.asarray(average, np.float16))


def test_songs_in_one_key_are_refused_before_anything_is_written(
    config, songs_in_keys, tmp_path, one_device
):
    config.data.latents = str(songs_in_keys["one_key"])
    with pytest.raises(InputError, match="encode them with --keys 2"):
        recipes.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
