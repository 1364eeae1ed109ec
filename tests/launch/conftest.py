"""Where the launch files and the tools that check them are."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lint():
    """What a tool of the `test` extra has to say, and its exit status."""

    def run(tool, *arguments):
        program = Path(sysconfig.get_path("scripts")) / tool
        done = subprocess.run([program, *arguments], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def mutated(tmp_path):
    """Copies a file below `launch` with one passage replaced."""

    def copy(path, old, new):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert old in text, f"{path} has no {old!r} to mutate"
        target = tmp_path / "mutated" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace(old, new), encoding="utf-8")
        target.chmod(0o755)
        return target

    return copy


@pytest.fixture
def programs(tmp_path):
    """A folder to be the whole PATH: what scripts may need, and stubs that a test adds."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("bash", "dirname", "id", "sed", "sleep"):
        (folder / name).symlink_to(shutil.which(name))

    def add(name, text):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    return folder, add


@pytest.fixture
def run_script(tmp_path, programs):
    """Runs a script with nothing in its environment but what is given."""

    def run(script, *arguments, **variables):
        environment = {"PATH": str(programs[0]), "HOME": str(tmp_path), **variables}
        return subprocess.run(
            [script, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=60,
        )

    return run
