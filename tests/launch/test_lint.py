"""Shell scripts and the image's recipe pass their linters, and faulty ones would not."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = (*sorted((ROOT / "launch").rglob("*.sh")), ROOT / ".ci" / "run")
TOOLS = {
    "shellcheck": (),
    # Two spaces, indented cases, a space after a redirection.
    "shfmt": ("-i", "2", "-ci", "-sr", "-d"),
    "hadolint": ("--no-color",),
}


def names(path):
    return path.name


def test_every_script_is_found():
    assert {"check.sh", "tpu_vm.sh", "tpu_worker.sh", "run"} <= {path.name for path in SCRIPTS}


@pytest.mark.parametrize("tool", ["shellcheck", "shfmt"])
@pytest.mark.parametrize("script", SCRIPTS, ids=names)
def test_scripts(lint, tool, script):
    assert lint(tool, *TOOLS[tool], script) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=names)
def test_scripts_are_strict_and_can_be_run(script):
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o111


def test_image(lint):
    assert lint("hadolint", *TOOLS["hadolint"], ROOT / "launch" / "Dockerfile") == (0, "")


@pytest.mark.parametrize(
    ("tool", "path", "old", "new", "complaint"),
    [
        ("shellcheck", "launch/tpu_vm.sh", 'ssh "$NAME"', "ssh $NAME", "SC2086"),
        ("shellcheck", "launch/tpu_worker.sh", "$(id -u)", "`id -u`", "SC2006"),
        ("shellcheck", "launch/tpu_vm.sh", "verb=${1:-}", "word=${1:-}", "SC2154"),
        ("shfmt", "launch/tpu_vm.sh", "\n  local state", "\n    local state", "+  local state"),
        ("shfmt", "launch/tpu_worker.sh", "> /dev/null", ">/dev/null", "+  if ! command"),
        ("hadolint", "launch/Dockerfile", "python:3.11-slim", "python:latest", "DL3007"),
        ("hadolint", "launch/Dockerfile", '["bassdiff"]', "bassdiff", "DL3025"),
        ("hadolint", "launch/Dockerfile", " --no-cache-dir", "", "DL3042"),
    ],
)
def test_a_fault_is_found(lint, mutated, tool, path, old, new, complaint):
    status, said = lint(tool, *TOOLS[tool], mutated(path, old, new))
    assert status != 0
    assert complaint in said
