import dataclasses
import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.audio.io import write
from bassdiff.models import bass_codec
from bassdiff.models.bass_codec import BassCodec
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.mix_codec import MixCodec
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.weights import load_codec, save_codec
from bassdiff.runtime.errors import InputError
from bassdiff.training import recipes
from bassdiff.training.log import RunLog

RATE_HZ = 44100
CROP_SAMPLES = 8 * LATENT_HOP


def plucks(rng, num_samples):
    """A made-up bass: decaying tones of some partials, a new one every quarter of a second."""
    time_seconds = np.arange(num_samples) / RATE_HZ
    note, age = np.divmod(time_seconds, 0.25)
    frequency_hz = 55.0 * 2 ** (rng.integers(0, 12, 99)[note.astype(int)] / 12)
    tone = sum(np.sin(2 * np.pi * k * frequency_hz * time_seconds) / k for k in (1, 2, 3))
    return (0.2 * tone * np.exp(-4 * age) + 1e-3 * rng.normal(size=num_samples)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def few_partials():
    """Partials are what a step takes longest for; twenty, with bands, show as much as 96."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bass_codec, "NUM_PARTIALS", 20)
        yield


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A folder of songs, some for training and one for validation."""
    root, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(1)
    names = [f"song{i}" for i in range(100)]
    validation = [name for name in names if zlib.crc32(name.encode()) % 10 == 0]
    training = [name for name in names if name not in validation]
    for name in (*training[:4], validation[0]):
        (root / name).mkdir()
        for stem in ("bass", "drums"):
            write(root / name / f"{stem}.wav", plucks(rng, 2 * CROP_SAMPLES + 3000), RATE_HZ)
    return root


@pytest.fixture(scope="module")
def config(get_config, songs):
    config = get_config("autoencoder", "tiny")
    config.data.source = f"stems:{songs}"
    config.crop_samples = CROP_SAMPLES
    config.num_fit_clips = 8
    config.discriminator.frame_lengths = (256,)
    config.loss = dict(
        log_magnitude=2.0, multi_scale=1.0, waveform=0.3, adversarial=0.1, feature_matching=0.5
    )
    config.adversarial_from_step = 1
    config.warmup_steps, config.num_steps = 0, 100
    config.train_encoder = False
    return config


@pytest.fixture(scope="module")
def recipe(config, tmp_path_factory):
    """The objective and the dataset that the config describes."""
    return recipes.autoencoder.build(config, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def objective(recipe):
    return recipe[0]


@pytest.fixture(scope="module")
def fresh(objective):
    return jax.jit(objective.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def prepared(objective, fresh):
    return objective.prepare(fresh)


@pytest.fixture(scope="module")
def step(objective):
    programs = {part: jax.jit(objective.at(part).train_step) for part in (0, 1)}
    return lambda state, *rest: programs[min(int(state.step), 1)](state, *rest)


@pytest.fixture(scope="module")
def batch(recipe):
    _, dataset = recipe
    return {"audio": jnp.stack([dataset[i]["audio"] for i in range(2)])}


@pytest.fixture(scope="module")
def first(step, prepared, batch):
    return step(prepared, batch, jax.random.key(0))


@pytest.fixture(scope="module")
def second(step, first, batch):
    return step(first[0], batch, jax.random.key(0))


def moved(before, after):
    """Names of the modules of which some parameter changed."""
    changed = jax.tree.map(lambda a, b: bool(np.any(np.asarray(a) != np.asarray(b))), before, after)
    return {name for name, leaves in changed.items() if any(jax.tree.leaves(leaves))}


def test_the_closed_form_start_beats_a_random_one(objective, fresh, prepared, step, first, batch):
    _, metrics = step(fresh, batch, jax.random.key(0))
    assert float(first[1]["log_magnitude"]) < 0.7 * float(metrics["log_magnitude"])
    assert moved(fresh.params, prepared.params) == {"generator"}
    for a, b in zip(
        jax.tree.leaves(prepared.ema), jax.tree.leaves(prepared.params["generator"]), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_the_loss_is_the_weighted_sum_of_its_parts(objective, first, second):
    weights = vars(objective.weights)
    for (_, metrics), ramp in ((first, 0.0), (second, 1.0)):
        expected = sum(
            weight * metrics[name]
            for name, weight in weights.items()
            if ramp or name not in ("adversarial", "feature_matching")
        )
        np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
        assert float(metrics["skipped"]) == 0.0


def test_a_step_trains_the_decoder_and_leaves_a_fixed_encoder(prepared, first):
    state, _ = first
    assert int(state.step) == 1
    assert moved(prepared.params, state.params) == {"generator"}
    assert moved(prepared.params["generator"], state.params["generator"]) == {"decoder"}
    assert moved(prepared.ema, state.ema) == {"decoder"}


def test_networks_may_compute_in_bfloat16(objective, prepared, batch):
    half = dataclasses.replace(
        objective,
        model=objective.model.clone(dtype=jnp.bfloat16),
        discriminator=objective.discriminator.clone(dtype=jnp.bfloat16),
    )
    state, metrics = jax.eval_shape(half.train_step, prepared, batch, jax.random.key(0))
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(prepared), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert all(value.dtype == jnp.float32 for value in metrics.values())


def test_the_judge_joins_when_it_is_its_turn(first, second):
    assert moved(first[0].params["critic"], second[0].params["critic"])
    assert "critic" not in first[1]
    assert float(second[1]["critic"]) > 0.0


def test_the_judge_learns_to_tell_real_from_decoded(step, prepared, batch):
    state, losses = prepared, []
    for _ in range(12):
        state, metrics = step(state, batch, jax.random.key(0))
        losses.append(float(metrics.get("critic", np.nan)))
    np.testing.assert_allclose(losses[1], 2.0, atol=1.0)
    assert losses[-1] < losses[1] - 0.02


@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_a_spoilt_batch_changes_neither_network(step, first, batch, fault):
    state, _ = first
    spoilt = {"audio": batch["audio"].at[0, 100].set(fault)}
    after, metrics = step(state, spoilt, jax.random.key(0))
    assert float(metrics["skipped"]) == 1.0
    assert int(after.step) == 2
    for a, b in zip(
        jax.tree.leaves(after.replace(step=state.step)), jax.tree.leaves(state), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_exported_latents_are_normalised(objective, prepared, tmp_path):
    objective.export(prepared, tmp_path)
    weights = load_codec(tmp_path / "bass_codec.safetensors")
    assert weights.training == {"kind": "bass", "side": "bass", "target": "bass", "steps": 0}
    codec = Codec(weights)
    latents = np.concatenate([codec.encode(clip) for clip in objective.fit_clips])
    # The codec hears silence around a clip, where the statistics saw its cut ends.
    np.testing.assert_allclose(latents.mean(axis=0), 0.0, atol=0.1)
    np.testing.assert_allclose(latents.std(), 1.0, atol=0.05)


def test_validation_leaves_numbers_sound_and_pictures(objective, first, tmp_path):
    with RunLog(tmp_path) as log:
        objective.validate(first[0], log)
    scores = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert scores.pop("step") == 1
    assert set(scores) >= {"validation/multi_scale", "validation/log_magnitude"}
    assert all(np.isfinite(value) for value in scores.values())
    events = b"".join(path.read_bytes() for path in tmp_path.glob("events*"))
    for name in (b"audio/original", b"audio/decoded", b"spectrogram/decoded"):
        assert name in events


def test_a_codec_can_start_from_another(recipe, config, tmp_path):
    """And while its encoder stays, its latents go on to mean the same."""
    objective, _ = recipe
    folder = tmp_path / "first"
    state = jax.jit(objective.init)(jax.random.key(3))
    objective.export(state, folder)
    first = load_codec(folder / "bass_codec.safetensors")
    changed = config.copy_and_resolve_references()
    changed.init = str(folder)
    changed.num_fit_clips = 4
    again, _ = recipes.autoencoder.build(changed, tmp_path / "run")
    begun = again.prepare(jax.jit(again.init)(jax.random.key(0)))
    for tree in (begun.params["generator"], begun.ema):
        for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(first.params), strict=True):
            np.testing.assert_array_equal(a, b)
    again.export(begun, tmp_path / "second")
    second = load_codec(tmp_path / "second" / "bass_codec.safetensors")
    assert second.fingerprint == first.fingerprint
    # Which decoder it was, too: a fingerprint knows only encoders.
    assert second.training["init_checksum"] == first.checksum != first.fingerprint
    assert second.training["init_training"] == first.training
    assert "fresh_decoder" not in second.training
    changed.model.decoder_width = 6
    with pytest.raises(InputError, match=r"config.model.decoder_width is 6 and .* has 8"):
        recipes.autoencoder.build(changed, tmp_path / "run")


def test_an_encoder_alone_is_given_a_decoder(recipe, config, tmp_path):
    """Whose linear path fits it, so that its latents are heard at once and mean the same."""
    objective, _ = recipe
    state = objective.prepare(jax.jit(objective.init)(jax.random.key(3)))
    objective.export(state, tmp_path / "whole")
    whole = load_codec(tmp_path / "whole" / "bass_codec.safetensors")
    alone = {"encoder": whole.params["encoder"]}
    path = tmp_path / "alone" / "bass_codec.safetensors"
    save_codec(path, whole.model, alone, whole.mean, whole.std, {"kind": "bass"})
    changed = config.copy_and_resolve_references()
    changed.init = str(path.parent)
    changed.train_encoder = False
    again, _ = recipes.autoencoder.build(changed, tmp_path / "run")
    begun = again.prepare(jax.jit(again.init)(jax.random.key(0))).params["generator"]
    for a, b in zip(jax.tree.leaves(begun["encoder"]), jax.tree.leaves(alone), strict=True):
        np.testing.assert_array_equal(a, b)
    for layer in ("spectrum", "dynamics"):
        for a, b in zip(
            jax.tree.leaves(begun["decoder"][layer]),
            jax.tree.leaves(whole.params["decoder"][layer]),
            strict=True,
        ):
            # The encoder came from a file of half precision.
            np.testing.assert_allclose(a, b, rtol=5e-3, atol=0.02)


def test_a_fresh_decoder_takes_the_encoder_alone(recipe, config, tmp_path):
    objective, _ = recipe
    objective.export(jax.jit(objective.init)(jax.random.key(3)), tmp_path / "first")
    changed = config.copy_and_resolve_references()
    changed.init, changed.fresh_decoder = str(tmp_path / "first"), True
    again, _ = recipes.autoencoder.build(changed, tmp_path / "run")
    assert again.start is not None
    assert set(again.start.params) == {"encoder"}
    again.export(jax.jit(again.init)(jax.random.key(0)), tmp_path / "second")
    trained = load_codec(tmp_path / "second" / "bass_codec.safetensors").training
    assert trained["fresh_decoder"] is True


def test_an_encoder_that_a_fresh_decoder_is_fitted_to_stays(config, tmp_path):
    changed = config.copy_and_resolve_references()
    changed.init, changed.fresh_decoder, changed.train_encoder = "small", True, True
    with pytest.raises(InputError, match="for an encoder that stays"):
        recipes.autoencoder.build(changed, tmp_path / "run")


def test_a_codec_of_mixes_is_fitted_to_finished_recordings(get_config, tmp_path, rng):
    for album in range(12):
        path = tmp_path / "music" / f"album {album}" / "a.wav"
        path.parent.mkdir(parents=True)
        write(path, plucks(rng, 2 * CROP_SAMPLES + 3000), RATE_HZ)
    config = get_config("autoencoder", "tiny,mix")
    config.data.source = f"mixes:{tmp_path / 'music'}"
    config.crop_samples, config.num_fit_clips = CROP_SAMPLES, 4
    objective, dataset = recipes.autoencoder.build(config, tmp_path / "run")
    assert objective.model == MixCodec(**config.model)
    assert objective.model.kind == "mix"
    assert dataset[0]["audio"].std() > 0.01
    of_bass = get_config("autoencoder", "tiny")
    of_bass.data.source, of_bass.crop_samples = config.data.source, CROP_SAMPLES
    with pytest.raises(InputError, match="no separate bass"):
        recipes.autoencoder.build(of_bass, tmp_path / "other")


def test_crops_for_training_are_varied_and_those_for_validation_are_not(config, recipe, tmp_path):
    objective, dataset = recipe
    changed = config.copy_and_resolve_references()
    changed.varied_share = 1.0
    varied, varied_dataset = recipes.autoencoder.build(changed, tmp_path / "run")
    assert not np.allclose(dataset[0]["audio"], varied_dataset[0]["audio"], atol=1e-3)
    assert not np.allclose(objective.fit_clips, varied.fit_clips, atol=1e-3)
    np.testing.assert_array_equal(objective.validation_clips, varied.validation_clips)


def test_a_config_makes_crops_and_a_model(config, recipe, tmp_path):
    objective, dataset = recipe
    assert objective.model == BassCodec(**config.model)
    assert objective.fit_clips.shape == (8, 2 * CROP_SAMPLES)
    assert dataset[12345]["audio"].shape == (CROP_SAMPLES,)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("codec", "drums", "config.codec='drums' is not a codec; use bass, mix, spectrogram"),
        ("side", "mix", "config.side='mix' is nothing that a codec of the kind bass is trained on"),
        ("crop_samples", 3000, "config.crop_samples=3000 is not a whole number of latent frames"),
        ("crop_samples", 2**20, "no song of the store has"),
        ("fresh_decoder", True, "needs an encoder; name weights by config.init"),
        ("varied_share", 1.5, "config.varied_share=1.5 is not a share"),
    ],
)
def test_configs_that_cannot_be_used_are_refused(config, tmp_path, key, value, message):
    changed = config.copy_and_resolve_references()
    changed[key] = value
    with pytest.raises(InputError, match=message):
        recipes.autoencoder.build(changed, tmp_path / "run")
