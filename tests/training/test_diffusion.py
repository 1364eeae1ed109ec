import contextlib
import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bassdiff.data.store import MANIFEST
from bassdiff.diffusion.denoiser import precondition
from bassdiff.diffusion.schedules import cosine_levels
from bassdiff.diffusion.statistics import Sounding
from bassdiff.diffusion.types import Cond
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.unet import UNet
from bassdiff.pretrained.release import load_codecs
from bassdiff.pretrained.weights import CodecWeights, load_unet
from bassdiff.runtime.errors import InputError
from bassdiff.training import recipes
from bassdiff.training.diffusion import ERROR_LEVELS, Conditioning, DiffusionObjective
from bassdiff.training.log import RunLog
from bassdiff.training.sharding import batch_sharding, make_mesh, replicated
from bassdiff.training.utilisation import program_collectives

CHANNELS, FRAMES = 4, 8
SAMPLING = dict(
    solver="euler", schedule="cosine", steps=4, sigma_min=0.1, guidance=2.0, rescale=0.5
)


def pair(rng, rows, num_frames=FRAMES):
    """Basses of unit variance that are nothing but their mixes' first channels.

    But for the last one, which is that of the reference: a sound that no mix tells of.
    """
    mix = rng.normal(size=(rows, num_frames, 6)).astype(np.float32)
    bass = mix[..., :CHANNELS].copy()
    bass[..., -1] = rng.normal(size=(rows, 1))
    reference = rng.normal(size=bass.shape).astype(np.float32)
    reference[..., -1] = bass[..., -1]
    return {"bass": bass, "mix": mix, "reference": reference}


@pytest.fixture(scope="module")
def objective(tiny_layout):
    return DiffusionObjective(
        model=UNet(CHANNELS, (16,), 1, attention_levels=(0,), num_heads=2, reach_frames=FRAMES),
        # Some gradients are zero but for rounding, which Adam would make steps of.
        optimizer=optax.adam(1e-2, eps=1e-5),
        levels=cosine_levels,
        ema_decay=0.9,
        conditioning=Conditioning(drop_mix=0.2, drop_mix_low=0.2, mix_noise=0.2, drop_style=0.3),
        num_mix_channels=6,
        crop_frames=FRAMES,
        validation=pair(np.random.default_rng(9), 16),
        decode=lambda latents: np.repeat(latents.sum(axis=1), 256),
        bindings={"mix_codec": "m", "bass_codec": "b", "sampling": SAMPLING},
        layout=tiny_layout,
    )


@pytest.fixture(scope="module")
def fresh(objective):
    return jax.jit(objective.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def step(objective):
    return jax.jit(objective.train_step)


@pytest.fixture(scope="module")
def batch():
    return pair(np.random.default_rng(1), 16)


@pytest.fixture(scope="module")
def trained(step, fresh):
    """The state after 150 steps, and the loss of each."""
    rng, state, losses = np.random.default_rng(2), fresh, []
    for i in range(150):
        state, metrics = step(state, pair(rng, 16), jax.random.key(i))
        losses.append(float(metrics["loss"]))
    return state, losses


def test_the_first_loss_is_the_variance_of_the_data(step, fresh, batch):
    _, metrics = step(fresh, batch, jax.random.key(0))
    np.testing.assert_allclose(metrics["loss"], 1.0, atol=0.15)
    assert float(metrics["gradient_norm"]) > 0
    assert float(metrics["skipped"]) == 0.0


def test_the_key_decides_noise_levels_and_dropout(step, fresh, batch):
    first, again, other = (step(fresh, batch, jax.random.key(k))[1]["loss"] for k in (0, 0, 1))
    assert float(first) == float(again) != float(other)


def test_training_lowers_the_loss(trained):
    _, losses = trained
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:3])


def test_validation_shows_that_the_mix_is_used(objective, trained, tmp_path):
    with RunLog(tmp_path) as log:
        objective.validate(trained[0], log)
        objective.validate(trained[0], log)
    first, again = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert first == again
    assert first["step"] == 150
    assert first["validation/own_mix"] < 0.7 * first["validation/no_mix"]
    assert first["validation/no_mix"] < first["validation/other_mix"]
    assert first["validation/own_style"] < 0.98 * first["validation/own_mix"]


def test_errors_of_estimates_are_those_of_the_denoiser(objective, trained, tmp_path):
    """Root mean squares by level, found from the velocity, are those of x0 itself."""
    with RunLog(tmp_path) as log:
        objective.validate(trained[0], log)
    logged = json.loads((tmp_path / "metrics.jsonl").read_text())
    bass, mix = (jnp.asarray(objective.validation[name]) for name in ("bass", "mix"))
    noise, rows = jax.random.normal(jax.random.key(0), bass.shape), len(bass)
    cond = Cond(mix, jnp.ones(rows), jnp.full(rows, FRAMES))
    denoise = jax.jit(precondition(objective.network(trained[0].ema)))
    for sigma in ERROR_LEVELS:
        estimate = denoise(bass + sigma * noise, jnp.full(rows, sigma), cond)
        error = float(jnp.sqrt(jnp.mean(jnp.square(estimate - bass))))
        assert logged[f"validation/error_at_{sigma:g}"] == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("fsdp", [1, 2])
def test_all_devices_share_a_validation(objective, trained, tmp_path, monkeypatch, fsdp):
    """Of 13 rows, which eight devices cannot share evenly: the same losses and sounds."""
    unseen = {name: rows[:13] for name, rows in objective.validation.items()}
    shares, sounds = [], []

    def heard(latents):
        sounds[-1].append(latents)
        return objective.decode(latents)

    def seen(*arguments):
        losses = objective._losses(*arguments)
        shares[-1] += [len(shard.data) for shard in losses.addressable_shards]
        return losses

    ours = dataclasses.replace(objective, validation=unseen, decode=heard)
    monkeypatch.setitem(ours.__dict__, "_losses", seen)
    for mesh in (None, make_mesh(fsdp=fsdp)):
        shares.append([])
        sounds.append([])
        with RunLog(tmp_path) as log, jax.set_mesh(mesh) if mesh else contextlib.nullcontext():
            ours.validate(trained[0], log)
    assert set(shares[0]) == {13} and set(shares[1]) == {2} and len(shares[1]) == 8 * len(shares[0])
    here, shared = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert here.keys() == shared.keys() and "validation/own_mix" in here
    for name, value in here.items():
        if name.startswith("validation/"):
            assert shared[name] == pytest.approx(value, rel=1e-4), name
    assert len(sounds[0]) == 8
    for one, other in zip(*sounds, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-3)


def test_a_style_is_what_is_played_in(objective, trained):
    """Told by the condition and pulled to by grounding."""
    mix = objective.validation["mix"]
    high = np.eye(CHANNELS, dtype=np.float32)[-1:].repeat(len(mix), axis=0)
    means = [
        np.mean(objective.play(trained[0].ema, mix, 1.0, sign * high, 1.0)[..., -1])
        for sign in (1.0, -1.0)
    ]
    assert means[0] - means[1] > 0.5


def test_what_is_played_follows_the_mix(objective, trained):
    """The basses of this set are their mixes' first channels."""
    played = objective.play(trained[0].ema, objective.validation["mix"], 2.5)
    bass = objective.validation["bass"]
    assert played.shape == bass.shape
    assert np.corrcoef(played[..., :-1].ravel(), bass[..., :-1].ravel())[0, 1] > 0.7


def test_the_average_follows_the_parameters(trained, fresh):
    state, _ = trained

    def distance(a, b):
        return float(optax.tree.norm(jax.tree.map(jnp.subtract, a, b)))

    assert 0 < distance(state.ema, state.params) < 0.3 * distance(state.params, fresh.params)


@pytest.mark.parametrize("num_parts", [2, 4])
def test_a_batch_in_parts_teaches_what_a_whole_one_does(objective, step, fresh, batch, num_parts):
    in_parts = dataclasses.replace(objective, num_parts=num_parts)
    whole, metrics = step(fresh, batch, jax.random.key(3))
    parts, same = jax.jit(in_parts.train_step)(fresh, batch, jax.random.key(3))
    np.testing.assert_allclose(same["loss"], metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(same["gradient_norm"], metrics["gradient_norm"], rtol=1e-4)
    for a, b in zip(jax.tree.leaves(parts.params), jax.tree.leaves(whole.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("num_parts", [1, 2])
def test_all_that_devices_exchange_is_each_gradient_once(objective, fresh, batch, num_parts):
    """However many parts a batch is split into: no rows, no parameters, nothing twice."""
    mesh = make_mesh()
    rows = jax.device_put(batch, batch_sharding(mesh))
    state = jax.device_put(fresh, replicated(mesh))
    in_parts = dataclasses.replace(objective, num_parts=num_parts)
    run = jax.jit(in_parts.train_step).lower(state, rows, jax.random.key(0)).compile()
    collectives = program_collectives(run)
    assert collectives.keys() == {"all-reduce"}
    gradients = sum(leaf.nbytes for leaf in jax.tree.leaves(fresh.params))
    # And the loss; those of positional biases travel before they are multiplied out.
    assert 0.5 * gradients < collectives["all-reduce"][1] <= gradients + 16


def told(objective, **conditioning):
    """The objective with other shares of what its rows are told; all by default."""
    everything = dict(drop_mix=0.0, drop_mix_low=0.0, mix_noise=0.0, drop_style=0.0)
    return dataclasses.replace(objective, conditioning=Conditioning(**everything | conditioning))


@pytest.mark.parametrize(
    ("field", "dropped"), [("mix", dict(drop_mix=1.0, drop_mix_low=1.0)),
                           ("reference", dict(drop_style=1.0))],
)  # fmt: skip
def test_what_is_dropped_teaches_nothing(objective, trained, batch, field, dropped):
    other = {**batch, field: batch[field][::-1].copy()}
    for changed, is_used in ((dropped, False), ({}, True)):
        step = jax.jit(told(objective, **changed).train_step)
        losses = [step(trained[0], b, jax.random.key(0))[1]["loss"] for b in (batch, other)]
        assert (float(losses[0]) != float(losses[1])) == is_used


def drawn(sigma, rows=4000, **conditioning):
    """A condition drawn for many rows of two frames at one level, and their batch."""
    shape = (rows, 2, 3)
    batch = {name: jnp.ones(shape) for name in ("bass", "mix")}
    settings = dict(drop_mix=0.1, drop_mix_low=0.7, mix_noise=0.4, drop_style=0.25) | conditioning
    style = jnp.arange(rows, dtype=jnp.float32)[:, None] * jnp.ones((1, 3))
    cond = Conditioning(**settings).draw(batch, jnp.full(rows, sigma), style, jax.random.key(1))
    np.testing.assert_array_equal(cond.style, style)
    np.testing.assert_array_equal(cond.frames, 2)
    return jax.tree.map(np.asarray, cond)


@pytest.mark.parametrize(("sigma", "share"), [(1e-3, 0.7), (1.0, 0.4), (3.0, 0.16), (80.0, 0.1)])
def test_mixes_are_dropped_more_often_where_they_tell_little(sigma, share):
    cond = drawn(sigma)
    assert set(np.unique(cond.keep)) == {0.0, 1.0}
    assert 1.0 - cond.keep.mean() == pytest.approx(share, abs=0.03)
    assert 1.0 - cond.keep_style.mean() == pytest.approx(0.25, abs=0.03)
    # One has nothing to do with the other.
    assert abs(np.corrcoef(cond.keep, cond.keep_style)[0, 1]) < 0.05


def test_half_of_the_mixes_have_noise_and_are_told_how_much():
    cond = drawn(1.0)
    noisy = cond.mix_noise > 0
    assert noisy.mean() == pytest.approx(0.5, abs=0.03)
    assert 0.38 < cond.mix_noise.max() <= 0.4
    assert cond.mix_noise[noisy].mean() == pytest.approx(0.2, abs=0.01)
    noise = cond.mix - 1.0
    np.testing.assert_array_equal(noise[~noisy], 0.0)
    unit = noise[noisy] / cond.mix_noise[noisy][:, None, None]
    assert unit.std() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_array_equal(drawn(1.0, mix_noise=0.0).mix, 1.0)


def test_a_style_is_a_mean_over_what_sounds_without_notes(objective, rng):
    """The last channel says what sounds; the first holds notes."""
    bass = rng.normal(size=(2, 6, CHANNELS)).astype(np.float32)
    bass[..., -1] = [1, 1, 0, 1, 0, 0]
    sounding = Sounding(np.eye(CHANNELS, dtype=np.float32)[-1], 0.0)
    layout = objective.layout.replace(sounding=sounding)
    style = layout.style(jnp.asarray(bass))
    expected = bass[:, [0, 1, 3]].mean(axis=1) * [0, 1, 1, 1]
    np.testing.assert_allclose(style, expected, atol=1e-3)


def test_a_spoilt_batch_changes_nothing_but_the_count(step, trained, batch):
    state, _ = trained
    spoilt = {**batch, "mix": batch["mix"] * np.nan}
    after, metrics = step(state, spoilt, jax.random.key(0))
    assert float(metrics["skipped"]) == 1.0
    for a, b in zip(
        jax.tree.leaves(after.replace(step=state.step)), jax.tree.leaves(state), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_eight_devices_take_the_step_of_one(step, trained, batch):
    state, _ = trained
    mesh = make_mesh()
    one, one_metrics = step(state, batch, jax.random.key(0))
    eight, eight_metrics = step(
        jax.device_put(state, replicated(mesh)),
        jax.device_put(batch, batch_sharding(mesh)),
        jax.random.key(0),
    )
    np.testing.assert_allclose(eight_metrics["loss"], one_metrics["loss"], rtol=1e-5)
    assert len(jax.tree.leaves(eight.params)[0].sharding.device_set) == 8
    for a, b in zip(jax.tree.leaves(eight.params), jax.tree.leaves(one.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_what_is_exported_is_the_average_bound_to_its_codecs(objective, trained, tmp_path):
    objective.export(trained[0], tmp_path)
    mix, bass = (
        CodecWeights(model, {}, np.zeros(size), 1.0, name, {})
        for model, size, name in (
            (MixCodec(), 6, "m"),
            (SimpleNamespace(num_channels=CHANNELS), CHANNELS, "b"),
        )
    )
    unet = load_unet(tmp_path / "unet.safetensors", mix, bass)
    assert unet.model == objective.model
    assert unet.bindings == objective.bindings
    assert unet.training == {"steps": 150, "crop_frames": FRAMES}
    for loaded, average in zip(
        jax.tree.leaves(unet.params), jax.tree.leaves(trained[0].ema), strict=True
    ):
        np.testing.assert_array_equal(loaded, np.asarray(average, np.float16))


@pytest.fixture(scope="module")
def codecs(tiny_weights):
    return load_codecs(tiny_weights)


@pytest.fixture(scope="module")
def config(get_config, tiny_weights, latent_stores):
    config = get_config("diffusion", "tiny")
    config.model.widths, config.model.attention_levels = (8,), (0,)
    config.data.latents = str(latent_stores / "latents")
    config.data.validation_latents = str(latent_stores / "validation_latents")
    config.data.codecs = str(tiny_weights)
    return config


def test_a_config_trains_from_stores_to_weights(config, codecs, tmp_path, one_device):
    state = recipes.run(config, tmp_path)
    assert int(state.step) == config.num_steps == 8
    lines = (tmp_path / "logs" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if "gradient_norm" in line]
    assert steps == [2, 4, 6, 8]
    records = {key: value for line in lines for key, value in json.loads(line).items()}
    assert records["skipped"] == 0.0
    assert all(np.isfinite(value) for value in records.values())
    unet = load_unet(tmp_path / "weights" / "unet.safetensors", *codecs)
    assert unet.model == UNet(codecs[1].model.num_channels, **config.model)
    assert unet.bindings["sampling"] == config.sampling.to_dict()
    events = b"".join(file.read_bytes() for file in (tmp_path / "logs").glob("events*"))
    for tag in (
        b"audio/played_0",
        b"spectrogram/grounded_1",
        b"audio/unguided_0",
        b"audio/original_0",
    ):
        assert tag in events


def test_a_run_goes_on_with_the_songs_that_it_began_with(config, tmp_path, monkeypatch):
    def train(objective, dataset, workdir, schedule, **how):
        """Leaves a checkpoint, which is all that matters here."""
        (workdir / "checkpoints" / "3").mkdir(parents=True, exist_ok=True)
        return SimpleNamespace(params={}, ema={})

    monkeypatch.setattr(recipes, "train", train)
    songs, run = tmp_path / "songs", tmp_path / "run"
    shutil.copytree(config.data.latents, songs)
    changed = config.copy_and_resolve_references()
    changed.data.latents = str(songs)
    recipes.run(changed, run)
    # Elsewhere they are the same songs.
    songs.rename(tmp_path / "moved")
    changed.data.latents = str(tmp_path / "moved")
    recipes.run(changed, run)
    # As many and as long, but others.
    manifest = tmp_path / "moved" / MANIFEST
    values = json.loads(manifest.read_text())
    values["statistics"]["bass"]["mean"][0] += 0.5
    manifest.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"began with the songs=.*, and it is .* now; set it back"):
        recipes.run(changed, run)
    manifest.write_text((Path(config.data.latents) / MANIFEST).read_text())
    changed.data.latents = f"{changed.data.latents}*2"
    with pytest.raises(InputError, match=r"began with the songs=.*\*2 now; set it back"):
        recipes.run(changed, run)


def test_latents_of_several_folders_are_mixed(config, tmp_path):
    folder = config.data.latents
    config.data.latents = f"{folder}*3+{folder}*1"
    _, mixture = recipes.diffusion.build(config, tmp_path)
    config.data.latents = folder
    _, alone = recipes.diffusion.build(config, tmp_path)
    # The first of the two folders reads what it would alone.
    np.testing.assert_array_equal(mixture[0]["bass"], alone[0]["bass"])
    found = [
        np.any([np.array_equal(mixture[i]["mix"], alone[j]["mix"]) for j in range(6)])
        for i in range(8)
    ]
    assert np.mean(found) == 0.75


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("latents", "", "config.data.latents is empty; make latents with `bassdiff encode"),
        ("validation_latents", "", "config.data.validation_latents is empty"),
        ("validation_latents", "{}/latents", "share songs, for instance song0"),
        ("latents", "nowhere", "nowhere: there is no such folder"),
        ("validation_latents", "{}/others", "come from different codecs; encode both"),
        ("latents", "{0}/latents*2+{0}/others", "come from different codecs; encode both with the"),
        ("codecs", "small", "was not made by the codecs of small; encode the songs with"),
    ],
)
def test_latents_that_cannot_be_used_are_refused(config, tmp_path, key, value, message):
    changed = config.copy_and_resolve_references()
    changed.data[key] = value.format(Path(config.data.latents).parent)
    with pytest.raises(InputError, match=message):
        recipes.run(changed, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("levels", "karras", "config.levels='karras'; choose among cosine"),
        ("crop_frames", 0, "config.crop_frames=0; choose a multiple of 1"),
        ("log_every", 0, "config.log_every is 0; choose 1 or more"),
        ("num_read_workers", -1, "config.num_read_workers is -1; choose 0 or more"),
        ("learning_rate", -1e-3, "config.learning_rate is -0.001; choose a number between 0 and 1"),
        ("learning_rate", float("nan"), "config.learning_rate is nan; choose a number"),
        ("gradient_clip", 0.0, "config.gradient_clip is 0.0; choose a number above 0"),
        ("weight_decay", -0.1, "config.weight_decay is -0.1; choose a number of 0 or more"),
        ("num_steps", 2, "config.num_steps is 2 and the learning rate is warmed up for 2"),
        ("sampling.solver", "magic", "unknown solver 'magic'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(config, tmp_path, key, value, message):
    changed = config.copy_and_resolve_references()
    changed.update_from_flattened_dict({key: value})
    with pytest.raises(InputError, match=message):
        recipes.run(changed, tmp_path)


def test_a_workdir_that_cannot_be_made_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/run: cannot be made a folder"):
        recipes.run(config, tmp_path / "file" / "run")
