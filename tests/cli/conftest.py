import numpy as np
import pytest

from bassdiff.audio import io
from bassdiff.cli import main as cli

RATE = 22050


@pytest.fixture
def mix(tmp_path):
    """Two seconds in stereo."""
    time = np.arange(2 * RATE) / RATE
    wave = 0.3 * np.sin(2 * np.pi * 220 * time) * (1 + np.sign(np.sin(2 * np.pi * 2 * time)))
    path = tmp_path / "mix.wav"
    io.write(path, np.stack([wave, wave], axis=1), RATE)
    return path


@pytest.fixture
def inside(tmp_path, monkeypatch, tiny_weights):
    """A working directory of its own; `--weights` is added to every command."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: cli.main([*map(str, words), "--weights", str(tiny_weights)])
