"""A manifest of a million lines: what it costs before the first song is handed out."""

import json
import os
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults
NUM_SONGS = 1_000_000


def test_a_million_lines_start_within_20_seconds_and_500_mb(tmp_path, start, rows):
    """Of processor time, since others may use the machine; of memory, all that the process has."""
    table, out = tmp_path / "songs.jsonl", tmp_path / "out"
    with table.open("w") as file:
        for number in range(NUM_SONGS):
            line = {"id": f"album{number // 12}/song{number}", "mix": f"mixes/{number}.flac"}
            file.write(json.dumps({**line, "style": "s.wav", "settings": {"steps": 30}}) + "\n")
    process = start(table, out, XLA_FLAGS="")
    about = Path(f"/proc/{process.pid}")
    # The mixes are not there, so the first song has a row as soon as it is read.
    while not rows(out):
        assert process.poll() is None and time.sleep(0.05) is None
    fields = (about / "stat").read_text().rpartition(")")[2].split()
    seconds = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    (peak,) = (x for x in (about / "status").read_text().splitlines() if x.startswith("VmHWM:"))
    process.kill()
    process.communicate()
    assert "there is no such file; check the path" in rows(out)[0]["error"]
    assert seconds < 20.0
    assert int(peak.split()[1]) / 1024 < 500.0
