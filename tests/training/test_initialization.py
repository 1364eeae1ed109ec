"""Runs that start from weights instead of noise, and adapters of those."""

import json

import jax
import numpy as np
import pytest

from bassdiff.inference import generator
from bassdiff.pretrained import weights
from bassdiff.pretrained.release import load_codecs, load_weights, release
from bassdiff.runtime.errors import InputError
from bassdiff.training import initialization, recipes
from bassdiff.training.diffusion import DiffusionObjective


@pytest.fixture
def filled(tiny_weights, latent_stores):
    """Makes a config read the tiny stores and start from the tiny weights."""

    def fill(config):
        config.data.latents = str(latent_stores / "latents")
        config.data.validation_latents = str(latent_stores / "validation_latents")
        config.data.codecs = config.init = str(tiny_weights)
        return config

    return fill


@pytest.fixture
def config(get_config, filled):
    return filled(get_config("diffusion", "tiny"))


@pytest.fixture
def finetuning(get_config, filled):
    return filled(get_config("finetuning", "tiny"))


@pytest.fixture
def quick(monkeypatch):
    """Leaves out what every validation would compile; what is exported does not depend on it."""
    monkeypatch.setattr(DiffusionObjective, "validate", lambda self, state, log: 0.0)
    monkeypatch.setattr(recipes, "OnlineEvaluation", lambda *_: lambda state, log: None)


def assert_equal(tree, other):
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_starts_as_the_weights_are(config, tiny_weights, tmp_path):
    objective, _ = recipes.diffusion.build(config, tmp_path)
    state = objective.prepare(jax.jit(objective.init)(jax.random.key(0)))
    unet = load_weights(tiny_weights).unet
    assert_equal(state.params, unet.params)
    assert_equal(state.ema, unet.params)
    # What is donated must not be one array twice.
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    assert len(set(pointers)) == len(pointers)


def test_codecs_that_cannot_be_heard_are_trained_on_without_scores(
    config, tiny_weights, tmp_path, one_device, monkeypatch
):
    monkeypatch.setattr(DiffusionObjective, "validate", lambda self, state, log: 0.0)
    released = tmp_path / "released"
    release(tiny_weights, tiny_weights, released)
    codec, _ = load_codecs(released)
    path = released / "mix_codec.safetensors"
    alone = {"encoder": codec.params["encoder"]}
    weights.save_codec(path, codec.model, alone, codec.mean, codec.std, codec.training)
    config.data.codecs = config.init = str(released)
    with pytest.warns(UserWarning, match="released has no decoder, so basses are not scored"):
        assert int(recipes.run(config, tmp_path / "run").step) == config.num_steps
    logged = (tmp_path / "run" / "logs" / "metrics.jsonl").read_text()
    assert "loss" in logged and "music/" not in logged


def test_a_resumed_run_keeps_to_what_it_began_with(
    config, tiny_weights, tmp_path, one_device, quick
):
    config.num_steps = 4
    recipes.run(config, tmp_path)
    config.num_steps, config.init = 6, "nowhere"
    assert int(recipes.run(config, tmp_path).step) == 6
    unet = weights.load_unet(tmp_path / "weights" / "unet.safetensors", *load_codecs(tiny_weights))
    checksum = load_weights(tiny_weights).unet.checksum
    assert unet.training == {
        "steps": 6, "crop_frames": 32, "init": str(tiny_weights), "init_checksum": checksum,
        "init_training": load_weights(tiny_weights).unet.training,
    }  # fmt: skip


def test_what_a_run_began_with_is_known_from_its_first_checkpoint_on(tmp_path, tiny_weights):
    class Loaded:
        checksum = "now"
        training = {"steps": 8, "init": "older"}  # noqa: RUF012

    asked = []

    def load(name):
        asked.append(name)
        return Loaded()

    assert initialization.start(tmp_path, "", load) == (None, {})
    _, origin = initialization.start(tmp_path, "small", load)
    assert origin == {
        "init": "small",
        "init_checksum": "now",
        "init_training": {"steps": 8, "init": "older"},
    }
    initialization.remember(tmp_path, origin)
    # Without a checkpoint it never began.
    assert initialization.start(tmp_path, "other", load)[1]["init"] == "other"
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    assert initialization.start(tmp_path, "other", load)[1] == origin
    assert asked == ["small", "other", "small"]
    Loaded.checksum = "later"
    with pytest.raises(InputError, match=r"small has changed since the run in .* started from it"):
        initialization.start(tmp_path, "", load)
    initialization.remember(tmp_path, {})
    assert initialization.start(tmp_path, "small", load) == (None, {})
    (tmp_path / initialization.RECORD).unlink()
    assert initialization.start(tmp_path, "small", load) == (None, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": "small"}, "small/unet.safetensors was trained on the latents of mix codec"),
        ({"model.num_blocks": 2}, "config.model.num_blocks is 2 and .* has 1; describe the model"),
        ({"init": "", "adapter_rank": 2}, "no weights for this run to adapt; name some by --init"),
    ],
)
def test_weights_that_do_not_fit_are_refused(config, tmp_path, changes, message):
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        recipes.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_adapter_of_no_steps_is_the_network_itself(finetuning, tiny_weights, tmp_path):
    objective, _ = recipes.diffusion.build(finetuning, tmp_path)
    state = objective.prepare(jax.jit(objective.init)(jax.random.key(0)))
    objective.export(state, tmp_path)
    base, same = load_weights(tiny_weights), load_weights(tiny_weights, tmp_path)
    assert_equal(same.unet.params, base.unet.params)
    assert same.unet.bindings == base.unet.bindings
    assert same.unet.checksum != base.unet.checksum


# Untrained weights play at any level.
@pytest.mark.filterwarnings("default:the bass came out")
def test_an_adapter_learns_and_changes_what_is_played(
    finetuning, tiny_weights, tmp_path, one_device, quick
):
    finetuning.learning_rate = 0.03
    finetuning.num_steps = 40
    recipes.run(finetuning, tmp_path)
    lines = (tmp_path / "logs" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines if "gradient_norm" in line]
    assert np.mean(losses[-5:]) < np.mean(losses[:2])
    path = tmp_path / "weights" / "adapter.safetensors"
    assert not path.with_name("unet.safetensors").exists()
    adapter = weights.load_adapter(path)
    assert adapter.bindings["base"] == str(tiny_weights)
    assert adapter.training["rank"] == 2
    mix = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
    basses = [
        player.sampler.sample([player.sampler.request(mix, player.defaults)], player.defaults)[0]
        for player in (generator.load(tiny_weights), generator.load(tiny_weights, path))
    ]
    assert np.abs(basses[0] - basses[1]).max() > 1e-3
    # The folder alone plays the same.
    assert_equal(
        load_weights(path.parent).unet.params, load_weights(tiny_weights, path).unet.params
    )
