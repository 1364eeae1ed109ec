"""The JobSets are what Kubernetes and JobSet take, and mean what the exit codes mean."""

import math
import re
import string
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from bassdiff.cli import main as cli
from bassdiff.cli.configs import read_config
from bassdiff.runtime.errors import InputError

ROOT = Path(__file__).parents[2]
MANIFESTS = sorted((ROOT / "launch" / "gke").iterdir())
KUBERNETES = "1.33"
ACCELERATOR = "cloud.google.com/gke-tpu-accelerator"
TOPOLOGY = "cloud.google.com/gke-tpu-topology"
GPU = "cloud.google.com/gke-accelerator"
# Accelerators, their resource, hosts, devices per host.
MACHINES = {
    "v5e-16.yaml": ({ACCELERATOR: "tpu-v5-lite-podslice", TOPOLOGY: "4x4"}, "google.com/tpu", 4, 4),
    "v6e-16.yaml": ({ACCELERATOR: "tpu-v6e-slice", TOPOLOGY: "4x4"}, "google.com/tpu", 4, 4),
    "gpu-8.yaml": ({GPU: "nvidia-h100-80gb"}, "nvidia.com/gpu", 1, 8),
}


def strictly(required, **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def items(schema):
    return {"type": "array", "items": schema, "minItems": 1}


NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"}
REASONS = (
    *("BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes"),
    *("MaxFailedIndexesExceeded", "PodFailurePolicy"),
)
ACTIONS = ("FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts")
# Of jobset.x-k8s.io/v1alpha2 the fields that are used here; jobs have a schema of their own.
JOBSET = strictly(
    "apiVersion kind metadata spec",
    apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
    kind={"const": "JobSet"},
    metadata=strictly(
        "name",
        name=NAME,
        annotations={"type": "object", "additionalProperties": {"type": "string"}},
    ),
    spec=strictly(
        "failurePolicy replicatedJobs",
        failurePolicy=strictly(
            "maxRestarts rules",
            maxRestarts={"type": "integer", "minimum": 0},
            rules=items(
                strictly(
                    "action onJobFailureReasons",
                    action={"enum": list(ACTIONS)},
                    onJobFailureReasons=items({"enum": list(REASONS)}),
                )
            ),
        ),
        replicatedJobs=items(
            strictly(
                "name replicas template",
                name=NAME,
                replicas={"type": "integer", "minimum": 1},
                template=strictly("spec", spec={"type": "object"}),
            )
        ),
    ),
)


def read(path):
    text = path.read_text(encoding="utf-8")
    return yaml.safe_load(string.Template(text).substitute(IMAGE="image:tpu", BUCKET="songs"))


def job_of(jobset):
    (replicated,) = jobset["spec"]["replicatedJobs"]
    assert replicated["replicas"] == 1
    return replicated["template"]["spec"]


def pod_of(jobset):
    return job_of(jobset)["template"]["spec"]


def check_style(path):
    """yamllint, strict."""
    config = YamlLintConfig(file=str(ROOT / ".yamllint"))
    problems = list(linter.run(path.read_text(encoding="utf-8"), config))
    assert not problems, problems


def check_jobset(path):
    jsonschema.validate(read(path), JOBSET)


def check_job(path):
    """kubernetes-validate, strict."""
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "bassdiff"}}
    kubernetes_validate.validate({**job, "spec": job_of(read(path))}, KUBERNETES, strict=True)


def fate(jobset, exit_code):
    """What JobSet does once a pod has ended with this code."""
    job = job_of(jobset)
    pod = pod_of(jobset)
    # Policies of failure are only for pods that are not restarted in place.
    assert (job["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    reason = "BackoffLimitExceeded"
    for rule in job["podFailurePolicy"]["rules"]:
        codes = rule["onExitCodes"]
        assert codes["containerName"] == pod["containers"][0]["name"]
        if (exit_code in codes["values"]) == (codes["operator"] == "In"):
            assert rule["action"] == "FailJob"
            reason = "PodFailurePolicy"
            break
    policy = jobset["spec"]["failurePolicy"]
    for rule in policy["rules"]:
        if reason in rule["onJobFailureReasons"]:
            return rule["action"]
    return "RestartJobSet" if policy["maxRestarts"] else "FailJobSet"


def check_exit_codes(path):
    jobset = read(path)
    assert {fate(jobset, code) for code in (1, 2)} == {"FailJobSet"}
    assert {fate(jobset, code) for code in (42, *range(127, 256))} == {"RestartJobSet"}
    # A checkpoint of the largest model takes seconds, but a bucket may be slow.
    assert pod_of(jobset)["terminationGracePeriodSeconds"] >= 120


def check_machine(path):
    selector, resource, hosts, devices = MACHINES[path.name]
    jobset = read(path)
    job, pod = job_of(jobset), pod_of(jobset)
    assert pod["nodeSelector"] == selector
    assert (job["parallelism"], job["completions"], job["completionMode"]) == (
        *(hosts, hosts),
        "Indexed",
    )
    (container,) = pod["containers"]
    assert container["resources"] == {kind: {resource: devices} for kind in ("requests", "limits")}
    if TOPOLOGY in selector:
        sides = selector[TOPOLOGY].split("x")
        assert math.prod(int(side) for side in sides) == hosts * devices


def check_command(path):
    """The command parses, its config has its keys, and its files are where all hosts see them."""
    pod = pod_of(read(path))
    (container,) = pod["containers"]
    arguments, overrides = cli.parser().parse_known_args(container["args"])
    file, _, size = arguments.config.partition(":")
    config = read_config(f"{ROOT / file}:{size}", overrides)
    assert config.objective == arguments.objective
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert set(places) == volumes
    files = (arguments.workdir, config.data.latents, config.data.validation_latents)
    assert {str(Path(file).parent) for file in files} == {places["bucket"]}
    annotations = job_of(read(path))["template"]["metadata"]["annotations"]
    assert annotations == {"gke-gcsfuse/volumes": "true"}


CHECKS = (check_style, check_jobset, check_job, check_exit_codes, check_machine, check_command)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifest(path, check):
    check(path)


def test_all_machines_have_one():
    assert {path.name for path in MANIFESTS} == set(MACHINES)


FAULTS = (AssertionError, InputError, jsonschema.ValidationError, KeyError, SystemExit)


@pytest.mark.parametrize(
    ("check", "old", "new", "complaint"),
    [
        (
            check_style,
            "          backoffLimit",
            "         backoffLimit",
            "wrong indentation|syntax",
        ),
        (check_style, "kind: JobSet\n", "kind: JobSet\nkind: JobSet\n", "duplication of key"),
        (check_style, "replicas: 1\n", "replicas: 1 \n", "trailing spaces"),
        (check_style, "[1, 2]", "[1,2]", "too few spaces after comma"),
        (check_jobset, "maxRestarts", "maxRetries", "maxRe"),
        (check_jobset, "FailJobSet", "FailJob", "is not one of"),
        (check_jobset, "[PodFailurePolicy]", "[PodFailure]", "is not one of"),
        (check_jobset, "v1alpha2", "v1", "was expected"),
        (check_jobset, "replicas: 1", 'replicas: "1"', "is not of type 'integer'"),
        (check_job, "terminationGracePeriodSeconds", "gracePeriodSeconds", "gracePeriodSeconds"),
        (check_job, "backoffLimit", "backOffLimit", "backOffLimit"),
        (check_job, "parallelism: 4", "parallelism: four", "is not of type 'integer'"),
        (check_job, "mountPath: /bucket", "path: /bucket", "path"),
        # Retries on 2.
        (check_exit_codes, "[1, 2]", "[1]", "RestartJobSet"),
        (check_exit_codes, "[1, 2]", "[1, 2, 42]", "FailJobSet"),
        (check_exit_codes, "operator: In", "operator: NotIn", "JobSet"),
        (check_exit_codes, "backoffLimit: 0", "backoffLimit: 3", "3"),
        (check_exit_codes, "[PodFailurePolicy]", "[BackoffLimitExceeded]", "JobSet"),
        (check_exit_codes, "maxRestarts: 50", "maxRestarts: 0", "FailJobSet"),
        (check_exit_codes, "containerName: bassdiff", "containerName: main", "main"),
        (check_exit_codes, "Seconds: 300", "Seconds: 30", "30"),
        (check_machine, "4x4", "4x8", "4x8"),
        (check_machine, "completions: 4", "completions: 1", "1"),
        (check_machine, "limits: {google.com/tpu: 4}", "limits: {google.com/tpu: 8}", "8"),
        (check_command, "data.latents", "data.latent", "latent"),
        (check_command, "--workdir=/bucket/unet", "--workdir=/tmp/unet", "/tmp"),
        (check_command, "- train\n", "- trains\n", "2"),
        (check_command, 'volumes: "true"', 'volumes: "false"', "false"),
    ],
)
def test_a_fault_is_found(mutated, check, old, new, complaint):
    path = mutated("launch/gke/v5e-16.yaml", old, new)
    with pytest.raises(FAULTS, match=complaint):
        check(path)


def test_exit_codes_are_those_of_the_page():
    text = (ROOT / "bassdiff" / "docs" / "faults.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| ([\d–]+) \| .* \| (yes|no) \|$", text, re.MULTILINE)
    assert [codes for codes, _ in table] == ["0", "1", "2", "42", "130", "127–255"]
    for path in MANIFESTS:
        jobset = read(path)
        for codes, again in table[1:]:
            first, _, last = codes.partition("–")
            for code in range(int(first), int(last or first) + 1):
                assert (fate(jobset, code) == "RestartJobSet") == (again == "yes"), code
