"""Fifty requests, four at a time: none fails, memory does not grow, and the 51st is as fast."""

import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[app]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
NUM_REQUESTS, NUM_VISITORS = 50, 4


def resident_megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def generated(visitor, seed):
    """Seconds that a bass takes, which must come out."""
    began = time.monotonic()
    shown = visitor.press("generate", visitor.form("generate", steps=2, seed=seed))
    assert "Finished" in shown[0], shown
    return time.monotonic() - began


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_fifty_requests_four_at_a_time(server, visitors, song):
    everyone = [visitors(server) for _ in range(NUM_VISITORS)]
    for visitor in everyone:
        visitor.open("song.wav", song)
        generated(visitor, 0)
    alone = [generated(everyone[0], seed) for seed in range(3)]
    before = resident_megabytes()

    def several(number):
        count = len(range(number, NUM_REQUESTS, NUM_VISITORS))
        return [generated(everyone[number], seed) for seed in range(count)]

    began = time.monotonic()
    with ThreadPoolExecutor(NUM_VISITORS) as pool:
        together = [one for some in pool.map(several, range(NUM_VISITORS)) for one in some]
    lasted = time.monotonic() - began
    after = resident_megabytes()
    again = [generated(everyone[0], seed) for seed in range(3)]
    figures = {
        "requests": len(together),
        "at once": NUM_VISITORS,
        "seconds": round(lasted, 2),
        "seconds of one, alone, before": [round(value, 3) for value in alone],
        "seconds of one, alone, after": [round(value, 3) for value in again],
        "megabytes before": round(before, 1),
        "megabytes after": round(after, 1),
    }
    if where := os.environ.get("BASSDIFF_FIGURES"):
        Path(where, "app_load.json").write_text(json.dumps(figures, indent=1) + "\n")
    assert len(together) == NUM_REQUESTS
    assert after - before < 200.0, figures
    # The machine may be busier than before.
    assert statistics.median(again) < 2.0 * statistics.median(alone), figures
    assert [len(visitor.state()["takes"]) for visitor in everyone][1:] == [14, 13, 13]
