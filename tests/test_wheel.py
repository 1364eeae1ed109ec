"""An installed wheel works from any folder: it brings configs, docs, weights and the command."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import bassdiff

ROOT = Path(__file__).parents[1]
pytest.importorskip("wheel", reason="wheel is not installed: pip install -e '.[test]'")
pytestmark = pytest.mark.slow


def run(*command, cwd=None):
    # Without a path to the repository.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=clean)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: left-over build folders would end up in the wheel.
    for name in ("bassdiff", "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    built = run(sys.executable, "-m", "pip", "wheel", *options, folder / "source")
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The scripts' folder of a fresh environment that has this wheel and borrows the rest."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home)
    python = home / "bin" / "python"
    done = run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel)
    assert done.returncode == 0, done.stderr
    (site,) = home.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_it_holds_what_the_readme_names(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, suffix in (
        ("docs", "md"),
        ("pretrained/small", "safetensors"),
        ("examples", "ogg"),
        ("examples", "ipynb"),
        ("app/static", "js"),
    ):
        there = list((ROOT / "bassdiff" / folder).glob(f"*.{suffix}"))
        assert there
        assert {f"bassdiff/{folder}/{path.name}" for path in there} <= names
    assert {f"bassdiff/configs/{path.name}" for path in (ROOT / "configs").glob("*.py")} <= names
    assert "bassdiff/py.typed" in names
    assert not any(name.startswith(("tests/", "launch/")) for name in names)


def test_its_command_runs_from_another_folder(installed, tmp_path):
    version = run(installed / "bassdiff", "--version", cwd=tmp_path)
    assert version.stdout == f"bassdiff {bassdiff.__version__}\n", version.stderr
    words = ("train", "diffusion", "--config", "diffusion:tiny", "--workdir", "run")
    trained = run(installed / "bassdiff", *words, cwd=tmp_path)
    # The packaged config was found; what is missing is data.
    assert trained.returncode == 2, trained.stderr
    assert "config.data.latents is empty" in trained.stderr
    where = run(
        installed / "python", "-c", "import bassdiff; print(bassdiff.__file__)", cwd=tmp_path
    )
    assert Path(where.stdout).is_relative_to(installed.parent)
