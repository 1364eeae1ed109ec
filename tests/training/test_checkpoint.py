import collections
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.experimental import multihost_utils

from bassdiff.runtime.errors import InputError
from bassdiff.training.checkpoint import Checkpoints
from bassdiff.training.leaf_fingerprints import fingerprints
from bassdiff.training.sharding import make_mesh, parameter_sharding
from bassdiff.training.state import TrainState


def make_state(step, width=256):
    rng = np.random.default_rng(step)
    w = rng.normal(size=(512, width)).astype(np.float32)
    return TrainState(
        step=np.int32(step),
        params={"w": w},
        ema={"w": -w},
        opt_state=(np.int32(step), {"w": w**2}),
        log_norms=np.zeros(1, np.float32),
    )


def placed(state, mesh):
    return jax.device_put(state, parameter_sharding(state, mesh))


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def saved(folder, mesh, steps=(1,)):
    checkpoints = Checkpoints(folder, 1)
    for step in steps:
        checkpoints.save(step, placed(make_state(step), mesh), {"next_index": 10 * step})
    checkpoints.close()


def restored(folder, mesh, width=256):
    checkpoints = Checkpoints(folder, 1)
    shapes = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, make_state(0, width)))
    try:
        return checkpoints.restore(shapes, parameter_sharding(shapes, mesh))
    finally:
        checkpoints.close()


def single_device():
    axes = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((1, 1), ("data", "fsdp"), axes, devices=jax.devices()[:1])


def test_one_device_restores_what_eight_saved(tmp_path):
    saved(tmp_path, make_mesh(2, 4))
    assert_equal(restored(tmp_path, single_device())[0], make_state(1))


@pytest.mark.parametrize("shape", [(4, 2), (8, 1), (1, 8)])
def test_any_mesh_restores_what_another_saved(tmp_path, shape):
    saved(tmp_path, make_mesh(2, 4))
    state, data = restored(tmp_path, make_mesh(*shape))
    assert_equal(state, make_state(1))
    assert data == {"next_index": 10}
    rows = {shard.data.shape[0] for shard in state.params["w"].addressable_shards}
    assert rows == {512 // shape[1]}


def test_the_newest_of_three_kept_checkpoints_comes_back(tmp_path):
    saved(tmp_path, make_mesh(), steps=range(1, 6))
    assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"3", "4", "5"}
    state, data = restored(tmp_path, make_mesh())
    assert_equal(state, make_state(5))
    assert data == {"next_index": 50}


def test_only_every_nth_step_is_saved_unless_forced(tmp_path):
    checkpoints = Checkpoints(tmp_path, every_steps=4)
    steps = [s for s in range(1, 10) if checkpoints.save(s, make_state(s), {})]
    assert set(steps) >= {4, 8}
    assert 5 not in steps
    assert 9 not in steps
    assert checkpoints.save(9, make_state(9), {}, force=True)
    assert not checkpoints.save(9, make_state(9), {}, force=True)
    assert checkpoints.latest_step() == 9
    checkpoints.close()


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path, 1)
    assert checkpoints.latest_step() is None
    checkpoints.close()


def test_what_is_saved_is_the_state_of_that_moment(tmp_path):
    """Saving goes on in the background while the next step overwrites the donated buffers."""
    mesh = make_mesh()
    state = placed(make_state(1), mesh)
    step = jax.jit(lambda s: jax.tree.map(lambda leaf: leaf + 1, s), donate_argnums=0)
    step(placed(make_state(2), mesh))
    checkpoints = Checkpoints(tmp_path, 1)
    checkpoints.save(int(state.step), state, {})
    for _ in range(5):
        state = step(state)
    checkpoints.close()
    assert_equal(restored(tmp_path, mesh)[0], make_state(1))


def test_an_unfinished_save_is_ignored_and_cleared_away(tmp_path):
    saved(tmp_path, make_mesh(), steps=[1])
    unfinished = tmp_path / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "state").mkdir()
    state, _ = restored(tmp_path, make_mesh())
    assert int(state.step) == 1
    assert not unfinished.exists()


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    saved(tmp_path, make_mesh())
    with pytest.raises(InputError, match=r"step 1 in .* does not fit this configuration"):
        restored(tmp_path, make_mesh(), width=128)
    assert (tmp_path / "1").is_dir()
    assert not (tmp_path / "quarantine").exists()


def steps_on_disk(folder):
    return {int(path.name) for path in folder.iterdir() if path.name.isdigit()}


# Damage


def test_saving_does_not_ask_whether_to_end(tmp_path, monkeypatch):
    """JAX would take the step of that question, asked late, for how far this process has come."""
    asked = []
    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", asked.append)
    saved(tmp_path, make_mesh(), steps=(1, 2))
    assert asked == []


def flip(path, rng):
    raw = bytearray(path.read_bytes())
    raw[rng.integers(len(raw))] ^= 1 << rng.integers(8)
    path.write_bytes(raw)


def truncate(path, rng):
    path.write_bytes(path.read_bytes()[: rng.integers(path.stat().st_size)])


def delete(path, rng):
    del rng
    path.unlink()


def largest_file(folder):
    return max(folder.rglob("*"), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_steps")
    saved(folder, make_mesh(2, 4), steps=(1, 2))
    return folder


@pytest.mark.faults
@pytest.mark.parametrize(("damage", "times"), [(flip, 3), (truncate, 1), (delete, 1)])
def test_damage_to_any_file_is_noticed_or_harmless(two_steps, tmp_path, rng, damage, times):
    names = [path.relative_to(two_steps) for path in (two_steps / "2").rglob("*") if path.is_file()]
    fell_back = set()
    for name in sorted(names):
        for trial in range(times):
            folder = tmp_path / f"{trial}" / str(name).replace("/", "_")
            shutil.copytree(two_steps, folder)
            damage(folder / name, rng)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                state, data = restored(folder, make_mesh(2, 4))
            # Only ours: libraries may have something to say too.
            ours = [str(w.message) for w in caught if "is damaged" in str(w.message)]
            step = int(state.step)
            assert_equal(state, make_state(step))
            assert data == {"next_index": 10 * step}
            if step == 2:
                assert ours == []
            else:
                assert ["step 2 is damaged" in message for message in ours] == [True]
                assert (folder / "quarantine" / "2").is_dir()
                fell_back.add(name.parts[1])
    assert fell_back >= {"state", "record"}


@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_in_the_arrays_names_step_leaf_and_remedy(two_steps, tmp_path, seed):
    shutil.copytree(two_steps, tmp_path / "run")
    flip(largest_file(tmp_path / "run" / "2"), np.random.default_rng(seed))
    match = r"step 2 is damaged \(\S+ is not what was saved\) .* from step 1, but check the disk"
    with pytest.warns(UserWarning, match=match):
        state, _ = restored(tmp_path / "run", make_mesh())
    assert_equal(state, make_state(1))
    assert steps_on_disk(tmp_path / "run") == {1}
    assert steps_on_disk(tmp_path / "run" / "quarantine") == {2}


def test_the_run_goes_on_after_a_damaged_checkpoint(two_steps, tmp_path, rng):
    """Steps are saved again, and damaged again: nothing in quarantine is overwritten."""
    shutil.copytree(two_steps, tmp_path / "run")
    for count in (1, 2):
        delete(tmp_path / "run" / "2" / "record" / "metadata", rng)
        with pytest.warns(UserWarning, match="step 2 is damaged"):
            restored(tmp_path / "run", make_mesh())
        assert len(list((tmp_path / "run" / "quarantine").iterdir())) == count
        saved(tmp_path / "run", make_mesh(), steps=[2])
    assert_equal(restored(tmp_path / "run", make_mesh())[0], make_state(2))


def test_one_object_restores_and_saves_on_after_a_damaged_checkpoint(two_steps, tmp_path, rng):
    shutil.copytree(two_steps, tmp_path / "run")
    flip(largest_file(tmp_path / "run" / "2"), rng)
    checkpoints = Checkpoints(tmp_path / "run", 1)
    shapes = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, make_state(0)))
    with pytest.warns(UserWarning, match="step 2 is damaged"):
        checkpoints.restore(shapes, parameter_sharding(shapes, make_mesh()))
    assert checkpoints.latest_step() == 1
    assert checkpoints.save(2, make_state(2), {})
    # Also while the save is still under way.
    state, _ = checkpoints.restore(shapes, parameter_sharding(shapes, make_mesh()))
    assert_equal(state, make_state(2))
    checkpoints.close()


def test_if_all_are_damaged_the_run_is_refused_each_time(two_steps, tmp_path, rng):
    shutil.copytree(two_steps, tmp_path / "run")
    for step in ("1", "2"):
        flip(largest_file(tmp_path / "run" / step), rng)
    for _ in range(2):
        with pytest.raises(InputError, match=r"no checkpoint in .*run is whole .* start afresh"):
            restored(tmp_path / "run", make_mesh())
        assert steps_on_disk(tmp_path / "run") == {1, 2}


def test_damage_to_the_saved_shapes_is_not_taken_for_another_model(two_steps, tmp_path):
    shutil.copytree(two_steps, tmp_path / "run")
    path = tmp_path / "run" / "2" / "state" / "_METADATA"
    path.write_text(path.read_text().replace('"params"', '"qarams"'))
    with pytest.warns(UserWarning, match="step 2 is damaged"):
        restored(tmp_path / "run", make_mesh())


def test_notes_that_orbax_cannot_read_do_not_keep_the_folder_from_being_opened(two_steps, tmp_path):
    shutil.copytree(two_steps, tmp_path / "run")
    path = tmp_path / "run" / "2" / "_CHECKPOINT_METADATA"
    for text in ("[]", '{"commit_timestamp_nsecs": "soon"}', '{"item_handlers": 5}'):
        path.write_text(text)
        assert_equal(restored(tmp_path / "run", make_mesh())[0], make_state(2))


def test_the_position_of_the_data_is_guarded_too(two_steps, tmp_path):
    shutil.copytree(two_steps, tmp_path / "run")
    path = tmp_path / "run" / "2" / "record" / "metadata"
    path.write_text(path.read_text().replace('"next_index": 20', '"next_index": 21'))
    with pytest.warns(UserWarning, match=r"step 2 is damaged .*record is not what was saved"):
        _, data = restored(tmp_path / "run", make_mesh())
    assert data == {"next_index": 10}


# Which are kept


def test_the_best_is_kept_besides_the_newest_also_over_a_restart(tmp_path):
    scores = [3.0, 1.0, 2.0, float("nan"), None, 1.5, 2.5, 0.5, 4.0, 5.0, 6.0]
    kept = []
    for step, score in enumerate(scores, 1):
        checkpoints = Checkpoints(tmp_path, 1, keep=2, best_by="loss")
        metrics = {} if score is None else {"loss": score, "other": -step}
        checkpoints.save(step, make_state(step), {}, metrics=metrics)
        checkpoints.close()
        kept.append(steps_on_disk(tmp_path))
    best = [1, 2, 2, 2, 2, 2, 2, 8, 8, 8, 8]
    assert kept == [{b, s, max(s - 1, 1)} for s, b in enumerate(best, 1)]


def test_without_a_metric_nothing_is_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, 1, keep=1)
    for step in (1, 2, 3):
        checkpoints.save(step, make_state(step), {}, metrics={"loss": float(step)})
    checkpoints.close()
    assert steps_on_disk(tmp_path) == {3}


# A full disk


def claim_free(monkeypatch, num_bytes):
    usage = collections.namedtuple("usage", "free")(num_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)


def test_a_checkpoint_that_would_not_fit_is_not_begun(tmp_path, monkeypatch):
    saved(tmp_path, make_mesh(), steps=[1])
    checkpoints = Checkpoints(tmp_path, 1)
    claim_free(monkeypatch, 2_000_000)
    match = (
        r"the disk of .* is full: a checkpoint takes 3 MB and 2 MB are free; "
        r"free some and run again, the last good one is step 1$"
    )
    with pytest.raises(InputError, match=match):
        checkpoints.save(2, make_state(2), {})
    claim_free(monkeypatch, 4_000_000)
    assert checkpoints.save(2, make_state(2), {})
    checkpoints.close()


@pytest.fixture(params=["real", "fake"])
def full_disk(request, tmp_path, monkeypatch):
    """A folder, and a function after which writing there fails although room was promised.

    Where a small disk cannot be mounted, which takes a superuser, the writer fails of itself.
    """
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    real = request.param == "real" and subprocess.run(mount, capture_output=True).returncode == 0
    claim_free(monkeypatch, 10**9)

    async def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill():
        if real:
            (tmp_path / "filling").write_bytes(bytes(1_500_000))
        else:
            monkeypatch.setattr(ocp.JsonCheckpointHandler, "_save_fn", fail)

    yield tmp_path, fill
    if real:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize("surfaces", ["at the next save", "at the end"])
def test_a_disk_that_fills_up_while_writing_costs_that_checkpoint_alone(full_disk, surfaces):
    folder, fill = full_disk
    checkpoints = Checkpoints(folder, 1)
    checkpoints.save(1, make_state(1), {"next_index": 10})
    checkpoints._manager.wait_until_finished()
    fill()
    match = r"the disk of .* is full: .* the last good one is step 1$"
    with pytest.raises(InputError, match=match):
        checkpoints.save(2, make_state(2), {})
        if surfaces == "at the next save":
            checkpoints.save(3, make_state(3), {})
        checkpoints.close()
    checkpoints.close()
    assert steps_on_disk(folder) == {1}
    assert_equal(restored(folder, make_mesh())[0], make_state(1))


# Other processes


def start(call, num_devices):
    """Runs a function of this module in a process of its own."""
    here = Path(__file__)
    environment = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}",
        "PYTHONPATH": f"{here.parents[2]}{os.pathsep}{here.parent}",
    }
    command = [sys.executable, "-c", f"import test_checkpoint as t; t.{call}"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def reported(process):
    """What a process printed last; before that may come greetings of libraries."""
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


def save_for_ever(folder):
    mesh = make_mesh(2, 4)
    checkpoints = Checkpoints(folder, 1)
    for step in range(1, 1000):
        checkpoints.save(step, placed(make_state(step), mesh), {"next_index": 10 * step})


def report(folder, *mesh):
    state, data = restored(folder, make_mesh(*mesh))
    print(json.dumps([fingerprints(state), data]))


def save_damage_and_restore(folder, port, index):
    """One of two processes; of the last step, it takes away what one of them alone reads."""
    jax.distributed.initialize(
        f"127.0.0.1:{port}", 2, index, initialization_timeout=60, heartbeat_timeout_seconds=30
    )
    mesh = make_mesh(1, 8)
    saved(folder, mesh, steps=(1, 2, 3))
    if index == 0:
        largest_file(Path(folder, "3", "state", "ocdbt.process_1")).unlink()
    jax.experimental.multihost_utils.sync_global_devices("damaged")
    report(folder, 1, 8)


@pytest.mark.faults
def test_killed_in_the_middle_of_a_save_the_newest_whole_one_restores(tmp_path):
    folders = [tmp_path / f"{number}" for number in range(4)]
    delays = dict(zip(folders, (0.0, 0.01, 0.03, 0.1), strict=True))
    processes = {folder: start(f"save_for_ever({str(folder)!r})", 8) for folder in folders}
    waiting, deadline = set(folders), time.monotonic() + 100
    try:
        while waiting:
            assert time.monotonic() < deadline
            # It is there from the first byte of the third save.
            for folder in [folder for folder in waiting if list(folder.glob("[3-9]*"))]:
                time.sleep(delays[folder])
                processes[folder].send_signal(signal.SIGKILL)
                waiting.remove(folder)
            time.sleep(0.001)
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    assert any(list(folder.glob("*tmp*")) for folder in folders)
    for folder in folders:
        newest = max(steps_on_disk(folder))
        assert newest >= 2
        state, data = restored(folder, make_mesh())
        assert_equal(state, make_state(newest))
        assert data == {"next_index": 10 * newest}


@pytest.mark.faults
def test_sixteen_devices_restore_what_eight_saved(two_steps):
    process = start(f"report({str(two_steps)!r}, 1, 16)", 16)
    assert reported(process) == [fingerprints(make_state(2)), {"next_index": 20}]


@pytest.mark.faults
@pytest.mark.slow
def test_two_processes_save_and_agree_on_what_is_damaged(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = f"save_damage_and_restore({str(tmp_path)!r}, {port}, %d)"
    processes = [start(call % index, 4) for index in range(2)]
    try:
        for process in processes:
            assert reported(process) == [fingerprints(make_state(2)), {"next_index": 20}]
    finally:
        for process in processes:
            process.kill()
    assert steps_on_disk(tmp_path) == {1, 2}
    assert steps_on_disk(tmp_path / "quarantine") == {3}
    for mesh in (make_mesh(2, 4), make_mesh(1, 8), single_device()):
        assert_equal(restored(tmp_path, mesh)[0], make_state(2))
