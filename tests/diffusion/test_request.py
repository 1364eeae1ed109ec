"""A row's bass depends on its own request only: not on neighbours, padding or devices."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bassdiff.diffusion import request as requests
from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.editing import Windowed
from bassdiff.diffusion.guidance import GUIDANCES
from bassdiff.diffusion.request import LatentLayout, Request
from bassdiff.diffusion.sampling import make_guidance, noise_levels
from bassdiff.diffusion.settings import Sampling
from bassdiff.diffusion.solvers import SOLVERS
from bassdiff.diffusion.statistics import Sounding, frame_mean
from tests.diffusion.combinations import covering

CHANNELS, FRAMES, STEPS = 4, (12, 7, 15, 9), (6, 4, 6, 5)
LAYOUT = LatentLayout(
    sound=np.asarray([0, 1, 1, 1], np.float32),
    dynamics=np.asarray([0, 0, 1, 0], np.float32),
    notes=np.asarray([[1, 0, 0, 0], [0, 0, 0, 1]], np.float32),
    note_codes=np.linspace(-1, 1, 3 * CHANNELS, dtype=np.float32).reshape(3, CHANNELS),
    sounding=Sounding(np.asarray([0, 0.3, 0, 0], np.float32), np.float32(0.5)),
)


def coupled(x, sigma, cond):
    """Every frame leans on its neighbours and on all real ones, as in a network."""
    mask = cond.mask()
    x = x * mask
    near = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    near = (near[:, :-2] + near[:, 2:]) / 2.0 + 0.3 * jnp.tanh(frame_mean(x, mask))
    level = jnp.square(sigma)[:, None, None]
    heard = cond.mix * (cond.keep * (1.0 + 0.1 * cond.keep_style))[:, None, None]
    return (0.5 * x + 0.3 * near + level * (heard + 0.1 * cond.style[:, None])) / (1.0 + level)


def row(number, settings, **changes):
    """A request that differs in everything from those of other numbers."""
    rng = np.random.default_rng(number)
    frames, steps = FRAMES[number], settings.get("steps", STEPS[number])
    sampling = Sampling(**{"steps": steps, "guidance": 2.0 + number, **settings})
    mix = rng.normal(size=(1, frames, CHANNELS)).astype(np.float32)
    sigmas = np.pad(noise_levels(sampling, 80.0 / (1 + number)), (0, max(STEPS) - steps))
    request = Request.plain(mix, sigmas, CHANNELS, make_guidance(sampling), number, num_pitches=3)
    keep = np.zeros_like(request.keep)
    keep[:, : 2 * number] = 1.0
    sections = np.zeros_like(request.sections)
    sections[:, : frames // 2, 0] = sections[:, frames // 2 :, number % 2] = 1.0
    return request.replace(
        known=rng.normal(size=mix.shape).astype(np.float32),
        keep=keep,
        style=rng.normal(size=request.style.shape).astype(np.float32),
        spread=rng.uniform(0.5, 1.5, request.spread.shape).astype(np.float32),
        sections=sections,
        style_strength=np.full(1, 0.4 * number, np.float32),
        match_spread=np.full(1, number % 2, np.float32),
        held=rng.uniform(size=(1, frames)).astype(np.float32) * (number == 2),
        log_prior=-rng.exponential(size=(1, frames, 3)).astype(np.float32) * (number == 3),
        steadiness=np.full(1, 0.3 * number, np.float32),
        replaces_mean=sampling.grounding == "replacement",
        **changes,
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def run(solver, window, request, at):
    return requests.play(
        window(coupled), SOLVERS[solver](), LAYOUT, request, at, jnp.int32(0), jnp.int32(max(STEPS))
    )


def played(request, solver="dpmpp2m", window=None):
    at = requests.blank(SOLVERS[solver](), request)
    return requests.rows_of(run(solver, window or chain(), request, at), request.frames)


def tolerance(solver):
    # Heun's rule at a level of 80 and more takes differences of numbers of that size.
    return 1e-4 if solver in ("heun", "churn") else 1e-5


def assert_rows_are_their_own(settings, solver="dpmpp2m", window=None):
    rows = [row(number, settings) for number in range(len(FRAMES))]
    together = requests.stack([one.padded(20) for one in rows])
    company = played(together, solver, window)
    for number, one in enumerate(rows):
        (alone,) = played(one.padded(16), solver, window)
        assert alone.shape == (FRAMES[number], CHANNELS)
        assert np.abs(alone).max() > 0.1 and np.all(np.isfinite(alone))
        np.testing.assert_allclose(company[number], alone, rtol=1e-5, atol=tolerance(solver))
    # In another order, of the same shape: to the bit.
    turned = played(jax.tree.map(lambda leaf: leaf[::-1], together), solver, window)
    for first, again in zip(company, turned[::-1], strict=True):
        np.testing.assert_array_equal(again, first)


GROUNDINGS = ("mean", "replacement")
WINDOWS = (chain(), Windowed(8, 6))
# Any solver, guidance and grounding, or any two of them and a window, meet in one of these.
COMBINATIONS = covering(3, tuple(SOLVERS), tuple(GUIDANCES), GROUNDINGS, (0, 1))


def test_any_three_choices_meet():
    choices = (SOLVERS, GUIDANCES, GROUNDINGS, range(len(WINDOWS)))
    for columns in itertools.combinations(range(4), 3):
        met = {tuple(one[column] for column in columns) for one in COMBINATIONS}
        assert met == set(itertools.product(*(choices[column] for column in columns)))
    assert len(COMBINATIONS) == 154 < np.prod([len(values) for values in choices])


@pytest.mark.parametrize("solver", SOLVERS)
def test_whatever_is_combined(solver):
    """Operation by operation: what compiling them all would take is ten times as long."""
    for _, kind, grounding, window in (one for one in COMBINATIONS if one[0] == solver):
        settings = {"guidance_kind": kind, "grounding": grounding}
        own, others = (
            [row(n, {**settings, "steps": 2 + n % 2}) for n in numbers]
            for numbers in (range(4), (3, 2, 0, 1))
        )
        others = [other.replace(seed=other.seed + np.uint32(9), mix=-other.mix) for other in others]
        beside = [one for pair in zip(others, own, strict=True) for one in pair]
        alone, company = (
            stepped(solver, WINDOWS[window], requests.stack([one.padded(size) for one in rows]))
            for size, rows in ((16, own), (20, beside))
        )
        for first, again in zip(alone, company[1::2], strict=True):
            assert np.abs(first).max() > 0.1 and np.all(np.isfinite(first))
            np.testing.assert_allclose(
                again, first, rtol=1e-5, atol=tolerance(solver), err_msg=str(settings)
            )


def stepped(solver, window, together):
    # Until some rows are done, and a memory of two steps is used.
    steps = 3 if solver in ("adams_bashforth", "dpmpp3m", "dpmpp3m_sde", "unipc") else 2
    with jax.disable_jit():
        at = requests.blank(SOLVERS[solver](), together)
        at = requests.play(window(coupled), SOLVERS[solver](), LAYOUT, together, at, 0, steps)
    return requests.rows_of(at, together.frames)


@pytest.mark.parametrize(("solver", "kind"), [*zip(SOLVERS, itertools.cycle(GUIDANCES))])
def test_in_one_program(solver, kind):
    grounding = GROUNDINGS[solver == "ancestral"]
    assert_rows_are_their_own({"guidance_kind": kind, "grounding": grounding}, solver)


@pytest.mark.parametrize("kind", ["cfg", "interval"])
def test_windows(kind):
    assert_rows_are_their_own({"guidance_kind": kind}, "ancestral", Windowed(8, 6))


@pytest.mark.parametrize("num_devices", [1, 2, 8])
@pytest.mark.parametrize("kind", ["cfg", "interval"])
def test_devices(kind, num_devices):
    rows = requests.stack([row(n % 4, {"guidance_kind": kind}).padded(16) for n in range(8)])
    here = played(rows, "dpmpp2m_sde")
    mesh = Mesh(np.asarray(jax.devices()[:num_devices]), ("data",))
    shared = jax.device_put(rows, NamedSharding(mesh, PartitionSpec("data")))
    at = run("dpmpp2m_sde", chain(), shared, requests.blank(SOLVERS["dpmpp2m_sde"](), rows))
    assert len(at.x.sharding.device_set) == num_devices
    for there, own in zip(requests.rows_of(at, rows.frames), here, strict=True):
        np.testing.assert_allclose(there, own, rtol=1e-5, atol=1e-5)


def test_seeds_and_only_seeds_decide_the_noise():
    first, again, other = (
        played(row(1, {}, seed=np.asarray([seed], np.uint32)).padded(16), "ancestral")[0]
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_noise_is_the_same_where_numbers_are_of_double_precision():
    request = row(0, {}).padded(16)
    (single,) = played(request, "ancestral")
    with jax.enable_x64(True):
        (double,) = played(request, "ancestral")
    assert double.dtype == np.float32
    np.testing.assert_allclose(double, single, rtol=1e-4, atol=1e-4)


def test_a_row_that_asks_for_no_notes_is_what_it_is_without_the_prior(monkeypatch):
    """To the bit beside a row that asks for some; but for rounding, in a program without it."""
    together = requests.stack([row(n, {}).padded(16) for n in (0, 3)])
    free, told = played(together)
    untold, _ = played(together.replace(log_prior=np.zeros_like(together.log_prior)))
    np.testing.assert_array_equal(free, untold)
    run.clear_cache()
    monkeypatch.setattr(requests, "PitchPrior", lambda *_: chain())
    bare_free, bare_told = played(together)
    run.clear_cache()
    np.testing.assert_allclose(free, bare_free, atol=1e-5)
    assert np.abs(told - bare_told).max() > 0.01


def test_the_network_is_told_of_one_style_and_of_its_sound_alone():
    def told(**changes):
        cond = row(1, {}).replace(**changes).cond(LAYOUT)
        return np.asarray(cond.style)[0], float(cond.keep_style[0])

    one = np.zeros((1, FRAMES[1], requests.MAX_SECTIONS), np.float32)
    one[..., 1] = 1.0
    style, keep = told(sections=one)
    np.testing.assert_allclose(style, row(1, {}).style[0, 1] * LAYOUT.sound, rtol=1e-6)
    assert keep == 1.0
    for changes in ({}, {"sections": one, "style_strength": np.zeros(1, np.float32)}):
        style, keep = told(**changes)
        assert keep == 0.0 and not style.any()
