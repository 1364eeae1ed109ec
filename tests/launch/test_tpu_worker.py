"""What tpu_worker.sh does on a host, with stand-ins for the programs that would change it."""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "tpu_worker.sh"
RECORD = f"""#!{sys.executable}
import json, pathlib, sys
words = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
folder = pathlib.Path(__file__).resolve().parent
with (folder / "calls").open("a") as calls:
    print(json.dumps(words), file=calls)
if words[:2] == ["sudo", "tee"]:
    with (folder / pathlib.Path(words[-1]).name).open("a") as file:
        file.write(sys.stdin.read())
if words[0] == "lsb_release":
    print("jammy")
"""


@pytest.fixture
def host(tmp_path, programs, run_script):
    """Runs the script on a host that records what is asked of it."""
    folder, add = programs
    for name in ("sudo", "curl", "lsb_release", "gcsfuse", "python3"):
        add(name, RECORD)
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    (tmp_path / ".local" / "bin" / "uv").symlink_to(add("uv", RECORD))

    def run(*arguments):
        (folder / "calls").write_text("")
        done = run_script(SCRIPT, *arguments)
        calls = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
        return done, calls

    return run


def test_start(host, tmp_path):
    done, calls = host("start", "diffusion", "--workdir=/bucket/a b")
    assert (done.returncode, done.stderr) == (0, "")
    (words,) = calls
    program = words.index(f"{tmp_path}/venv/bin/bassdiff")
    # No shell in between, and the words as they were given.
    assert words[program + 1 :] == ["train", "diffusion", "--workdir=/bucket/a b"]
    assert words[:2] == ["sudo", "systemd-run"]
    assert set(words[2:program]) == {
        "--unit=bassdiff",
        f"--uid={os.getuid()}",
        f"--gid={os.getgid()}",
        f"--working-directory={tmp_path}/bassdiff",
        "--property=Type=exec",
        "--property=RemainAfterExit=yes",
        "--property=KillMode=mixed",
        "--property=TimeoutStopSec=300",
        "--property=RequiresMountsFor=/bucket",
        "--property=LimitMEMLOCK=infinity",
    }


def test_install(host, programs):
    done, calls = host("install", "songs")
    assert (done.returncode, done.stderr) == (0, "")
    fstab = (programs[0] / "fstab").read_text()
    mine = f"uid={os.getuid()},gid={os.getgid()}"
    assert fstab == f"songs /bucket gcsfuse rw,_netdev,allow_other,{mine} 0 0\n"
    assert [shlex.join(words) for words in calls] == [
        "sudo mkdir -p /bucket",
        "sudo sed -i '/ \\/bucket gcsfuse /d' /etc/fstab",
        "sudo tee -a /etc/fstab",
        "sudo systemctl daemon-reload",
        "sudo systemctl restart bucket.mount",
        "python3 -m pip install --quiet --user uv",
        "uv venv --quiet --clear --python 3.11 venv",
        "uv pip install --quiet --python venv './bassdiff[tpu]'",
    ]


def test_install_of_gcsfuse(host, programs):
    (programs[0] / "gcsfuse").unlink()
    done, calls = host("install", "songs")
    assert (done.returncode, done.stderr) == (0, "")
    assert (programs[0] / "fstab").read_text().startswith("songs /bucket ")
    (line,) = (programs[0] / "gcsfuse.list").read_text().splitlines()
    assert line.endswith("https://packages.cloud.google.com/apt gcsfuse-jammy main")
    apt = [words[-2:] for words in calls if "apt-get" in words]
    assert apt == [["-qq", "update"], ["install", "gcsfuse"]]


@pytest.mark.parametrize(
    ("state", "code", "status", "answer"),
    [
        ("running", 0, 0, "running"),
        ("start", 0, 0, "running"),
        ("stop-sigterm", 0, 0, "running"),
        ("final-sigterm", 1, 42, "running"),
        ("exited", 1, 0, "0"),
        ("failed", 1, 1, "1"),
        ("failed", 1, 2, "2"),
        ("failed", 1, 42, "42"),
        ("failed", 2, 9, "137"),
        ("failed", 3, 6, "134"),
        # systemd calls an end by SIGTERM clean; it is not the end of the training.
        ("exited", 2, 15, "143"),
        # Without a shared bucket nothing was started.
        ("failed", 0, 0, "none"),
        # Never started here, or not since the host was rebooted.
        ("dead", 0, 0, "none"),
    ],
)
def test_code(programs, run_script, state, code, status, answer):
    # In an order of its own, as systemctl does.
    said = f"ExecMainCode={code}\\nExecMainStatus={status}\\nSubState={state}\\n"
    programs[1]("systemctl", f"#!/usr/bin/env bash\nprintf '{said}'\n")
    done = run_script(SCRIPT, "code")
    assert (done.returncode, done.stdout) == (0, f"exit_code={answer}\n")
