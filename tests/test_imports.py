"""The rooms of the package, in the order in which they build on one another."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import bassdiff

PACKAGE = Path(bassdiff.__file__).parent
# A room imports from those before it, and from nothing after it.
ROOMS = (
    *("runtime", "audio", "diffusion", "models", "synthesis", "data", "metrics", "pretrained"),
    *("training", "inference", "evaluation", "batch", "examples", "app", "cli"),
)
CONFIG_READERS = {"bassdiff.training.recipes", "bassdiff.training.run_config", "bassdiff.cli"}
WITHOUT_JAX = (
    *("cli.main", "audio.io", "data.sources", "data.store", "data.datasets.preparing"),
    *("evaluation.clips", "evaluation.listening", "evaluation.report"),
    *("metrics.music", "metrics.timbre"),
)


def module_name(path, package):
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules(package=PACKAGE):
    """Every module of the package and its file."""
    return {module_name(path, package): path for path in sorted(package.rglob("*.py"))}


def imports(path, package=PACKAGE):
    """Dotted names of everything a file imports, inside functions too."""
    known = modules(package)
    here = module_name(path, package).split(".")
    if path.name != "__init__.py":
        here = here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                yield name if name in known or origin == package.name else origin


def room(module):
    return module.split(".")[1]


def violations(package=PACKAGE):
    """One sentence for each import that goes against the order of the rooms."""
    found = []
    for module, path in modules(package).items():
        if module.count(".") == 0 or module == f"{package.name}.__main__":
            continue  # The package itself only hands out what is in its rooms.
        for name in imports(path, package):
            if name.split(".")[0] != package.name or name == package.name:
                continue
            if room(name) in ROOMS and ROOMS.index(room(name)) > ROOMS.index(room(module)):
                found.append(f"{module} imports {name}, whose room comes later")
    return found


def test_every_file_is_in_a_room():
    rooms = {name.split(".")[1] for name in modules() if name.count(".") > 1}
    assert rooms == set(ROOMS) - {"examples"}
    loose = {name for name in modules() if name.count(".") == 1}
    assert loose == {f"bassdiff.{name}" for name in (*ROOMS, "__main__")}


def test_rooms_build_on_those_before_them():
    assert violations() == []


def test_no_two_files_import_each_other():
    """Not even within a room, or in a circle of many."""
    graph = graphlib.TopologicalSorter()
    for module, path in modules().items():
        graph.add(module, *(name for name in imports(path) if name in modules() and name != module))
    graph.prepare()  # raises CycleError


def test_an_import_against_the_order_is_found_wherever_it_hides(tmp_path):
    package = tmp_path / "bassdiff"
    for name in ("models", "data", "training"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("")
    (package / "models" / "unet.py").write_text(
        "def f():\n    from bassdiff import cli\n    import bassdiff.training.loop\n"
    )
    (package / "data" / "store.py").write_text(
        "from ..training import loop\nfrom . import stems\nfrom bassdiff.models import unet\n"
    )
    assert violations(package) == [
        "bassdiff.data.store imports bassdiff.training, whose room comes later",
        "bassdiff.models.unet imports bassdiff.cli, whose room comes later",
        "bassdiff.models.unet imports bassdiff.training.loop, whose room comes later",
    ]


def test_only_recipes_and_the_command_line_read_configs():
    readers = {
        module
        for module, path in modules().items()
        if any(name.split(".")[0] in ("ml_collections", "configs") for name in imports(path))
    }
    assert readers
    assert all(any(name.startswith(where) for where in CONFIG_READERS) for name in readers)


def test_configs_hold_values_only():
    configs = list((PACKAGE.parent / "configs").glob("*.py"))
    if not configs:
        pytest.skip("an installed package has no configs beside it")
    for path in configs:
        named = {
            node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert named <= {"ml_collections", "bassdiff.training.run_config"}, path.name


def test_what_needs_no_jax_does_not_load_it():
    """Whatever else it imports: rendering has many processes, and `--help` no time to lose."""
    code = (
        f"import importlib, sys\nfor name in {WITHOUT_JAX}:\n"
        "    importlib.import_module(f'bassdiff.{name}')\n"
        "    assert 'jax' not in sys.modules, name"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
