"""What a job on many hosts meets, on two processes of this machine: it goes on, or ends fast."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
pytestmark = pytest.mark.faults


def environment(devices):
    flags = (
        f"--xla_force_host_platform_device_count={devices}",
        "--xla_backend_optimization_level=0",
        # Else independent collectives of one program may start in another order on each process,
        # and then wait for each other for ever.
        "--xla_cpu_enable_concurrency_optimized_scheduler=false",
    )
    flags = " ".join(flags)
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}


def launch(workdir, *options, **how):
    """Starts a gang of workers."""
    return start_gang([WORKER, workdir, *options], **how)


def start_gang(words, processes=2, devices=4, restarts=6, grace=5.0):
    """Starts processes of this interpreter."""
    gang = ["launch.gang", "--processes", processes, "--restarts", restarts]
    command = [*gang, "--grace-seconds", grace, "--", sys.executable, *words]
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        env=environment(devices),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(workdir, *options, **how):
    """What a gang wrote to stderr, and its exit code."""
    process = launch(workdir, *options, **how)
    _, errors = process.communicate(timeout=240)
    return errors, process.returncode


def final(workdir):
    with np.load(workdir / "final.npz") as arrays:
        return [arrays[name] for name in arrays.files]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted run on 2 x 4 devices ends with."""
    workdir = tmp_path_factory.mktemp("whole")
    errors, code = run(workdir)
    assert code == 0, errors
    return final(workdir)


def assert_identical(workdir, whole):
    for ours, theirs in zip(final(workdir), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("fault", ["kill@3:0", "kill@7:1", "term@5:0", "term@6:1"])
def test_a_process_that_is_ended_costs_nothing_but_time(tmp_path, whole, fault):
    errors, code = run(tmp_path, "--fault", fault)
    assert code == 0, errors
    assert "attempt 2 ended with 0" in errors
    assert_identical(tmp_path, whole)


def test_preempted_again_and_again_a_run_ends_as_if_it_had_not_been(tmp_path, whole):
    faults = ["term@2:1", "kill@6:0", "kill@7:1", "term@8:0"]
    errors, code = run(tmp_path, *[word for fault in faults for word in ("--fault", fault)])
    assert code == 0, errors
    assert len(list(tmp_path.glob("fault-*"))) == len(faults)
    assert errors.count("ended with 42") == 2
    assert "attempt 5 ended with 0" in errors
    assert_identical(tmp_path, whole)


def test_asked_to_end_all_processes_save_at_one_step(tmp_path, whole):
    errors, code = run(tmp_path, "--fault", "term@5:1", restarts=0)
    assert code == 42
    first, second = re.findall(r"saved at step (\d+)", errors)
    assert first == second
    assert (tmp_path / "checkpoints" / first).is_dir()
    errors, code = run(tmp_path)
    assert code == 0, errors
    assert_identical(tmp_path, whole)


@pytest.mark.parametrize(
    ("options", "codes", "words"),
    [
        (["--fault", "raise@3:1"], {1}, "this process has a defect"),
        (["--fault", "hang@3:1"], {42}, "did not end in time"),
        # Whoever notices first: the heart that no longer beats, or the step that does not end.
        (["--fault", "stop@3:0"], {42, 134}, ""),
        (["--fault", "skip:1"], {42, 134}, ""),
    ],
)
def test_what_goes_wrong_on_one_process_ends_all_soon(tmp_path, options, codes, words):
    process = launch(tmp_path, *options, restarts=0, grace=0.5)
    # Starting up takes its time on a small machine; what counts is from the fault on.
    started = time.monotonic()
    begun = started
    while process.poll() is None:
        if not list(tmp_path.glob("fault-*")) and not (tmp_path / "checkpoints" / "8").exists():
            begun = time.monotonic()
        assert time.monotonic() < started + 120
        time.sleep(0.1)
    _, errors = process.communicate()
    assert process.returncode in codes, errors
    assert words in errors
    assert time.monotonic() - begun < 15.0


def test_a_peer_that_does_not_come_in_time_is_no_defect(tmp_path):
    words = """
import time
from bassdiff.runtime.jobs import distributed_job
with distributed_job(start_seconds=60, heartbeat_seconds=10, shutdown_seconds=10):
    import jax, orbax.checkpoint as ocp
    if jax.process_index() == 1:
        time.sleep(60)
    ocp.multihost.sync_global_processes("here", timeout=1, processes={0, 1})
"""
    process = start_gang(["-c", words], restarts=0, grace=0.5)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 42, errors
    assert "DEADLINE_EXCEEDED" in errors


def test_hosts_with_different_configurations_refuse_before_they_start(tmp_path):
    errors, code = run(tmp_path, "--config", "{process}", restarts=3)
    assert code == 2
    assert "process 1 has another configuration than process 0" in errors
    assert errors.count("ended with") == 1
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("processes", "devices", "fsdp"), [(1, 8, 1), (1, 8, 2), (1, 4, 1), (1, 1, 1), (1, 16, 1)]
)
def test_another_shape_takes_the_run_over(tmp_path, whole, processes, devices, fsdp):
    """Half on 2 x 4 devices, half elsewhere: the same numbers, but for the order of sums."""
    errors, code = run(tmp_path, "--steps", "4")
    assert code == 0, errors
    errors, code = run(tmp_path, "--fsdp", fsdp, processes=processes, devices=devices)
    assert code == 0, errors
    for ours, theirs in zip(final(tmp_path), whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_gang_that_is_asked_to_end_saves_and_goes_on_later(tmp_path):
    process = launch(tmp_path, "--steps", "400", restarts=3)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("checkpoints/[0-9]*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 42, errors
    assert "saved at step" in errors
    assert errors.count("ended with") == 1
    saved = int(re.findall(r"saved at step (\d+)", errors)[0])
    errors, code = run(tmp_path, "--steps", saved + 4)
    assert code == 0, errors
    assert int(final(tmp_path)[0]) == saved + 4


CLI = ["-c", "import sys; from bassdiff.cli.main import main; sys.exit(main())"]


def training(objective, **settings):
    """`bassdiff train` of the tiny model of an objective."""
    config = ["--config", ROOT / "configs" / f"{objective}.py:tiny"]
    keys = [f"--config.{key.replace('__', '.')}={value}" for key, value in settings.items()]
    return [*CLI, "train", objective, *config, *keys]


@pytest.fixture
def latents(latent_stores):
    """Where the latents of both splits are."""
    return {f"data__{name}": latent_stores / name for name in ("latents", "validation_latents")}


@pytest.fixture
def words(latents, tiny_weights):
    """`bassdiff train diffusion` of the tiny model."""
    return training("diffusion", **latents, data__codecs=tiny_weights, crop_frames=8)


def log_of(words, tmp_path, **how):
    """What a gang of two hosts logged that trained something to its end."""
    process = start_gang([*words, "--workdir", tmp_path], restarts=0, **how)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return (tmp_path / "logs" / "metrics.jsonl").read_text()


def test_two_hosts_train_validate_rehearse_and_export_the_real_thing(words, tmp_path):
    """With parameters split over the devices, and the batch in parts."""
    split = ["--config.mesh.fsdp=4", "--config.num_parts=2", "--config.batch_size=16"]
    log = log_of([*words, *split], tmp_path)
    assert (tmp_path / "weights" / "unet.safetensors").is_file()
    assert "validation/own_mix" in log and "music/harmony_top1" in log


def test_two_hosts_train_a_codec_and_its_judge(tmp_path):
    data = {"data__source": "composed:2", "data__max_seconds": 12.0, "num_fit_clips": 4}
    settings = {"crop_samples": 16384, "num_parts": 2, "mesh__fsdp": 2, "num_steps": 4}
    log = log_of(
        training("autoencoder", **data, **settings, warmup_steps=1, adversarial_from_step=1),
        tmp_path,
        devices=2,
    )
    assert (tmp_path / "weights" / "bass_codec.safetensors").is_file()
    critic = [json.loads(line)["critic"] for line in log.splitlines() if '"critic"' in line]
    assert critic[-1] > 0.0


def test_two_hosts_train_an_adapter_of_few_steps(latents, tiny_weights, tmp_path):
    words = training("distillation", **latents, teacher=tiny_weights, crop_frames=8)
    assert "validation/distilled" in log_of(words, tmp_path, devices=2)
    assert (tmp_path / "weights" / "adapter.safetensors").is_file()


def test_two_hosts_train_a_judge(songs_in_keys, tmp_path):
    splits = ("latents", "validation_latents")
    data = {f"data__{name}": songs_in_keys[name] for name in splits}
    assert "validation/" in log_of(training("matching", **data), tmp_path, devices=2)
    assert (tmp_path / "weights" / "matching.safetensors").is_file()


def test_a_user_s_only_process_saves_when_asked_to_end_and_goes_on(words, tmp_path):
    command = [*words, "--workdir", tmp_path, "--config.num_steps=100000"]
    # Processes that read end with it, and hold nothing up.
    command.append("--config.num_read_workers=1")
    metrics, saved = tmp_path / "logs" / "metrics.jsonl", [0]
    for _ in range(2):
        with (tmp_path / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, *map(str, command)], env=environment(1), stderr=stderr
            )
            deadline = time.monotonic() + 120
            while last_step(metrics) <= saved[-1]:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            # It may be amid a validation, which is finished first.
            assert process.wait(300) == 42
        errors = (tmp_path / "stderr").read_text()
        saved.append(int(errors.split("saved at step ")[1].split()[0]))
    assert saved[2] > saved[1] > 0
    assert '"goodput/lost_steps": 0.0' in metrics.read_text().splitlines()[-1]


def last_step(metrics):
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0
