import dataclasses
import json
import time

import jax
import numpy as np
import pytest

from bassdiff.runtime.errors import InputError, Preempted
from bassdiff.training import loop, sharding
from bassdiff.training.checkpoint import Checkpoints
from bassdiff.training.loop import train
from bassdiff.training.schedule import Schedule

SCHEDULE = dict(num_steps=7, checkpoint_every=2, log_every=2, validate_every=4)
SETTINGS = dict(seed=5, batch_size=16, progress=False)


def assert_equal(a, b, **tolerance):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if tolerance:
            np.testing.assert_allclose(x, y, **tolerance)
        else:
            np.testing.assert_array_equal(x, y)


@pytest.fixture
def run(regression, rows, tmp_path):
    def run(workdir="run", num_steps=7, objective=None, dataset=None, **changes):
        fields = {field.name for field in dataclasses.fields(Schedule)}
        when = {name: value for name, value in changes.items() if name in fields}
        how = {name: value for name, value in changes.items() if name not in fields}
        return train(
            objective or regression(),
            rows() if dataset is None else dataset,
            tmp_path / workdir,
            Schedule(**{**SCHEDULE, "num_steps": num_steps, **when}),
            **{**SETTINGS, **how},
        )

    return run


@pytest.fixture(scope="module")
def whole(regression, rows, tmp_path_factory):
    """What an uninterrupted run of seven steps ends with."""
    workdir = tmp_path_factory.mktemp("whole")
    return jax.device_get(train(regression(), rows(), workdir, Schedule(**SCHEDULE), **SETTINGS))


def records(workdir):
    lines = (workdir / "logs" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_learns_logs_validates_and_exports(run, regression, tmp_path):
    objective = regression()
    state = run(num_steps=20, objective=objective)
    assert int(state.step) == 20
    assert objective.prepared == 1
    assert objective.validated == [4, 8, 12, 16, 20]
    losses = [r["loss"] for r in records(tmp_path / "run") if "loss" in r]
    assert len(losses) == 10
    assert losses[-1] < 0.9 * losses[0]
    np.testing.assert_array_equal(np.load(tmp_path / "run" / "weights" / "b.npy"), state.ema["b"])


def test_a_run_ends_with_a_checkpoint_and_a_validation_at_its_last_step(run, regression, tmp_path):
    objective = regression()
    run(num_steps=3, objective=objective)
    assert objective.validated == [3]
    assert (tmp_path / "run" / "checkpoints" / "3").is_dir()


def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(run, whole, regression):
    run(num_steps=3)
    again = regression()
    assert_equal(run(objective=again), whole)
    assert again.prepared == 0


def test_a_run_that_died_resumes_from_its_last_checkpoint(run, whole, regression):
    def die(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(objective=regression(die), validate_every=5)
    seen = []
    state = run(objective=regression(seen.append), validate_every=5)
    assert seen == [5, 7]
    assert_equal(state, whole)


def test_a_finished_run_does_nothing(run, regression):
    first = run(num_steps=2)
    objective = regression()
    assert_equal(run(num_steps=2, objective=objective), first)
    assert objective.validated == []


def test_the_seed_decides(run, whole):
    assert np.abs(run(seed=6).params["w"] - whole.params["w"]).max() > 1e-3


def test_large_arrays_are_split_and_a_run_moves_between_meshes(run, whole):
    split = run(num_steps=4, mesh_shape=(4, 2))

    def parts(leaf):
        return {shard.data.shape for shard in leaf.addressable_shards}

    assert parts(split.params["w"]) == {(256, 150)}
    # What only the optimiser reads is split over all eight.
    for tree in (split.ema, split.opt_state[0].mu):
        assert parts(tree["w"]) == {(32, 300)}
        assert parts(tree["b"]) == {(300,)}
    moved = run(mesh_shape=(8, 1))
    assert {shard.data.shape for shard in moved.params["w"].addressable_shards} == {(256, 300)}
    assert_equal(moved, whole, rtol=1e-5, atol=1e-5)


def test_eight_devices_train_as_one(run, whole, one_device):
    state = run()
    assert len(state.params["w"].sharding.device_set) == 1
    assert_equal(state, whole, rtol=1e-5, atol=1e-5)


def test_a_longer_run_compiles_nothing_more(run, compilations):
    counts = []
    for workdir, num_steps in (("warm", 1), ("short", 2), ("long", 8)):
        compilations.clear()
        run(workdir, num_steps, validate_every=100)
        counts.append(len(compilations))
    assert counts[2] == counts[1]


def test_a_batch_that_is_not_finite_is_skipped(run, rows, tmp_path):
    """Row 40 is in the third batch of 16: that step leaves the state as the second left it."""
    dataset = rows(spoilt=[40], shuffled=False)
    before = jax.device_get(run("short", 2, dataset=dataset))
    after = run("short", 3, dataset=dataset)
    assert int(after.step) == 3
    assert_equal(after.replace(step=before.step), before)
    assert records(tmp_path / "short")[-2]["skipped"] == 1.0
    later = run("short", 6, dataset=dataset)
    assert np.abs(later.params["w"] - before.params["w"]).max() > 1e-4
    assert np.all(np.isfinite(later.params["w"]))


def test_a_streak_of_bad_batches_rolls_back_and_goes_on_behind_it(run, rows, regression, tmp_path):
    """Rows 64 to 127 are batches 5 to 8; after four skips step 4's state meets batch 9."""
    dataset = rows(spoilt=range(64, 128), shuffled=False)
    state = run(num_steps=8, dataset=dataset, max_skips=4, log_every=1, checkpoint_every=2)
    assert int(state.step) == 8
    steps = [r["step"] for r in records(tmp_path / "run") if "loss" in r]
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8]
    assert records(tmp_path / "run")[-2]["goodput/lost_steps"] == 4.0
    # As good as if the bad batches had never been there.
    run("before", 4, dataset=dataset, checkpoint_every=2)
    mesh = sharding.make_mesh()
    shapes = jax.eval_shape(regression().init, jax.random.key(0))
    before = Checkpoints(tmp_path / "before" / "checkpoints", 1)
    good, position = before.restore(shapes, sharding.state_sharding(shapes, mesh))
    before.close()
    assert position == {"next_index": 64, "rollbacks": 0}
    moved = Checkpoints(tmp_path / "moved" / "checkpoints", 1)
    moved.save(4, good, {**position, "next_index": 128})
    moved.close()
    assert_equal(run("moved", 8, dataset=dataset).params, state.params)
    assert np.abs(good.params["w"] - state.params["w"]).max() > 1e-4


def test_where_to_end_is_asked_by_a_number_that_never_goes_back(run, rows, monkeypatch):
    """JAX ends all processes at the highest number any has asked by, and one: that must come."""
    asked = []
    monkeypatch.setattr(loop.multihost_utils, "reached_preemption_sync_point", asked.append)
    dataset = rows(spoilt=range(64, 128), shuffled=False)
    run(num_steps=8, dataset=dataset, max_skips=4, log_every=1, checkpoint_every=2)
    assert asked == list(range(1, 13))


def test_a_run_that_diverges_stops_and_says_so(run, rows, tmp_path):
    dataset = rows(spoilt=range(40, 4096), shuffled=False)
    words = (
        r"diverged: 10 steps in a row up to step 12 .*loss nan, 1 roll-backs before; .* step 2\)"
    )
    with pytest.raises(InputError, match=words):
        run(num_steps=200, dataset=dataset, log_every=2, max_skips=10, max_rollbacks=1)
    # What it was rolled back to is still there.
    assert (tmp_path / "run" / "checkpoints" / "2").is_dir()


def test_a_run_that_diverges_at_once_has_nothing_to_go_back_to(run, rows):
    with pytest.raises(InputError, match="there is no checkpoint"):
        run(num_steps=20, dataset=rows(spoilt=range(4096)), max_skips=4)


def test_a_run_that_learns_nothing_does_not_end_well(run, rows, tmp_path):
    for _ in range(2):
        with pytest.raises(InputError, match="none of the 3 steps had a loss and gradients that"):
            run(num_steps=3, dataset=rows(spoilt=range(4096)))
    assert not list((tmp_path / "run" / "checkpoints").glob("3"))
    # But a few at the end of a run that has learnt are only skipped.
    run("other", 3, dataset=rows(spoilt=range(16, 4096), shuffled=False))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 12}, "batch_size=12 must be a multiple of 8 devices"),
        ({"batch_size": 2**16}, "40960 examples do not fill one batch of 65536"),
        ({"mesh_shape": (3, 2)}, "does not cover 8 devices"),
    ],
)
def test_impossible_runs_are_refused_before_they_start(run, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(**changes)
    assert not (tmp_path / "run").exists()


def test_speed_is_that_of_all_steps_since_the_last_record(run, tmp_path, monkeypatch):
    """A record after two steps and one after four more, of a second each."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(loop, "peak_flops", lambda device: 1e9)
    reached = loop.multihost_utils.reached_preemption_sync_point

    def second(step):
        now[0] += 1.0
        return reached(step)

    monkeypatch.setattr(loop.multihost_utils, "reached_preemption_sync_point", second)
    run(num_steps=6, log_every=2, checkpoint_every=100, validate_every=100)
    speeds = [r["seconds_per_step"] for r in records(tmp_path / "run") if "loss" in r]
    assert speeds == [1.0, 1.0, 1.0]


def test_a_trace_of_some_steps_is_written(run, tmp_path):
    run(num_steps=4, profile=(2, 3), validate_every=100)
    assert list((tmp_path / "run" / "logs").glob("plugins/profile/*/*.pb"))


def test_a_run_that_resumes_behind_its_trace_goes_on(run, tmp_path):
    run(num_steps=3, validate_every=100)
    run(num_steps=5, profile=(2, 4), validate_every=100)
    assert not (tmp_path / "run" / "logs" / "plugins").exists()


def test_asked_to_end_a_run_saves_and_goes_on_as_if_nothing_had_been(run, whole, monkeypatch):
    reached = loop.multihost_utils.reached_preemption_sync_point
    with monkeypatch.context() as patch:
        patch.setattr(loop.multihost_utils, "reached_preemption_sync_point", lambda step: step == 3)
        with pytest.raises(Preempted, match="saved at step 3 in"):
            run()
    assert loop.multihost_utils.reached_preemption_sync_point is reached
    assert_equal(run(), whole)


def test_the_best_checkpoint_is_kept(run, regression, tmp_path):
    class Worsening(regression):
        def validate(self, state, log):
            return float(state.step)

    run(num_steps=20, objective=Worsening(), checkpoint_every=2, validate_every=4)
    kept = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert {"4", "16", "18", "20"} == kept


def test_an_evaluation_sees_the_average_when_it_is_due(run):
    seen = []
    run(
        num_steps=9,
        validate_every=2,
        evaluate_every=4,
        evaluate=lambda state, log: seen.append(int(state.step)),
    )
    assert seen == [4, 8, 9]
