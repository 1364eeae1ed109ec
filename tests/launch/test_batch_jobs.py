"""Jobs of many songs are what Kubernetes, JobSet and Slurm take, and mean what they say."""

import runpy
import string
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from bassdiff.cli import main as cli

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "launch" / "batch"
# That of KubeRay is no Job; `test_ray_job.py` has it.
MANIFESTS = [path for path in sorted(FOLDER.glob("*.yaml")) if path.name != "ray-job.yaml"]
JOBSET = runpy.run_path(str(Path(__file__).with_name("test_manifests.py")))["JOBSET"]
KUBERNETES = "1.33"
DEVICES = {"gpu": ("nvidia.com/gpu", 1), "tpu": ("google.com/tpu", 4)}


def read(path):
    text = path.read_text(encoding="utf-8")
    return yaml.safe_load(string.Template(text).substitute(IMAGE="image:tpu", BUCKET="songs"))


def job_of(manifest):
    """The Job, and how many parts there are."""
    if manifest["kind"] == "Job":
        return manifest["spec"], manifest["spec"]["completions"]
    (replicated,) = manifest["spec"]["replicatedJobs"]
    return replicated["template"]["spec"], replicated["replicas"]


def check_style(path):
    config = YamlLintConfig(file=str(ROOT / ".yamllint"))
    problems = list(linter.run(path.read_text(encoding="utf-8"), config))
    assert not problems, problems


def check_schema(path):
    manifest = read(path)
    if manifest["kind"] == "JobSet":
        jsonschema.validate(manifest, JOBSET)
        manifest = {
            **{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "bassdiff"}},
            "spec": job_of(manifest)[0],
        }
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def check_exit_codes(path):
    """Nothing is begun again after 1 and 2, everything else is; and no part ends another."""
    manifest = read(path)
    job, _ = job_of(manifest)
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never" and pod["terminationGracePeriodSeconds"] >= 90
    disruption, codes = job["podFailurePolicy"]["rules"]
    assert (disruption["action"], disruption["onPodConditions"][0]["type"]) == (
        *("Ignore", "DisruptionTarget"),
    )
    assert codes["onExitCodes"] == {
        **{"containerName": pod["containers"][0]["name"], "operator": "In", "values": [1, 2]}
    }
    if manifest["kind"] == "Job":
        assert codes["action"] == "FailIndex" and job["backoffLimitPerIndex"] >= 10
    else:
        assert codes["action"] == "FailJob" and job["backoffLimit"] >= 10


def check_parts(path, monkeypatch):
    """Every part is played by one pod, and failed songs fail none."""
    manifest = read(path)
    job, count = job_of(manifest)
    (container,) = job["template"]["spec"]["containers"]
    parts = set()
    for index in range(count):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        arguments = cli.parser().parse_args(container["args"])
        assert arguments.allow_failed and arguments.songs == ["gs://songs/songs.jsonl"]
        parts.add(arguments.part)
    assert parts == {(index, count) for index in range(count)}
    if manifest["kind"] == "Job":
        assert job["completionMode"] == "Indexed" and job["parallelism"] == count
    else:
        # An Indexed one would number its own pods, of which each has one.
        assert (job["completionMode"], job["completions"]) == ("NonIndexed", 1)
        (index,) = (env for env in container["env"] if env["name"] == "JOB_COMPLETION_INDEX")
        label = index["valueFrom"]["fieldRef"]["fieldPath"]
        assert label == "metadata.labels['jobset.sigs.k8s.io/job-index']"


def check_machine(path):
    resource, count = DEVICES[path.name[:3]]
    pod = job_of(read(path))[0]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"] == {kind: {resource: count} for kind in ("requests", "limits")}
    (mount,) = container["volumeMounts"]
    (cache,) = (env for env in container["env"] if env["name"] == "JAX_COMPILATION_CACHE_DIR")
    assert cache["value"].startswith(mount["mountPath"] + "/")


CHECKS = (check_style, check_schema, check_exit_codes, check_machine)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifest(path, check):
    check(path)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_parts(path, monkeypatch):
    check_parts(path, monkeypatch)


def test_all_are_found():
    assert [path.name for path in MANIFESTS] == [
        *("gpu-indexed-job.yaml", "tpu-indexed-job.yaml", "tpu-jobset.yaml"),
    ]


@pytest.mark.parametrize(
    ("name", "check", "old", "new"),
    [
        ("gpu-indexed-job", check_style, "completions: 8\n", "completions: 8 \n"),
        ("gpu-indexed-job", check_schema, "backoffLimitPerIndex", "backOffLimitPerIndex"),
        ("tpu-jobset", check_schema, "maxRestarts", "maxRetries"),
        ("tpu-jobset", check_schema, "fieldRef", "fieldReference"),
        ("gpu-indexed-job", check_exit_codes, "[1, 2]", "[1, 2, 42]"),
        ("tpu-indexed-job", check_exit_codes, "action: FailIndex", "action: FailJob"),
        ("tpu-indexed-job", check_machine, "limits: {google.com/tpu: 4}", "limits: {}"),
        ("gpu-indexed-job", check_machine, "value: /bucket/programs", "value: /programs"),
    ],
)
def test_a_fault_is_found(mutated, name, check, old, new):
    path = mutated(f"launch/batch/{name}.yaml", old, new)
    with pytest.raises((AssertionError, jsonschema.ValidationError, KeyError)):
        check(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("--part=index/8", "--part=index/4"), ("            - --allow-failed\n", "")],
)
def test_a_fault_in_the_parts_is_found(mutated, monkeypatch, old, new):
    path = mutated("launch/batch/gpu-indexed-job.yaml", old, new)
    with pytest.raises((AssertionError, SystemExit)):
        check_parts(path, monkeypatch)


@pytest.mark.parametrize(("code", "is_requeued"), [(0, False), (2, False), (42, True)])
def test_a_slurm_array(run_script, programs, tmp_path, code, is_requeued):
    _, add = programs
    for name in ("srun", "scontrol"):
        status = code if name == "srun" else 0
        add(name, f'#!/usr/bin/env bash\necho "{name} $*"\nexit {status}\n')
    variables = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}
    done = run_script(
        FOLDER / "slurm_array.sh", "a b.jsonl", "--out", "basses", SLURM_ARRAY_JOB_ID="77",
        **variables,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == "srun bassdiff batch a b.jsonl --out basses --allow-failed --part 3/8"
    assert rest == (["scontrol requeue 77_3"] if is_requeued else [])
    words = first.removeprefix("srun bassdiff ").split()
    assert cli.parser().parse_args(words).part == (2, 8)
