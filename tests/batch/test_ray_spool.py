"""Waveforms between machines: whole, taken once, and nothing is left."""

import numpy as np
import pytest

from bassdiff.batch.patience import Patience
from bassdiff.batch.ray_spool import BASS, MIX, Spool
from bassdiff.batch.storage import Storage


@pytest.fixture(params=["disk", "memory"])
def storages(request, tmp_path):
    """Two machines that share a folder."""
    url = str(tmp_path / "out") if request.param == "disk" else f"memory://{tmp_path.name}"
    both = [Storage(url, f"ray-{number}", Patience(1.0)) for number in range(2)]
    yield both
    for storage in both:
        storage.close()


def test_what_one_machine_puts_another_takes_once(storages):
    here, there = (Spool(storage, ".spool") for storage in storages)
    wave = np.arange(1000, dtype=np.float32)
    here.put("album/one", MIX, ("heard", wave))
    here.put("album/one", MIX, ("heard", wave))
    here.put("album/one", BASS, ("played", wave))
    here.put("two", MIX, ("heard", wave))
    assert (there.count(MIX), there.count(BASS)) == (2, 1)
    name, found = there.take("album/one", MIX)
    assert name == "heard" and np.array_equal(found, wave)
    with pytest.raises(FileNotFoundError):
        here.take("album/one", MIX)
    assert here.take("album/one", BASS)[0] == "played"
    assert (here.count(MIX), here.count(BASS)) == (1, 0)
    here.clear()
    there.clear()
    assert there.count(MIX) == 0
    assert storages[0].names(".spool", "") == []


def test_an_empty_one_has_nothing(storages):
    spool = Spool(storages[0], ".spool")
    assert spool.count(MIX) == 0
    with pytest.raises(FileNotFoundError):
        spool.take("one", MIX)
    spool.clear()
