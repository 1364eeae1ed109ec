"""Two thousand files with spoilt headers: each is read, or refused in one sentence, and soon."""

import json
import subprocess
import sys
import zlib

import numpy as np
import pytest

from tests.audio.odd_files import KINDS

NUM_FILES, BATCH = 2000, 100
LONGEST_SECONDS, MOST_BYTES = 10.0, 1 << 30
# Spoilt here, files mostly still pass for what they are.
HEADER_BYTES = 600
READ = """
import json, resource, sys, time, traceback
from bassdiff.audio.io import read_mono
from bassdiff.runtime.errors import InputError
said = {"faults": [], "refused": 0, "longest": 0.0}
for path in sys.argv[1:]:
    start = time.monotonic()
    print(path, file=sys.stderr, flush=True)
    try:
        read_mono(path)
    except InputError as error:
        said["refused"] += 1
        if "\\n" in str(error):
            said["faults"].append([path, str(error)])
    except BaseException:
        said["faults"].append([path, traceback.format_exc()])
    said["longest"] = max(said["longest"], time.monotonic() - start)
said["bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(said))
"""


def spoilt(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with a few fields of its header changed, and sometimes cut or with a hole."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(min(HEADER_BYTES, len(changed) - 8)))
        kind = rng.integers(4)
        if kind == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[place] = int(rng.integers(256))
        else:
            extremes = (0, 1, 0x7F, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
            value = extremes[rng.integers(len(extremes))]
            order = "little" if kind == 2 else "big"
            changed[place : place + 4] = value.to_bytes(4, order)
    if rng.random() < 0.2:
        del changed[int(rng.integers(len(changed) // 2, len(changed))) :]
    if rng.random() < 0.1:
        start = int(rng.integers(len(changed)))
        del changed[start : start + int(rng.integers(1, 5000))]
    return bytes(changed)


@pytest.mark.faults
def test_whatever_is_spoilt_is_read_or_refused(tmp_path):
    rng = np.random.default_rng(24)
    whole = {name: kind.build() for name, kind in KINDS.items()}
    names = sorted(whole)
    refused = 0
    for first in range(0, NUM_FILES, BATCH):
        paths = []
        for number in range(first, first + BATCH):
            name = names[number % len(names)]
            path = tmp_path / f"{number}-{name}"
            path.write_bytes(spoilt(whole[name], rng))
            paths.append(path)
        ended = subprocess.run(
            [sys.executable, "-c", READ, *map(str, paths)],
            capture_output=True,
            text=True,
            timeout=BATCH * LONGEST_SECONDS,
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        # Decoders themselves say nothing: a line of ours for each file.
        assert ended.stderr.splitlines() == [str(path) for path in paths]
        said = json.loads(ended.stdout)
        assert not said["faults"], said["faults"][0][1]
        assert said["longest"] < LONGEST_SECONDS and said["bytes"] < MOST_BYTES, paths[0]
        refused += said["refused"]
        for path in paths:
            path.unlink()
    # Neither all nor none, or nothing would have been tried.
    assert 0.2 * NUM_FILES < refused < 0.9 * NUM_FILES
    assert len({zlib.crc32(data) for data in whole.values()}) > 50
