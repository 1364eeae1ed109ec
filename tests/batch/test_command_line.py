import json

import numpy as np
import pytest
import soundfile

from bassdiff.batch.tally import Tally
from bassdiff.cli import batch as verb
from bassdiff.cli.main import main, parser


@pytest.mark.usefixtures("plain_decoder")
def test_a_job_says_what_became_of_its_songs(tmp_path, songs, tiny_weights, capfd, rows):
    soundfile.write(tmp_path / "short.wav", np.zeros(2000), 22050)
    out = tmp_path / "out"
    words = ["batch", f"{songs}/song[01].wav", f"{tmp_path}/short.wav", "--out", str(out)]
    words += ["--weights", str(tiny_weights), "--steps", "3"]
    for _ in range(2):
        assert main(words) == 4
    assert main([*words, "--allow-failed"]) == 0
    said = capfd.readouterr()
    assert "1 of 3 songs were not played; results-*.jsonl in" in said.err
    assert "3/3" in said.err
    first, second = said.out.split("songs an hour")[:2]
    assert first.split()[:2] == ["played", "2"]
    assert second.split("played")[1].split()[:6] == ["0", "there", "already", "2", "failed", "1"]
    assert {row["settings"]["steps"] for row in rows(out)} == {3}
    assert main(["batch", "--merge", "--out", str(out)]) == 0
    assert "wrote results.parquet of 3 songs, and report.html" in capfd.readouterr().err
    page = (out / "report.html").read_text()
    assert "2 songs, 0.0 hours · 1 failed" in page and "short.wav is 0.091 s long" in page
    assert page.count("<audio ") == 6 and page.count("data:image/webp") == 2
    (tmp_path / "songs.jsonl").write_text(json.dumps({"mix": f"{songs}/song0.wav"}))
    words[1:3] = [f"{tmp_path}/songs.jsonl"]
    assert main(words) == 0


def test_what_cannot_be_used_is_said_at_once(tmp_path, capsys):
    assert main(["batch", f"{tmp_path}/none.csv", "--out", f"{tmp_path}/out"]) == 2
    assert "none.csv: cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_part_of_a_pod(monkeypatch, capsys):
    words = ["batch", "songs", "--out", "out", "--part"]
    assert parser().parse_args([*words, "2/4"]).part == (1, 4)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "3")
    assert parser().parse_args([*words, "index/4"]).part == (3, 4)
    monkeypatch.delenv("JOB_COMPLETION_INDEX")
    with pytest.raises(SystemExit):
        parser().parse_args([*words, "index/4"])
    assert "JOB_COMPLETION_INDEX is not set; write one, as 1/4" in capsys.readouterr().err


def test_the_summary_has_all_figures():
    tally = Tally(90, 5, 1, 7200.0, 1800.0, 0.25)
    assert [line.split()[-2:] for line in verb.summary(tally).splitlines()] == [
        ["played", "90"],
        ["already", "5"],
        ["failed", "1"],
        ["2.00", "h"],
        ["30.0", "min"],
        ["hour", "180"],
        ["25", "%"],
    ]
