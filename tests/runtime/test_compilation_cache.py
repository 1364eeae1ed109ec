import subprocess
import sys

import pytest

from bassdiff.runtime.compilation_cache import mend, programs_folder

PLAY = [sys.executable, "-c", "import sys; from bassdiff.cli.main import main; sys.exit(main())"]


def test_other_warnings_are_passed_on(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert mend("the mix is silent") == "the mix is silent"


def test_a_full_cache_is_named_with_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    warning = "Error writing persistent compilation cache entry for 'jit_f': OSError: no space left"
    assert mend(warning) == (
        f"compiled programs cannot be kept in {tmp_path} (OSError: no space left); each run "
        "compiles again"
    )
    assert mend(warning) is None


@pytest.mark.faults
def test_damaged_programs_are_made_anew_once(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "programs"))
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "true")
    monkeypatch.setenv("XLA_FLAGS", "")

    def play(name):
        words = ["generate", "--no-plot", "--steps", "2", "--out", str(tmp_path / name)]
        ended = subprocess.run([*PLAY, *words], capture_output=True, text=True, timeout=200)
        assert ended.returncode == 0, ended.stderr
        return ended.stderr, (tmp_path / name).read_bytes()

    _, first = play("first.wav")
    programs = sorted(programs_folder().glob("*-cache"))
    assert programs
    for program in programs:
        content = bytearray(program.read_bytes())
        content[100:120] = bytes(20)
        program.write_bytes(content)
    said, second = play("second.wav")
    # All forms of a program, as for two lengths, are made anew with the first that is found out.
    names = {program.name.partition("-")[0] for program in programs}
    assert len(names) > 2
    assert said.count("was damaged and is compiled again") == len(names)
    said, third = play("third.wav")
    assert "was damaged" not in said
    assert first == second == third
