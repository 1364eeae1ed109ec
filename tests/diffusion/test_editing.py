import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion import sampler
from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.editing import Keep, Windowed
from bassdiff.diffusion.guidance import CFG
from bassdiff.diffusion.schedules import cosine
from bassdiff.diffusion.solvers import SOLVERS

FRAMES, CHANNELS = 12, 4


def smoothing(x, sigma, cond):
    """Every frame leans on its neighbours, so that edits must reach beyond themselves."""
    near = (jnp.roll(x, 1, axis=1) + jnp.roll(x, -1, axis=1)) / 2.0
    level = jnp.square(sigma)[:, None, None]
    return (0.5 * x + 0.4 * near + level * cond.mix * cond.keep[:, None, None]) / (1.0 + level)


@pytest.fixture
def song(make_cond):
    return make_cond(2, FRAMES, CHANNELS)


@pytest.fixture
def known():
    return jax.random.normal(jax.random.key(5), (2, FRAMES, CHANNELS))


def play(guidance, cond, solver="euler", sigmas=None, draft=0.0):
    sigmas = jnp.asarray(cosine(12) if sigmas is None else sigmas)
    noise = jax.random.normal(jax.random.key(0), cond.mix.shape)
    keys = jax.random.split(jax.random.key(1), len(noise))

    @jax.jit
    def run(guidance, draft):
        levels, last = sampler.to_zero(sigmas), len(sigmas) - 1
        move = functools.partial(sampler.advance, smoothing, SOLVERS[solver](), guidance, levels)
        at = sampler.begin(SOLVERS[solver](), noise, sigmas[0], draft)
        at = move(cond, at, 0, last, keys)
        return move(cond, at, last, last + 1, keys).x, at.x

    return run(guidance, draft)


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_is_kept_comes_out_as_it_went_in(solver, song, known):
    keep = (jnp.arange(FRAMES) < 5).astype(float)[None, :, None]
    x0, _ = play(chain(CFG(2.0), Keep(known, keep)), song, solver)
    np.testing.assert_allclose(x0[:, :5], known[:, :5], rtol=1e-6)
    free, _ = play(chain(CFG(2.0)), song, solver)
    assert np.abs(x0[:, 5:] - known[:, 5:]).min(axis=(0, 2)).max() > 1e-3
    # The rest hears what is kept beside it.
    assert np.abs(x0[:, 5] - free[:, 5]).max() > 1e-2


@pytest.mark.parametrize("solver", SOLVERS)
def test_on_the_way_the_kept_part_has_the_noise_of_the_level(solver, song, known):
    # Ends at sigma = 3, where the noise is three times the signal.
    sigmas = np.geomspace(400.0, 3.0, 30)
    _, x = play(chain(Keep(known, jnp.ones((1, FRAMES, 1)))), song, solver, sigmas)
    noise = (x - known) / 3.0
    assert 0.75 < float(jnp.std(noise)) < 1.25


def test_channels_can_be_kept_on_their_own(song, known):
    keep = jnp.asarray([1.0, 0.0, 0.0, 1.0])[None, None, :]
    x0, _ = play(chain(Keep(known, keep)), song)
    np.testing.assert_allclose(x0[..., [0, 3]], known[..., [0, 3]], rtol=1e-6)
    assert np.abs(x0[..., 1] - known[..., 1]).max() > 0.1


def test_keeping_nothing_changes_nothing(song, known):
    edited, _ = play(chain(CFG(2.0), Keep(known, jnp.zeros((1, 1, 1)))), song)
    np.testing.assert_array_equal(edited, play(chain(CFG(2.0)), song)[0])


def test_a_variation_departs_from_its_draft_with_the_first_level(song, known):
    def distance(sigma_max):
        x0, _ = play(chain(), song, sigmas=cosine(12, 0.01, sigma_max), draft=known)
        rest = smoothing(known, jnp.full(2, 0.01), song)
        return float(jnp.sqrt(jnp.mean(jnp.square(x0 - rest))))

    distances = [distance(level) for level in (0.02, 0.2, 1.0, 5.0, 80.0)]
    assert distances == sorted(distances)
    assert distances[0] < 0.15 and distances[-1] > 0.5


def blurred(x, sigma, cond):
    """Each frame depends on those two frames around it, on the mix and on the level."""
    near = jnp.pad(x * cond.mask(), ((0, 0), (2, 2), (0, 0)))
    total = sum(near[:, i : i + x.shape[1]] for i in range(5))
    return total / (5.0 + sigma[:, None, None]) + cond.mix * cond.keep[:, None, None]


def test_windows_agree_with_one_pass_away_from_their_borders(make_cond):
    cond = make_cond(1, 64, 4)
    x = jax.random.normal(jax.random.key(2), (1, 64, 4))
    level = jnp.asarray([2.0])
    whole = blurred(x, level, cond)
    parts = Windowed(24, 16)(blurred)(x, level, cond)
    # Windows start at 0, 16, 32 and 40; only frames within 2 of a border may differ.
    borders = {s + d for s in (16, 32, 40) for d in (0, 1)} | {
        s + 24 - d for s in (0, 16, 32) for d in (1, 2)
    }
    inner = np.asarray([t for t in range(64) if t not in borders])
    np.testing.assert_allclose(parts[:, inner], whole[:, inner], rtol=1e-4, atol=1e-5)


def test_windows_follow_the_real_frames(make_cond):
    """Padding changes nothing and costs nothing, and rows of other lengths do not matter."""
    x = jax.random.normal(jax.random.key(2), (2, 64, 4))
    level, seen = jnp.asarray([2.0, 0.3]), []

    def spy(x, sigma, cond):
        jax.debug.callback(lambda _: seen.append(1), x[0, 0, 0])
        return blurred(x, sigma, cond)

    cond = make_cond(2, 64, 4, frames=[30, 9])
    both = jax.jit(Windowed(24, 16)(spy))(x, level, cond)
    jax.effects_barrier()
    assert len(seen) == 2
    short = jax.tree.map(lambda leaf: leaf[:1], cond)
    short = short.replace(mix=short.mix[:, :30])
    alone = Windowed(24, 16)(blurred)(x[:1, :30], level[:1], short)
    np.testing.assert_allclose(both[0, :30], alone[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(both[1, :9], blurred(x, level, cond)[1, :9], rtol=1e-4, atol=1e-5)


def test_a_row_beside_a_longer_one_is_blended_as_alone(make_cond):
    """Where windows disagree, one that is counted twice would show."""

    def by_window(x, sigma, cond):
        return x - x.mean(axis=1, keepdims=True)

    x = jax.random.normal(jax.random.key(2), (2, 64, 4))
    cond = make_cond(2, 64, 4, frames=[64, 44])
    both = Windowed(24, 16)(by_window)(x, jnp.ones(2), cond)
    row = jax.tree.map(lambda leaf: leaf[1:], cond)
    alone = Windowed(24, 16)(by_window)(x[1:], jnp.ones(1), row)
    np.testing.assert_allclose(both[1, :44], alone[0, :44], rtol=1e-5, atol=1e-6)


def test_every_window_is_told_the_style(make_cond):
    style = jnp.asarray([[1.0, -2.0, 0.5, 3.0]])
    cond = make_cond(1, 64, 4).replace(style=style, keep_style=jnp.ones(1))
    told = Windowed(24, 16)(lambda x, sigma, cond: 0.0 * x + cond.style[:, None])
    np.testing.assert_allclose(
        told(jnp.ones((1, 64, 4)), jnp.ones(1), cond),
        jnp.tile(style[:, None], (1, 64, 1)),
        rtol=1e-6,
    )


def test_a_batch_within_one_window_is_passed_on(make_cond):
    cond, x = make_cond(1, 16, 4), jnp.ones((1, 16, 4))
    out = Windowed(24, 16)(blurred)(x, jnp.ones(1), cond)
    np.testing.assert_array_equal(out, blurred(x, jnp.ones(1), cond))


def test_memory_is_that_of_one_window(make_cond):
    up, down = jnp.ones((4, 2048)), jnp.ones((2048, 4))

    def hungry(x, sigma, cond):
        return jnp.sin(x @ up) @ down

    def temporary_bytes(denoise):
        cond = make_cond(1, 4096, 4)
        lowered = jax.jit(denoise).lower(jnp.ones((1, 4096, 4)), jnp.ones(1), cond)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporary_bytes(Windowed(64, 48)(hungry)) < 0.05 * temporary_bytes(hungry)
