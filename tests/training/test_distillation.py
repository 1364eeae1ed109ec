import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bassdiff.diffusion import sampler
from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.guidance import CFG
from bassdiff.diffusion.rows import row_keys
from bassdiff.diffusion.sampling import noise_levels
from bassdiff.diffusion.settings import Sampling
from bassdiff.diffusion.solvers import DPMpp2M, Euler
from bassdiff.diffusion.types import Cond
from bassdiff.inference import generator
from bassdiff.pretrained import weights
from bassdiff.pretrained.release import load_weights
from bassdiff.runtime.errors import InputError
from bassdiff.training import recipes
from bassdiff.training.distillation import DistillationObjective
from bassdiff.training.log import RunLog


@pytest.fixture(scope="module")
def objective(tiny_unet, tiny_layout):
    model, params, _ = tiny_unet
    rng = np.random.default_rng(0)
    return DistillationObjective(
        model=model,
        teacher=jax.tree.map(lambda leaf: 0.5 * jnp.asarray(leaf), params),
        optimizer=optax.adam(6e-3),
        ema_decay=0.9,
        rank=4,
        levels=np.asarray([10.0, 1.0], np.float32),
        sigma_min=0.2,
        num_substeps=8,
        contrast=(CFG(2.0, 0.5),),
        layout=tiny_layout,
        validation={
            "reference": rng.normal(size=(4, 8, 4)).astype(np.float32),
            "mix": rng.normal(size=(4, 8, 3)).astype(np.float32),
        },
        bindings={"base": "small", "unet": "x", "sampling": {}},
    )


def test_one_step_to_the_target_ends_where_many_of_the_teachers_do(objective):
    cond = Cond(jnp.asarray(objective.validation["mix"]), jnp.ones(4), jnp.full(4, 8))
    x = 10.0 * jax.random.normal(jax.random.key(0), (4, 8, 4))
    guidance, teacher = chain(CFG(2.0, 0.5)), objective.denoiser()

    @jax.jit
    def steps(x, sigmas, jump):
        at = sampler.Trajectory(x, DPMpp2M().init(x))
        levels, last = sampler.to_zero(sigmas), 8 + jump
        return sampler.advance(
            teacher, DPMpp2M(), guidance, levels, cond, at, 0, last, row_keys(jnp.zeros(4))
        ).x

    def ladder(first, last):
        return jnp.asarray(np.geomspace(first, last, 9), jnp.float32)

    target = jax.jit(objective.target)
    first, _ = Euler().step(
        lambda *_: target(x, 0, cond),
        x,
        (),
        jnp.asarray(10.0),
        jnp.asarray(1.0),
        row_keys(jnp.zeros(4)),
    )
    np.testing.assert_allclose(first, steps(x, ladder(10.0, 1.0), 0), rtol=1e-3, atol=1e-3)
    # From the last level it is the end itself.
    np.testing.assert_allclose(target(first, 1, cond), steps(first, ladder(1.0, 0.2), 1), atol=1e-3)


def test_a_student_learns_to_jump(objective, tmp_path):
    state = jax.jit(objective.init)(jax.random.key(0))
    step, rng = jax.jit(objective.train_step), np.random.default_rng(1)
    mix, reference = (jnp.asarray(rng.normal(size=(32, 8, size)), jnp.float32) for size in (3, 4))
    cond = objective.condition(mix, reference, jnp.arange(32) % 2)
    noise = jax.random.normal(jax.random.key(9), (32, 8, 4))
    loss = jax.jit(objective.loss)

    def missed(adapter):
        return float(loss(adapter, cond, 0, noise) + loss(adapter, cond, 1, noise))

    before = missed(state.params)
    for number in range(80):
        batch = {
            name: jnp.asarray(rng.normal(size=(16, 8, size)), jnp.float32)
            for name, size in (("bass", 4), ("reference", 4), ("mix", 3))
        }
        state, _ = step(state, batch, jax.random.key(number))
    assert missed(state.params) < 0.85 * before
    assert missed(state.ema) < 0.9 * before
    with RunLog(tmp_path, enabled=True) as log:
        objective.validate(state, log)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "validation/distilled" in text and "validation/undistilled" in text


def test_an_adapter_corrects_the_weights_it_was_trained_on(tmp_path, tiny_weights):
    base = load_weights(tiny_weights)
    path = tmp_path / "fast" / "adapter.safetensors"
    bindings = {
        "base": str(tiny_weights),
        "unet": base.unet.checksum,
        "sampling": {"steps": 2, "solver": "euler", "guidance_kind": "none"},
    }
    kernel = base.unet.params["Conv_0"]["kernel"]
    down, up = np.ones((kernel.size // kernel.shape[-1], 2)), np.ones((2, kernel.shape[-1]))
    params = {"Conv_0": {"kernel": {"down": down, "up": up}}}
    weights.save_adapter(path, params, bindings, {})
    loaded = load_weights(path.parent)
    np.testing.assert_allclose(loaded.unet.params["Conv_0"]["kernel"], kernel + 2.0, rtol=1e-5)
    assert generator.BassGenerator(loaded).defaults.steps == 2
    weights.save_adapter(path, params, {**bindings, "unet": "other"}, {})
    with pytest.raises(InputError, match="was trained on other weights than"):
        load_weights(path.parent)
    with pytest.raises(InputError, match="holds no adapter"):
        weights.load_adapter(tiny_weights / "unet.safetensors")


@pytest.fixture
def config(get_config, tiny_weights, latent_stores):
    config = get_config("distillation", "tiny")
    config.teacher = str(tiny_weights)
    config.data.latents = str(latent_stores / "latents")
    config.data.validation_latents = str(latent_stores / "validation_latents")
    return config


@pytest.mark.parametrize(("extra", "kind"), [(1.0, "none"), (1.5, "cfg")])
def test_guidance_on_top_is_a_default_of_the_weights(config, tmp_path, extra, kind):
    config.extra_guidance = extra
    objective, _ = recipes.distillation.build(config, tmp_path)
    defaults = Sampling.of_weights(objective.bindings)
    assert (defaults.guidance_kind, defaults.guidance) == (kind, extra)
    assert defaults.steps == len(config.levels)


def test_a_config_trains_from_stores_to_an_adapter(config, tmp_path, one_device):
    recipes.run(config, tmp_path)
    loaded = load_weights(tmp_path / "weights")
    assert noise_levels(generator.BassGenerator(loaded).defaults).tolist() == [80.0, 1.0]


def test_latents_of_other_codecs_are_refused(config, tmp_path, latent_stores):
    config.data.latents = config.data.validation_latents = str(latent_stores / "others")
    config.data.validation_latents = str(latent_stores / "validation_latents")
    with pytest.raises(InputError, match="come from different codecs"):
        recipes.run(config, tmp_path)
    config.data.validation_latents = str(latent_stores / "latents")
    config.data.latents = str(latent_stores / "validation_latents")
    config.teacher = "small"
    with pytest.raises(InputError, match="was not made by the codecs of small; encode the songs"):
        recipes.run(config, tmp_path)
