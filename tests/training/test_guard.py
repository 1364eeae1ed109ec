import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.training.guard import SPIKE, guard
from bassdiff.training.state import TrainState


def state(step, value, moment=None, usual=(np.nan, np.nan)):
    moment = value if moment is None else moment
    return TrainState(
        step=jnp.int32(step),
        params={"w": jnp.full(3, value, jnp.float32)},
        ema={"w": jnp.full(3, value, jnp.float32)},
        opt_state=(jnp.int32(step), {"w": jnp.full(3, moment, jnp.float32)}),
        log_norms=jnp.log(jnp.asarray(usual, jnp.float32)),
    )


def guarded(new, old, losses=(0.5, 0.5), norms=(1.0, 1.0)):
    return jax.jit(guard)(new, old, jnp.asarray(losses), jnp.asarray(norms))


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_usual_step_is_taken():
    new, old = state(4, 2.0, usual=(1.0, 2.0)), state(3, 1.0, usual=(1.0, 2.0))
    kept, metrics = guarded(new, old, norms=(50.0, 2.0))
    assert float(metrics["skipped"]) == 0.0
    assert float(metrics["gradient_norm"]) == 50.0
    assert_same(kept.replace(log_norms=()), new.replace(log_norms=()))


@pytest.mark.parametrize(
    ("fault", "value", "moment"),
    [
        ({"losses": (np.nan, 0.5)}, 2.0, 2.0),
        ({"losses": (0.5, np.inf)}, 2.0, 2.0),
        ({"norms": (np.nan, 1.0)}, 2.0, 2.0),
        ({"norms": (1.0, np.inf)}, 2.0, 2.0),
        ({"norms": (1e8, 1.0)}, 2.0, 2.0),
        ({"norms": (1.0, 1e8)}, 2.0, 2.0),
        ({}, np.nan, 2.0),
        ({}, -np.inf, 2.0),
        ({}, 2.0, np.inf),
        ({}, 2.0, np.nan),
    ],
)
def test_a_faulty_step_changes_nothing_but_the_count(fault, value, moment):
    usual = (1.0, 2.0)
    new, old = state(4, value, moment, usual), state(3, 1.0, usual=usual)
    kept, metrics = guarded(new, old, **fault)
    assert float(metrics["skipped"]) == 1.0
    assert int(kept.step) == 4
    assert_same(kept.replace(step=old.step), old)


def test_before_anything_is_known_no_norm_is_a_spike():
    kept, metrics = guarded(state(1, 2.0), state(0, 1.0), norms=(1e8, 0.0))
    assert float(metrics["skipped"]) == 0.0
    np.testing.assert_allclose(jnp.exp(kept.log_norms[0]), 1e8, rtol=1e-5)
    # A network that is not trained yet stays unknown.
    assert np.isnan(kept.log_norms[1])


def test_the_usual_norm_follows_slow_changes():
    at = state(0, 1.0, usual=(1.0, 1.0))
    for step in range(1, 400):
        new = at.replace(step=jnp.int32(step))
        at, metrics = guarded(new, at, norms=(1.05**step, 1.0))
        assert float(metrics["skipped"]) == 0.0
    # It has grown by far more than one step may.
    assert 1.05**399 > SPIKE
    # It lags behind, by as many steps as it remembers.
    assert 1.05 ** (399 - 50) < float(metrics["typical_norm"]) < 1.05 ** (399 - 30)
