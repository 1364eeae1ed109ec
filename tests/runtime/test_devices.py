import os
import subprocess
import sys

import pytest

from bassdiff.runtime.devices import check_devices


def test_the_devices_of_the_tests_are_there():
    check_devices()


@pytest.mark.parametrize("platform", ["tpu", "cuda", "nonsense"])
def test_devices_that_are_not_there_are_named(platform):
    code = (
        f"import os\nos.environ['JAX_PLATFORMS'] = {platform!r}\n"
        "from bassdiff.runtime.devices import check_devices\ncheck_devices()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = ended.stderr.strip().splitlines()[-1]
    assert f"JAX_PLATFORMS is {platform!r}, and there is no such device here; unset it" in said


@pytest.mark.parametrize(
    "words",
    [
        ["release", "--codecs", "small", "--unet", "small", "--out", "new"],
        ["batch", "mix.wav", "--out", "new"],
        ["gallery", "--data", "composed:2", "--out", "new"],
    ],
    ids=lambda words: words[0],
)
def test_verbs_say_so_before_they_do_anything(tmp_path, words):
    (tmp_path / "mix.wav").touch()
    environment = {**os.environ, "JAX_PLATFORMS": "tpu"}
    ended = subprocess.run(
        [sys.executable, "-m", "bassdiff", *words],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert ended.returncode == 2
    assert "JAX_PLATFORMS is 'tpu', and there is no such" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mix.wav"]
