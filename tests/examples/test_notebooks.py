"""The notebooks run from top to bottom, and their results show themselves."""

import base64
import os
import re
import sys
from pathlib import Path

import pytest

from bassdiff import examples

nbformat = pytest.importorskip(
    "nbformat", reason="nbclient is not installed: pip install -e '.[notebook]'"
)
pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e '.[notebook]'")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install -e '.[notebook]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
NOTEBOOKS = sorted(Path(examples.__file__).parent.glob("*.ipynb"))


def test_they_are_there_without_outputs():
    assert [path.stem for path in NOTEBOOKS] == ["quickstart", "sampler", "training"]
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
        assert all(not cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    # Shell commands find this environment's, and this copy of the package.
    found = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", found)
    monkeypatch.setenv("PYTHONPATH", str(Path(examples.__file__).parents[2]))
    monkeypatch.setenv("XLA_FLAGS", "")
    notebook = nbformat.read(path, 4)
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources)
    try:
        client.execute()
    finally:
        # What shell commands said before a cell failed.
        for cell in notebook.cells:
            for out in cell.get("outputs", ()):
                print(out.get("text", ""))
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    shown = [out["data"] for out in outputs if "data" in out]
    players = [data["text/html"] for data in shown if "<audio" in data.get("text/html", "")]
    assert players
    for html in players:
        for sound in re.findall(r'src="data:audio/ogg;base64,([^"]+)"', html):
            assert base64.b64decode(sound).startswith(b"OggS")
    assert any("image/png" in data for data in shown)
