"""tpu_vm.sh against a stand-in for gcloud: what it asks for, and what it does about the answers."""

import json
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "launch" / "tpu_vm.sh"
WHERE = ["--project=ours", "--zone=us-west4-a"]
SET = {"PROJECT": "ours", "ZONE": "us-west4-a", "BUCKET": "songs", "POLL_SECONDS": "0"}
TRAIN = ["diffusion", "--config=configs/diffusion.py:base", "--workdir=/bucket/a b"]


def ssh(command, worker="all"):
    remote = f"--command={command}"
    return ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "bassdiff", f"--worker={worker}", remote]


def queued_resources(*words):
    return ["gcloud", "compute", "tpus", "queued-resources", *words]


STATE = [*queued_resources("list", "--filter=name~/bassdiff$", "--format=value(state.state)")]
CREATE = [
    *queued_resources("create", "bassdiff", "--node-id=bassdiff"),
    "--accelerator-type=v5litepod-16",
    "--runtime-version=v2-alpha-tpuv5-lite",
]
DELETE = queued_resources("delete", "bassdiff", "--force", "--quiet")
CODE = ssh("bash bassdiff/launch/tpu_worker.sh code || echo exit_code=none")
RUN = [
    ssh(
        "sudo systemctl stop bassdiff; sudo systemctl reset-failed bassdiff; "
        "rm -rf bassdiff && mkdir bassdiff"
    ),
    [
        *("gcloud", "compute", "tpus", "tpu-vm", "scp", "--recurse"),
        *("setup.py", "README.md", "bassdiff", "configs", "launch"),
        *("bassdiff:bassdiff/", "--worker=all"),
    ],
    ssh("bash bassdiff/launch/tpu_worker.sh install songs"),
    ssh(
        "bash bassdiff/launch/tpu_worker.sh start diffusion "
        "--config=configs/diffusion.py:base '--workdir=/bucket/a b'"
    ),
]
LIVES = {
    "create": [CREATE],
    "run": RUN,
    "babysit": [STATE, CREATE, CODE, *RUN, CODE],
    "status": [STATE, CODE],
    "logs": [ssh("sudo journalctl --unit=bassdiff --follow", worker=0)],
    "delete": [DELETE],
}


def dry_run(run_script, script, verb, **variables):
    arguments = TRAIN if verb in ("run", "babysit") else []
    done = run_script(script, verb, *arguments, **SET, DRY_RUN="1", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return [shlex.split(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("verb", LIVES)
def test_dry_run(run_script, verb):
    # There is no gcloud in this PATH at all.
    expected = [[*command, *WHERE] for command in LIVES[verb]]
    printed = dry_run(run_script, SCRIPT, verb)
    # What `status` makes of no answer follows the commands.
    assert printed == ([*expected, ["unknown"]] if verb == "status" else expected)


def test_dry_run_of_spot_v6e(run_script):
    variables = {"ACCELERATOR": "v6e-16", "SPOT": "1", "NAME": "two"}
    assert dry_run(run_script, SCRIPT, "create", **variables) == [
        [
            *queued_resources("create", "two", "--node-id=two", "--accelerator-type=v6e-16"),
            *("--runtime-version=v2-alpha-tpuv6e", "--spot", *WHERE),
        ]
    ]


def test_another_runtime(run_script):
    variables = {"ACCELERATOR": "v5p-16", "RUNTIME_VERSION": "newest"}
    (command,) = dry_run(run_script, SCRIPT, "create", **variables)
    assert "--runtime-version=newest" in command


@pytest.mark.parametrize(
    ("verb", "old", "new"),
    [
        ("create", "--node-id", "--node"),
        ("run", "--worker=all", "--worker=0"),
        ("run", '$(quoted "$@")', "$*"),
        ("delete", " --force", ""),
    ],
)
def test_dry_run_tells_a_changed_command(run_script, mutated, verb, old, new):
    script = mutated("launch/tpu_vm.sh", old, new)
    assert dry_run(run_script, script, verb) != [[*command, *WHERE] for command in LIVES[verb]]


# Answers from lists of [output, exit status], the last of which stays; else with nothing and 0.
STUB = f"""#!{sys.executable}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
words = sys.argv[1:]
with (folder / "calls").open("a") as calls:
    print(json.dumps(words), file=calls)
kind = words[3]
if kind == "ssh":
    command = next(word for word in words if word.startswith("--command="))
    kind = next(k for k in (" code", " install", " start", "mkdir", "journalctl") if k in command)
    kind = kind.strip()
scene = json.loads((folder / "scene").read_text())
answers = scene.get(kind) or [["", 0]]
output, status = answers[0]
if len(answers) > 1:
    scene[kind] = answers[1:]
    (folder / "scene").write_text(json.dumps(scene))
if kind == "list":
    # As `--format=value(state.state)` prints a resource, or none.
    output = json.loads(output)["state"]["state"] if output else ""
sys.stdout.write(output)
sys.exit(status)
"""


@pytest.fixture
def play(tmp_path, programs, run_script):
    """Runs a verb in a scene; returns what came of it and the kinds of calls in their order."""
    folder, add = programs
    add("gcloud", STUB)

    def run(verb, script=SCRIPT, states=("ACTIVE",), codes=(), scene=None, **variables):
        states = [["" if s is None else json.dumps({"state": {"state": s}}), 0] for s in states]
        # Per poll, what each of the hosts has to say.
        codes = [["".join(f"exit_code={c}\n" for c in hosts), 0] for hosts in codes]
        scene = {"list": states, "code": codes, **(scene or {})}
        (folder / "scene").write_text(json.dumps(scene))
        (folder / "calls").write_text("")
        arguments = TRAIN if verb in ("run", "babysit") else []
        done = run_script(script, verb, *arguments, **{**SET, **variables})
        calls = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
        deeds = []
        for words in calls:
            kind = words[3]
            if kind in ("create", "delete"):
                deeds.append(kind)
            elif kind == "ssh" and any(" start " in word for word in words):
                deeds.append("start")
        return done, deeds, [["gcloud", *words] for words in calls]

    return run


@pytest.mark.parametrize("verb", ["create", "run", "delete", "logs"])
def test_does_what_the_dry_run_says(play, verb):
    done, _, calls = play(verb)
    assert (done.returncode, done.stderr) == (0, "")
    assert calls == [[*command, *WHERE] for command in LIVES[verb]]


def test_run_stops_at_the_first_failure(play):
    done, deeds, calls = play("run", scene={"install": [["", 100]]})
    assert done.returncode == 100
    assert deeds == []
    assert len(calls) == 3


def test_status(play):
    done, *_ = play("status", codes=[["running", "running"]])
    assert done.stdout == "ACTIVErunning\n"


BEGIN = {"states": [None, None, "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]}
LIFE = ["create", "start"]
DONE = ["0"] * 4
FINE = ["running"] * 4
NONE = ["none"] * 4


def test_babysit_from_nothing_to_the_end(play):
    done, deeds, _ = play("babysit", **BEGIN, codes=[NONE, FINE, FINE, DONE])
    assert done.returncode == 0
    assert deeds == LIFE
    assert "bassdiff is WAITING_FOR_RESOURCES" in done.stderr


@pytest.mark.parametrize("fate", ["SUSPENDED", "FAILED"])
def test_babysit_after_a_preemption(play, fate):
    states = ["ACTIVE", "ACTIVE", "SUSPENDING", fate, "PROVISIONING", "ACTIVE"]
    done, deeds, _ = play("babysit", states=states, codes=[FINE, NONE, FINE, DONE])
    assert done.returncode == 0
    assert deeds == ["delete", "create", "start"]


@pytest.mark.parametrize(
    "ends",
    [
        ["42", "running", "running", "running"],
        ["42"] * 4,
        ["134", "137", "134", "134"],
        ["0", "0", "0", "42"],
        ["none", "running", "running", "running"],
        ["127", "0", "255", "0"],
    ],
    ids=" ".join,
)
def test_babysit_starts_again(play, ends):
    done, deeds, _ = play("babysit", codes=[FINE, ends, FINE, DONE])
    assert done.returncode == 0
    assert deeds == ["start"]


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (["2", "2", "2", "2"], 2),
        # What one host does wrong ends the others.
        (["134", "1", "42", "134"], 1),
        (["running", "running", "2", "running"], 2),
        (["0", "0", "126", "0"], 126),
    ],
    ids=str,
)
def test_babysit_stops(play, ends, code):
    done, deeds, _ = play("babysit", codes=[FINE, ends])
    assert done.returncode == code
    assert deeds == []
    assert done.stderr == f"tpu_vm.sh: the job has ended with exit code {code}\n"


def test_a_host_that_does_not_answer_may_be_running(play):
    partly = ["exit_code=0\n" * 3, 255]
    silent = ["", 255]
    answered = ["exit_code=0\n" * 4, 0]
    begun = ["exit_code=running\n", 255]
    done, deeds, calls = play("babysit", scene={"code": [begun, partly, silent, answered]})
    assert (done.returncode, deeds) == (0, [])
    assert sum(call[:-2] == CODE for call in calls) == 4


@pytest.mark.parametrize("ended", [DONE, ["2"] * 4])
def test_a_job_that_ended_unwatched_is_begun_again(play, ended):
    ok, no = ["", 0], ["", 1]
    done, deeds, _ = play("babysit", codes=[ended, ended, FINE, DONE], scene={"mkdir": [no, ok]})
    assert (done.returncode, deeds) == (0, ["start"])
    assert "run failed; trying again" in done.stderr


def test_but_what_others_say_counts(play):
    done, *_ = play("babysit", scene={"code": [["exit_code=running\n", 0], ["exit_code=2\n", 255]]})
    assert done.returncode == 2


def test_what_fails_is_tried_again(play):
    ok, no = ["", 0], ["", 1]
    state = [[json.dumps({"state": {"state": s}}), 0] for s in ("FAILED", "ACTIVE")]
    scene = {
        # The first answer is that to the call that is not forgiven.
        "list": [state[0], state[0], no, ok, ok, state[1]],
        "create": [no, no, ok],
        "scp": [no, ok],
    }
    done, deeds, _ = play("babysit", codes=[NONE, NONE, DONE], scene=scene)
    assert done.returncode == 0
    assert deeds == ["delete", "create", "create", "create", "start"]


def test_what_fails_at_once_is_not(play):
    done, deeds, calls = play("babysit", scene={"list": [["", 1]]})
    assert (done.returncode, deeds, len(calls)) == (1, [], 1)
    done, deeds, _ = play("babysit", states=[None], scene={"create": [["", 1]]})
    assert (done.returncode, deeds) == (1, ["create"])


@pytest.mark.parametrize(
    ("scene", "kind", "tries"),
    [
        ({"codes": [FINE, ["42"]]}, "start", 2),
        ({"codes": [NONE]}, "start", 3),
        ({"codes": [NONE], "scene": {"scp": [["", 1]]}}, "scp", 3),
        ({"states": ["FAILED"]}, "create", 2),
    ],
)
def test_patience_ends(play, scene, kind, tries):
    done, _, calls = play("babysit", **scene, MAX_RESTARTS="2")
    assert done.returncode == 42
    assert "gave up after 2 restarts" in done.stderr
    assert sum(kind in " ".join(words).split() for words in calls) == tries


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        # Retries on 2.
        ("EXIT_RETRY=42", "EXIT_RETRY=2", [FINE, ["2"] * 4, DONE]),
        (">= 127", ">= 2", [FINE, ["2"] * 4, DONE]),
        # Misses a host that was rebooted.
        ("none) failure=none", "none) ", [FINE, NONE, DONE]),
        # Takes the first host's word for all.
        ("${answers:-unknown}", "${answers%%$'\\n'*}", [FINE, ["0", "2"], DONE]),
        # Takes the end of an earlier job for that of this one.
        ("((! begun))", "false", [DONE]),
    ],
)
def test_a_changed_policy_is_told(play, mutated, old, new, codes):
    """Each mutation changes what comes of a scene such as the tests above play."""
    script = mutated("launch/tpu_vm.sh", old, new)
    results = [play("babysit", s, codes=codes, MAX_RESTARTS="3") for s in (SCRIPT, script)]
    assert len({(done.returncode, *deeds) for done, deeds, _ in results}) == 2


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (["create"], {"PROJECT": ""}, "PROJECT is not set; export the Google Cloud project"),
        (["create"], {"ZONE": ""}, "ZONE is not set; export a zone that has the accelerator"),
        (["run", "diffusion"], {"BUCKET": ""}, "BUCKET is not set; export the bucket"),
        (["run"], {}, "run needs the arguments of `bassdiff train`; add them"),
        (["babysit"], {}, "babysit needs the arguments of `bassdiff train`; add them"),
        (["delete", "all"], {}, "delete takes no arguments; leave out: all"),
        (["create"], {"SPOT": "yes"}, "SPOT is 'yes'; set it to 1 for spot capacity or to 0"),
        (["create"], {"DRY_RUN": "yes"}, "DRY_RUN is 'yes'; set it to 1 to see the commands"),
        (["create"], {"ACCELERATOR": "v5p-16"}, "RUNTIME_VERSION is not set; export the one for"),
        (["create"], {"DRY_RUN": "0"}, "gcloud is not installed; install the Google Cloud CLI"),
    ],
)
def test_errors_name_the_remedy(run_script, words, variables, message):
    done = run_script(SCRIPT, *words, **{**SET, "DRY_RUN": "1", **variables})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"tpu_vm.sh: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["start"], ["--help"]])
def test_usage(run_script, words):
    done = run_script(SCRIPT, *words, **SET, DRY_RUN="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: launch/tpu_vm.sh create | run")
