"""The job for KubeRay is what it takes, and means what it says."""

import runpy
import shlex
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest

from bassdiff.cli import main as cli

ROOT = Path(__file__).parents[2]
PATH = ROOT / "launch" / "batch" / "ray-job.yaml"
OTHERS = runpy.run_path(str(Path(__file__).with_name("test_batch_jobs.py")))
read, check_style, KUBERNETES = (OTHERS[name] for name in ("read", "check_style", "KUBERNETES"))
strictly = runpy.run_path(str(Path(__file__).with_name("test_manifests.py")))["strictly"]
COUNT = {"type": "integer", "minimum": 1}
PARAMETERS = {"type": "object", "additionalProperties": {"type": "string"}}
POD = strictly("spec", spec={"type": "object"})
# Of ray.io/v1 the fields that are used here; pods have a schema of their own.
RAY_JOB = strictly(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=strictly(
        "name", name={"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,45}[a-z0-9])?$"}
    ),
    spec=strictly(
        "entrypoint backoffLimit shutdownAfterJobFinishes ttlSecondsAfterFinished rayClusterSpec",
        entrypoint={"type": "string", "minLength": 1},
        backoffLimit={"type": "integer", "minimum": 0},
        shutdownAfterJobFinishes={"const": True},
        ttlSecondsAfterFinished={"type": "integer", "minimum": 0},
        rayClusterSpec=strictly(
            "headGroupSpec workerGroupSpecs",
            headGroupSpec=strictly(
                "rayStartParams template", rayStartParams=PARAMETERS, template=POD
            ),
            workerGroupSpecs={
                "type": "array",
                "minItems": 1,
                "items": strictly(
                    "groupName replicas minReplicas maxReplicas rayStartParams template",
                    groupName={"type": "string"},
                    **dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), COUNT),
                    rayStartParams=PARAMETERS,
                    template=POD,
                ),
            },
        ),
    ),
)


def groups(path):
    """The head, and the group of the workers."""
    cluster = read(path)["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    return cluster["headGroupSpec"], workers


def check_schema(path):
    jsonschema.validate(read(path), RAY_JOB)
    for group in groups(path):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bassdiff"}}
        kubernetes_validate.validate({**pod, **group["template"]}, KUBERNETES, strict=True)


def check_command(path):
    """What the driver is told fits the cluster."""
    words = shlex.split(read(path)["spec"]["entrypoint"])
    arguments = cli.parser().parse_args(words[1:])
    assert words[0] == "bassdiff" and arguments.allow_failed
    assert (arguments.songs, arguments.out) == (["gs://songs/songs.jsonl"], "gs://songs/basses")
    assert (arguments.engine, arguments.accelerator) == ("ray", "gpu")
    head, workers = groups(path)
    assert arguments.players == workers["replicas"] == workers["minReplicas"]
    assert head["rayStartParams"]["num-cpus"] == "0"


def check_machines(path):
    for group, devices in zip(groups(path), (None, 1), strict=True):
        (container,) = group["template"]["spec"]["containers"]
        resources = container["resources"]
        assert resources["requests"] == resources["limits"]
        assert resources["limits"].get("nvidia.com/gpu") == devices
        for probe in ("livenessProbe", "readinessProbe"):
            # One that runs a command would need it in the image.
            assert container[probe]["httpGet"]["port"] == 52365


CHECKS = (check_style, check_schema, check_command, check_machines)


@pytest.mark.parametrize("check", CHECKS)
def test_ray_job(check):
    check(PATH)


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (check_style, "backoffLimit: 3\n", "backoffLimit: 3 \n"),
        (check_schema, "backoffLimit", "backOffLimit"),
        (check_schema, "nodeSelector", "nodeselector"),
        (check_schema, 'num-cpus: "0"', "num-cpus: 0"),
        (check_command, "--engine=ray", "--engine=process"),
        (check_command, "--players=8", "--players=4"),
        (check_command, " --allow-failed", ""),
        (check_machines, 'limits: {cpu: "6", memory: 24Gi, nvidia.com/gpu: 1}', "limits: {}"),
        (check_machines, "httpGet: {path: /api/local_raylet_healthz, port: 52365}", "exec: {}"),
    ],
)
def test_a_fault_is_found(mutated, check, old, new):
    path = mutated("launch/batch/ray-job.yaml", old, new)
    with pytest.raises((AssertionError, jsonschema.ValidationError, KeyError)):
        check(path)
