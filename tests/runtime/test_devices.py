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
