import subprocess
import sys

import jax.numpy as jnp
import pytest

from bassdiff.runtime.errors import InputError
from bassdiff.training.workdir import RECORD, check_same_run, finite, owned

RUN = {"objective": "diffusion", "config.seed": 0, "the number of examples": 9}
HOLD = """
import sys
from pathlib import Path
from bassdiff.training.workdir import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_run_at_a_time(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another run is in"):
            with owned(tmp_path):
                pass
    finally:
        other.kill()
        other.communicate()
    # A lock of a process that was killed is none.
    with owned(tmp_path):
        pass
    with owned(tmp_path):
        pass


def test_what_goes_on_is_what_began(tmp_path):
    check_same_run(tmp_path, RUN)
    # Nothing is there yet that another configuration could spoil.
    check_same_run(tmp_path, {**RUN, "config.seed": 1})
    (tmp_path / "checkpoints" / "100").mkdir(parents=True)
    check_same_run(tmp_path, {**RUN, "config.seed": 1})
    with pytest.raises(
        InputError, match=r"began with config\.seed=1, and it is 0 now; set it back"
    ):
        check_same_run(tmp_path, RUN)
    with pytest.raises(InputError, match="the number of examples=9, and it is 8 now"):
        check_same_run(tmp_path, {**RUN, "config.seed": 1, "the number of examples": 8})
    (tmp_path / RECORD).write_bytes(b"{")
    with pytest.raises(InputError, match="is damaged; delete it"):
        check_same_run(tmp_path, RUN)
    (tmp_path / RECORD).unlink()
    check_same_run(tmp_path, RUN)


def test_a_run_of_old_goes_on(tmp_path):
    (tmp_path / "checkpoints" / "100").mkdir(parents=True)
    check_same_run(tmp_path, RUN)


def test_one_number_that_is_not_finite_is_found():
    tree = {"a": jnp.ones((3, 4)), "b": jnp.zeros(2), "count": jnp.ones((), jnp.int32)}
    assert finite(tree) and finite({})
    assert not finite({**tree, "b": tree["b"].at[1].set(jnp.nan)})
    assert not finite({**tree, "a": tree["a"].at[2, 1].set(-jnp.inf)})
