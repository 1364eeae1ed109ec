import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from bassdiff.training.goodput import Goodput
from bassdiff.training.sharding import make_mesh
from bassdiff.training.step_meter import Meter
from bassdiff.training.utilisation import (
    peak_flops,
    program_bytes,
    program_collectives,
    program_flops,
    program_memory,
)


@pytest.fixture(scope="module")
def program():
    """A product whose sum over a split dimension is one all-reduce of 64 x 32 numbers."""
    mesh = make_mesh(8, 1)
    a = jax.device_put(jnp.ones((64, 128)), NamedSharding(mesh, P(None, "data")))
    b = jax.device_put(jnp.ones((128, 32)), NamedSharding(mesh, P("data", None)))
    whole = NamedSharding(mesh, P())
    return jax.jit(jnp.matmul, out_shardings=whole).lower(a, b).compile()


def test_collectives_are_counted_with_their_bytes(program):
    assert program_collectives(program) == {"all-reduce": (1, 64 * 32 * 4)}


def test_work_is_that_of_one_device(program):
    product, total = 2 * 64 * 16 * 32, program_flops(program)
    # The sum over devices counts too.
    assert product <= total <= 1.5 * product


def test_memory_is_that_of_one_device(program):
    memory = program_memory(program)
    assert memory["arguments"] == (64 * 16 + 16 * 32) * 4
    assert memory["outputs"] == 64 * 32 * 4


def test_traffic_is_what_is_read_and_written(program):
    least = (64 * 16 + 16 * 32 + 64 * 32) * 4
    # The product before its sum, which is read and written once more.
    assert least <= program_bytes(program) <= 3 * least


def test_a_cpu_s_peak_is_measured():
    assert 1e9 < peak_flops(jax.devices()[0]) < 1e14


def test_a_tpu_s_peak_is_known():
    class Device:
        device_kind = "TPU v5 lite"

    assert peak_flops(Device()) == 197e12


def test_time_is_counted_by_what_it_was_spent_on(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    goodput = Goodput(lost_steps=3)
    for kind, seconds in (("compile", 4.0), ("data_wait", 1.0), ("data_wait", 2.0)):
        with goodput.spent(kind):
            now[0] += seconds
    now[0] += 13.0
    record = goodput.record()
    assert record["goodput/compile_seconds"] == 4.0
    assert record["goodput/data_wait_seconds"] == 3.0
    assert record["goodput/productive_seconds"] == 13.0
    np.testing.assert_allclose(record["goodput/productive_share"], 0.65)
    assert record["goodput/lost_steps"] == 3.0


@pytest.mark.parametrize(("is_working", "waited"), [(True, 0.0), (False, 5.0)])
def test_what_goes_by_while_the_device_works_is_no_waiting(monkeypatch, is_working, waited):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    goodput = Goodput()
    with goodput.spent("data_wait", but_not_if=lambda: is_working):
        now[0] += 5.0
    assert goodput["data_wait"] == waited


def test_a_device_is_busy_until_its_last_step_is_done():
    meter = Meter(batch_size=1, peak=1.0)
    assert not meter.is_busy()
    x = jnp.ones((1500, 1500))
    slow = jax.jit(lambda x: {"loss": jax.lax.fori_loop(0, 20, lambda _, y: x @ y, x)[0, 0]})
    jax.block_until_ready(slow(x))
    meter.add(slow(x))
    assert meter.is_busy()
    meter.read()
    assert not meter.is_busy()
