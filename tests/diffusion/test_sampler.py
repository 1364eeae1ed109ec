import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion import sampler
from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.denoiser import precondition
from bassdiff.diffusion.editing import Keep
from bassdiff.diffusion.grounding import MixAndStyle, StyleGrounding
from bassdiff.diffusion.guidance import APG, CFG, CFGpp, CFGZeroStar, DynamicThresholding, Interval
from bassdiff.diffusion.schedules import cosine
from bassdiff.diffusion.solvers import SOLVERS, Churn, DPMpp2M, Euler, Heun
from bassdiff.diffusion.statistics import frame_mean
from bassdiff.training.sharding import batch_sharding, make_mesh

MEAN = np.asarray([1.0, -0.5, 0.0, 2.0], np.float32)
STD = 0.4


def gaussian(x, sigma, cond):
    """The exact denoiser of independent normal channels; the mix shifts their mean."""
    del cond
    variance = jnp.square(sigma)[:, None, None]
    return (STD**2 * x + variance * MEAN[None, None]) / (STD**2 + variance)


def following(x, sigma, cond):
    """Like `gaussian`, around the mix where it may be used."""
    variance = jnp.square(sigma)[:, None, None]
    centre = cond.mix * cond.keep[:, None, None]
    return (STD**2 * x + variance * centre) / (STD**2 + variance)


def unit_noise(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def keys(rows, seed=0):
    return jax.random.split(jax.random.key(seed), rows)


STYLE = np.full((1, 4), 0.5, np.float32)


def contrasts(scale):
    """Every guidance, with its numbers as arrays, as a jitted caller passes them."""
    return {
        "none": (),
        "cfg": (CFG(scale),),
        "cfgpp": (CFGpp(scale / 10),),
        "interval": (Interval(CFG(scale), np.float32(0.5), np.float32(5.0)),),
        "apg": (APG(scale),),
        "cfg_zero_star": (CFGZeroStar(scale),),
        "mix_and_style": (MixAndStyle(scale, scale / 2),),
        "threshold": (CFG(scale, np.float32(0.0)), DynamicThresholding()),
    }


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_runs_with_every_guidance_in_one_program(name, make_cond, compilations):
    """Everything combines: each with grounding and an edit, under one jit, compiled once."""
    cond, noise, known = make_cond(1, 8, 4), unit_noise(1, 8, 4), unit_noise(1, 8, 4, seed=3)
    keep = np.zeros((1, 8, 1), np.float32)
    keep[:, :2] = 1.0

    @jax.jit
    def play(links, sigmas, key):
        return [
            sampler.sample(following, SOLVERS[name](), each, sigmas, cond, noise, key)
            for each in links
        ]

    def run(scale, strength, num_steps=6, seed=0):
        sigmas = cosine(num_steps)
        links = [
            chain(*contrast, StyleGrounding(STYLE, np.float32(strength)), Keep(known, keep))
            for contrast in contrasts(np.float32(scale)).values()
        ]
        return [np.asarray(x) for x in play(links, sigmas, keys(1, seed))]

    first = run(2.0, 0.5)
    for x in first:
        assert np.all(np.isfinite(x))
        np.testing.assert_allclose(x[:, :2], known[:, :2], rtol=1e-5)
    compilations.clear()
    moved = [np.abs(a - b).max() for a, b in zip(first, run(3.0, 0.9), strict=True)]
    assert compilations == []
    assert min(moved) > 1e-3


def test_works_outside_jit_on_plain_arrays(make_cond):
    cond, noise = make_cond(1, 4, 4), unit_noise(1, 4, 4)
    arguments = (chain(), cosine(5), cond, noise, keys(1))
    plain = sampler.sample(following, Euler(), *arguments)
    jitted = jax.jit(functools.partial(sampler.sample, following, Euler()))(*arguments)
    np.testing.assert_allclose(plain, jitted, rtol=1e-5, atol=1e-6)


def test_a_sample_is_one_scan_however_many_steps(make_cond):
    def loops(num_steps):
        run = functools.partial(sampler.sample, following, DPMpp2M(), chain(CFG()))
        jaxpr = jax.make_jaxpr(run)(
            cosine(num_steps), make_cond(1, 4, 4), unit_noise(1, 4, 4), keys(1)
        )
        return [e.primitive.name for e in jaxpr.eqns if e.primitive.name in ("scan", "while")]

    assert loops(4) == loops(40) == ["scan"]


def test_the_network_is_in_the_program_once(make_cond):
    """The last step is one like the others, and an interval asks in turns."""
    calls = []

    @jax.jit
    def network(x, sigma, cond):
        return following(x, sigma, cond)

    def counted(x, sigma, cond):
        calls.append(x.shape)
        return network(x, sigma, cond)

    cases = [(name, (CFG(),)) for name in SOLVERS]
    cases += [
        ("dpmpp2m", links) for links in ((), (Interval(CFG()),), (CFG(), StyleGrounding(STYLE)))
    ]
    for solver, links in cases:
        calls.clear()
        run = functools.partial(sampler.sample, counted, SOLVERS[solver](), chain(*links))
        jaxpr = jax.make_jaxpr(run)(cosine(9), make_cond(1, 4, 4), unit_noise(1, 4, 4), keys(1))
        # A body of a loop may be traced twice, once for its types.
        assert len(set(calls)) == 1 and str(jaxpr).count("name=network") == 1, (solver, links)


@pytest.mark.parametrize(("solver", "evaluations"), [("euler", 5), ("heun", 9), ("churn", 9)])
def test_every_evaluation_counts(solver, evaluations, make_cond):
    """The step to zero has nothing to correct."""
    calls = []

    def counted(x, sigma, cond):
        calls.append(sigma.item())
        return following(x, sigma, cond)

    with jax.disable_jit():
        sampler.sample(
            counted, SOLVERS[solver](), chain(), cosine(5), make_cond(1, 4, 4),
            unit_noise(1, 4, 4), keys(1),
        )  # fmt: skip
    assert len(calls) == evaluations


def test_the_last_estimate_is_the_guided_one(make_cond):
    """Grounding acts on the final output: without its jump the mean would be elsewhere."""
    cond, noise = make_cond(2, 8, 4), unit_noise(2, 8, 4)
    style = jnp.asarray([3.0, 0.0, -3.0, 1.0])
    guidance = chain(StyleGrounding(style))
    jump = jax.jit(functools.partial(sampler.sample, gaussian, Euler(), guidance))
    x0 = jump(jnp.asarray([1e4]), cond, noise, keys(2))
    np.testing.assert_allclose(x0.mean(axis=1), np.tile(style, (2, 1)), atol=1e-3)


@pytest.mark.parametrize("solver", [DPMpp2M(), Euler(eta=1.0)])
def test_steps_in_several_calls_are_one_scan(solver, make_cond):
    guidance, cond = chain(CFG(2.0)), make_cond(2, 8, 4, frames=[8, 5])
    levels, noise = sampler.to_zero(cosine(12)), unit_noise(2, 8, 4)
    move = jax.jit(functools.partial(sampler.advance, following, solver))
    at = sampler.begin(solver, noise, levels[0])
    for first, last in ((0, 5), (5, 10), (10, 12)):
        at = move(guidance, levels, cond, at, jnp.int32(first), jnp.int32(last), keys(2, 7))
    whole = jax.jit(functools.partial(sampler.sample, following, solver))(
        guidance, levels[:-1], cond, noise, keys(2, 7)
    )
    np.testing.assert_allclose(at.x, whole, rtol=1e-5, atol=1e-5)
    assert move._cache_size() == 1


def test_on_the_way_padding_is_noise_around_zero(make_cond):
    """Its estimate counts as zero, so nothing there can grow, whatever guidance adds."""
    sigmas, noise = jnp.asarray(cosine(6)), unit_noise(1, 8, 4)
    guidance = chain(StyleGrounding(jnp.full(4, 100.0)))
    move = jax.jit(functools.partial(sampler.advance, following, Euler(), guidance))
    at = sampler.begin(Euler(), noise, sigmas[0])
    at = move(sigmas, make_cond(1, 8, 4, frames=[5]), at, 0, 5, keys(1))
    np.testing.assert_allclose(at.x[0, 5:], noise[0, 5:] * sigmas[5], rtol=1e-4)


def test_levels_after_the_last_are_not_read(make_cond):
    cond, noise = make_cond(1, 4, 4), unit_noise(1, 4, 4)
    sigmas = jnp.asarray(cosine(6))
    spoilt = jnp.concatenate([sigmas, jnp.full(3, jnp.nan)])
    at = sampler.begin(DPMpp2M(), noise, sigmas[0])
    move = functools.partial(sampler.advance, following, DPMpp2M(), chain())
    np.testing.assert_array_equal(
        move(spoilt, cond, at, 0, 5, keys(1)).x, move(sigmas, cond, at, 0, 5, keys(1)).x
    )


@pytest.mark.parametrize("name", SOLVERS)
def test_rows_may_take_different_steps(name, make_cond):
    """A row that is done stays, whatever its neighbours still do."""
    cond, noise = make_cond(2, 6, 4), unit_noise(2, 6, 4)
    few, many = cosine(4, 0.2, 3.0), cosine(9)
    levels = jnp.stack([jnp.pad(few, (0, 6)), jnp.pad(many, (0, 1))])
    solver, guidance = SOLVERS[name](), chain(CFG(2.0))
    first = jnp.asarray([3.0, 80.0])[:, None, None]
    at = sampler.begin(solver, noise, first)
    both = sampler.advance(following, solver, guidance, levels, cond, at, 0, 9, keys(2)).x
    for row, sigmas in enumerate((few, many)):
        alone = sampler.sample(
            following, solver, guidance, sigmas, jax.tree.map(lambda v, r=row: v[r : r + 1], cond),
            noise[row : row + 1], keys(2)[row : row + 1],
        )  # fmt: skip
        np.testing.assert_allclose(both[row], alone[0], rtol=1e-4, atol=1e-5)


def test_cfgpp_counts_from_where_a_step_begins(make_cond):
    """Under churn from above its level: the weight is that of the step which is taken."""
    seen = []

    def watched(x, sigma, cond):
        seen.append((sigma, cond.step_ratio))
        return following(x, sigma, cond)

    cond, noise, levels = make_cond(1, 4, 4), unit_noise(1, 4, 4), jnp.asarray([4.0, 2.0, 0.5])
    for solver, ratios in (
        (Euler(), [0.5, 0.25]),
        (Heun(), [0.5, 0.5, 0.25]),
        (Churn(Heun(), 0.25), [0.4, 0.5, 0.2]),
    ):
        seen.clear()
        at = sampler.begin(solver, noise, levels[0])
        with jax.disable_jit():
            sampler.advance(watched, solver, chain(), levels, cond, at, 0, 2, keys(1))
        np.testing.assert_allclose([float(ratio[0]) for _, ratio in seen], ratios, rtol=1e-6)


def test_no_setting_compiles_anything(make_cond, compilations):
    @jax.jit
    def run(solver, guidance, levels, cond, noise, keys, num_steps):
        at = sampler.begin(solver, noise, levels[0])
        return sampler.advance(following, solver, guidance, levels, cond, at, 0, num_steps, keys).x

    def play(scale, rescale, style, strength, num_steps, sigma_max, frames, seed):
        levels = np.pad(cosine(num_steps, sigma_max=sigma_max), (0, 16 - num_steps))
        guidance = chain(
            CFG(np.float32(scale), np.float32(rescale)),
            StyleGrounding(np.full(4, style, np.float32), np.float32(strength)),
        )
        cond = make_cond(1, 8, 4, frames=np.asarray([frames], np.int32))
        noise = unit_noise(1, 8, 4, seed=seed)
        steps = np.int32(num_steps)
        return np.asarray(run(DPMpp2M(), guidance, levels, cond, noise, keys(1, seed), steps))

    outputs = [play(2.5, 0.7, 0.0, 0.0, 6, 80.0, 8, 0)]
    assert len(compilations) > 0
    compilations.clear()
    base = dict(scale=2.5, rescale=0.7, style=0.0, strength=0.0, num_steps=6, sigma_max=80.0,
                frames=8, seed=0)  # fmt: skip
    for change in (
        {"scale": 1.0}, {"rescale": 0.0}, {"style": 1.5, "strength": 0.8}, {"num_steps": 11},
        {"sigma_max": 20.0}, {"frames": 5}, {"seed": 3},
    ):  # fmt: skip
        outputs.append(play(**{**base, **change}))
    assert compilations == []
    # And every setting does something.
    distances = [np.abs(out - outputs[0]).max() for out in outputs[1:]]
    assert min(distances) > 1e-4, distances


def test_padding_comes_back_as_zeros_and_changes_nothing(make_cond):
    def coupled(x, sigma, cond):
        # Every frame sees every real one, as it does through attention.
        return following(x, sigma, cond) + 0.3 * jnp.tanh(frame_mean(x, cond.mask()))

    guidance = chain(CFG(3.0, 1.0), StyleGrounding(jnp.asarray(MEAN), 0.7))
    cond, noise = make_cond(2, 12, 4, frames=[7, 7]), unit_noise(2, 12, 4)
    run = jax.jit(functools.partial(sampler.sample, coupled, DPMpp2M(), guidance, cosine(6)))
    padded = run(cond, noise, keys(2))
    alone = run(cond.replace(mix=cond.mix[:, :7]), noise[:, :7], keys(2))
    np.testing.assert_array_equal(padded[:, 7:], 0.0)
    np.testing.assert_allclose(padded[:, :7], alone, rtol=1e-4, atol=1e-5)


def test_eight_devices_sample_what_one_does(make_cond):
    guidance = chain(CFG(3.0), StyleGrounding(jnp.asarray(MEAN)))
    data = (make_cond(8, 6, 4), unit_noise(8, 6, 4), keys(8))
    run = jax.jit(functools.partial(sampler.sample, following, Euler(eta=1.0), guidance, cosine(6)))
    one = run(*data)
    eight = run(*jax.device_put(data, batch_sharding(make_mesh())))
    assert len(one.sharding.device_set) == 1
    assert len(eight.sharding.device_set) == 8
    np.testing.assert_allclose(eight, one, rtol=1e-5, atol=1e-5)


def test_guidance_of_a_sharded_batch_exchanges_no_rows(tiny_unet, make_cond):
    model, params, _ = tiny_unet
    denoise = precondition(lambda x, sigma, cond: model.apply({"params": params}, x, sigma, cond))
    guided = chain(CFG(3.0), StyleGrounding(jnp.asarray(MEAN)))(denoise)
    data = (unit_noise(8, 8, 4), jnp.linspace(0.1, 9.0, 8), make_cond(8, 8, 3))
    sharded = jax.device_put(data, batch_sharding(make_mesh()))
    program = jax.jit(guided).lower(*sharded).compile()
    np.testing.assert_allclose(program(*sharded), jax.jit(guided)(*data), rtol=1e-4, atol=1e-5)
    for exchange in ("all-to-all", "all-gather", "all-reduce", "collective-permute"):
        assert exchange not in program.as_text()
