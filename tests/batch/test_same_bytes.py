"""A song's files are the same bytes in whatever company, in which order, on what devices."""

import json

import jax
import pytest

pytestmark = pytest.mark.filterwarnings("default:the bass came out", "default:no pitch is heard")


def test_company_order_and_devices_change_no_byte(tmp_path, play, songs, contents, monkeypatch):
    assert play(songs, out=tmp_path / "whole").played == 5
    whole = contents(tmp_path / "whole")
    assert len(set(whole.values())) == 10
    devices = jax.devices()[:2]
    for order, used, workers in (([3, 0], devices[1:], 1), ([4, 2, 0, 1, 3], devices, 3)):
        monkeypatch.setattr(jax, "local_devices", lambda *_, used=used, **__: used)
        lines = [{"mix": f"{songs}/song{number}.wav"} for number in order]
        table = tmp_path / "songs.jsonl"
        table.write_text("".join(json.dumps(line) + "\n" for line in lines))
        out = tmp_path / f"out{len(order)}"
        assert play(table, out=out, num_workers=workers).played == len(order)
        names = [f"song{n}.bass.{kind}" for n in sorted(order) for kind in ("json", "wav")]
        assert contents(out) == {name: whole[name] for name in names}
