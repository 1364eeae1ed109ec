import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from bassdiff.runtime.compilation_cache import programs_folder
from bassdiff.runtime.user_cache import user_cache


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    user_cache.cache_clear()
    yield
    user_cache.cache_clear()


def test_it_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert user_cache() == tmp_path / "cache" / "bassdiff"
    assert user_cache().stat().st_mode & 0o077 == 0
    assert programs_folder() == tmp_path / "cache" / "bassdiff" / "xla"


def test_a_relative_one_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "bassdiff"


def _no_home(monkeypatch, tmp_path):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", fail)


def _a_file(monkeypatch, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _read_only(monkeypatch, tmp_path):
    def fail(dir):
        raise OSError(30, os.strerror(30))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Permission bits do not stop the superuser, whom containers run tests as.
    monkeypatch.setattr("tempfile.TemporaryFile", fail)


def _full(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 30, 1 << 30, 0))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_no_home, "could not determine home directory"),
        (_a_file, "not a directory"),
        (_read_only, "read-only file system"),
        (_full, "no space left"),
    ],
)
def test_without_one_there_is_one_warning(monkeypatch, tmp_path, spoil, reason):
    spoil(monkeypatch, tmp_path)
    with pytest.warns(UserWarning, match=reason) as caught:
        assert [user_cache(), user_cache(), programs_folder()] == [None] * 3
    assert len(caught) == 1


@pytest.mark.faults
def test_measuring_needs_no_home_either(tmp_path):
    code = (
        "import os, pathlib\n"
        "for name in ('HOME', 'XDG_CACHE_HOME', 'NUMBA_CACHE_DIR'): os.environ.pop(name, None)\n"
        "import pwd\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "from bassdiff.audio.compiled_librosa import librosa\n"
        "print(librosa.midi_to_hz(69))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) == 440.0
    assert ended.stderr.count("nothing is cached") == 1
