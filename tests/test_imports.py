"""The floors of the house: who may import whom."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import bassdiff

PACKAGE = Path(bassdiff.__file__).parent
FLOORS = {
    "errors": 0,
    "arguments": 0,
    "programs": 0,
    "runtime": 0,
    "types": 0,
    "onnx_graph": 0,
    "audio": 0,
    "models": 1,
    "diffusion": 2,
    "data": 2,
    "training": 3,
    "evaluation": 3,
    "pretrained": 3,
    "examples": 3,
    "sampling": 3,
    "material": 3,
    "preparation": 4,
    "encoding": 4,
    # It shows songs on pages that look like those of evaluations.
    "inspection": 4,
    "bassist": 5,
    # The package itself only hands out `bassist.load` and `errors.InputError`.
    "bassdiff": 6,
    "appraisal": 6,
    "performance": 6,
    "recipes": 7,
    "data_tasks": 7,
    "cli": 8,
}
# Here rooms may import one another, though never in a circle: everything uses the types, and
# runs write their weights as released ones.
OPEN_FLOORS = {FLOORS["types"], FLOORS["training"]}
CONFIG_READERS = {"recipes", "cli"}
WITHOUT_JAX = (
    *("cli", "audio.io", "data.sources", "data.store", "data.builders.preparing"),
    *(f"evaluation.{name}" for name in ("clips", "listening", "music", "report", "timbre")),
)


def module_name(path, package):
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module):
    """The room of a dotted name of this package, the package itself for its `__init__`."""
    return module.split(".")[1] if "." in module else module


def imports(path, package=PACKAGE):
    """Dotted names of everything a file imports, inside functions too."""
    here = module_name(path, package).split(".")
    if path.name != "__init__.py":
        here = here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            if origin == package.name:
                # `from bassdiff import recipes` means the room, not the package.
                yield from (
                    f"{origin}.{alias.name}" if room(f"{origin}.{alias.name}") in FLOORS else origin
                    for alias in node.names
                )
            else:
                yield origin


def crossings(package=PACKAGE):
    """(file, importing room, imported room) wherever one room imports another."""
    for path in sorted(package.rglob("*.py")):
        source = room(module_name(path, package))
        for name in imports(path, package):
            if name.split(".")[0] == package.name and room(name) != source:
                yield path.relative_to(package.parent).as_posix(), source, room(name)


def violations(package=PACKAGE):
    """One sentence for each import that climbs."""
    found = []
    for file, source, target in crossings(package):
        if target not in FLOORS:
            found.append(f"{file} imports {target}, which has no floor")
        elif FLOORS[source] <= FLOORS[target] and not (
            FLOORS[source] == FLOORS[target] and FLOORS[source] in OPEN_FLOORS
        ):
            found.append(f"{file} imports {target}, which is not below it")
    return found


def test_every_room_has_a_floor():
    rooms = {room(module_name(path, PACKAGE)) for path in PACKAGE.rglob("*.py")}
    assert rooms <= set(FLOORS), f"give these a floor in this file: {rooms - set(FLOORS)}"


def test_files_import_only_from_floors_below():
    assert violations() == []


def test_rooms_do_not_import_in_circles():
    rooms = graphlib.TopologicalSorter()
    for _, source, target in crossings():
        rooms.add(source, target)
    rooms.prepare()  # raises CycleError


def test_a_climbing_import_is_found_wherever_it_hides(tmp_path):
    package = tmp_path / "bassdiff"
    (package / "models").mkdir(parents=True)
    (package / "data").mkdir()
    (package / "models" / "unet.py").write_text(
        "def f():\n    from bassdiff import recipes\n    import bassdiff.training.loop\n"
    )
    (package / "data" / "store.py").write_text(
        "from ..diffusion import sampler\nfrom . import stems\nfrom bassdiff.models import unet\n"
    )
    assert violations(package) == [
        "bassdiff/data/store.py imports diffusion, which is not below it",
        "bassdiff/models/unet.py imports recipes, which is not below it",
        "bassdiff/models/unet.py imports training, which is not below it",
    ]


def test_only_recipes_and_the_command_line_read_configs():
    readers = {
        room(module_name(path, PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] in ("ml_collections", "configs") for name in imports(path))
    }
    assert readers == CONFIG_READERS


def test_configs_hold_values_only():
    for path in (PACKAGE.parent / "configs").glob("*.py"):
        assert set(imports(path, path.parent)) <= {"ml_collections"}, path.name


def test_what_needs_no_jax_does_not_load_it():
    """Whatever else it imports: rendering has many processes, and `--help` no time to lose."""
    code = (
        f"import importlib, sys\nfor name in {WITHOUT_JAX}:\n"
        "    importlib.import_module(f'bassdiff.{name}')\n"
        "    assert 'jax' not in sys.modules, name"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
