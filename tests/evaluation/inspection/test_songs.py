"""`bassdiff data inspect`: counts, faults by name, one page that loads nothing."""

import json
import re

import numpy as np
import pytest

from bassdiff.cli import main as cli
from bassdiff.data.store_building import build
from bassdiff.evaluation.inspection import charts
from bassdiff.evaluation.inspection.measures import clipped_runs, estimate_key, measure
from bassdiff.runtime.errors import UnusableSong
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.stems import Stems


def inspect(spec, out, *more):
    return cli.main(["data", "inspect", str(spec), "--out", str(out), *more])


def figures(out):
    return json.loads((out / "inspection.json").read_text())


def test_every_song_is_on_the_page_the_broken_one_with_its_reason(songs, tmp_path):
    out = tmp_path / "page"
    assert inspect(f"stems:{songs}", out, "--split", "all", "--examples", "1") == 0
    found = figures(out)
    assert (found["num_songs"], found["looked_at"]) == (5, 5)
    assert found["stems"] == {"bass": 4, "keys": 4, "drums": 1}
    assert found["hours"] == pytest.approx(4 * 3.0 / 3600)
    problems = {song["name"]: song["problems"] for song in found["songs"]}
    assert problems["a-sound"] == []
    assert problems["b-silent"] == ["the bass is silent"]
    assert problems["c-short"] == ["bass ends 0.50 s before the longest stem"]
    # A clipped sine of 65.4 Hz stands at full scale twice a period.
    (said,) = problems["d-clipped"]
    assert 385 <= int(re.fullmatch(r"bass clips in (\d+) places", said)[1]) <= 395
    (broken,) = found["unreadable"]
    assert broken["name"] == "e-<b>broken" and "truncated" in broken["reason"]

    page = (out / "index.html").read_text()
    for name in ("a-sound", "b-silent", "c-short", "d-clipped", "e-&lt;b&gt;broken"):
        assert name in page
    assert "<b>broken" not in page and "truncated" in page
    addresses = re.findall(r'(?:src|href|action|poster)="([^"]*)"', page)
    assert addresses and all(a.startswith(("data:", "#")) for a in addresses)
    assert page.count("<audio") == 3 and page.count("data:image/webp") == 1
    # Where the songs lie is nobody's business.
    assert str(songs) not in page and str(songs) not in (out / "inspection.json").read_text()


def test_the_same_songs_make_the_same_page(songs, tmp_path):
    words = ("--split", "all", "--songs", "2", "--examples", "1")
    for name in ("one", "two"):
        assert inspect(f"stems:{songs}", tmp_path / name, *words) == 0
    assert [song["name"] for song in figures(tmp_path / "one")["songs"]] == ["a-sound"]
    assert figures(tmp_path / "one")["unreadable"][0]["name"] == "e-<b>broken"
    for name in ("index.html", "inspection.json"):
        one, two = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        assert one == two


def test_without_a_single_song_nothing_is_written(songs, tmp_path, capsys):
    for path in songs.glob("*/keys.wav"):
        path.write_bytes(path.read_bytes()[:5000])
    assert inspect(f"stems:{songs}", tmp_path / "page", "--split", "all") == 2
    assert "none of the 5 songs of stems:songs can be read" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()
    assert inspect(tmp_path, tmp_path / "page") == 2
    assert "holds no complete store" in capsys.readouterr().err


def test_known_beats_are_believed_and_estimates_say_so():
    time = np.arange(3 * 44100) / 44100
    bass = np.sin(2 * np.pi * 55 * time).astype(np.float32)
    stems = Stems("s", bass, {"keys": bass}, 44100, Annotation((0.0, 0.4, 0.8, 1.2)))
    song = measure(stems)
    assert song.tempo_is_known and song.tempo_bpm == pytest.approx(150)
    assert (song.active_share, song.seconds, song.peak) == (1.0, 3.0, pytest.approx(1, abs=1e-3))
    assert song.mix_peak == pytest.approx(2, abs=1e-3)
    silent = Stems("s", 0 * bass, {"keys": 0 * bass}, 44100)
    song = measure(silent)
    assert not song.tempo_is_known and np.isnan(song.tempo_bpm) and song.key is None
    assert song.problems == ("the bass is silent", "everything but the bass is silent")


@pytest.mark.parametrize("tonic", range(12))
def test_a_scale_with_a_strong_tonic_chord_is_in_its_key(tonic):
    for mode, scale, triad in (
        ("major", (0, 2, 4, 5, 7, 9, 11), (0, 4, 7)),
        ("minor", (0, 2, 3, 5, 7, 8, 10), (0, 3, 7)),
    ):
        chroma = np.zeros((1, 12))
        chroma[0, scale] = 1
        chroma[0, triad] += 2
        note, found = estimate_key(np.roll(chroma, tonic, axis=1)).split()
        assert found == mode
        assert ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")[tonic] == note


def test_clipping_is_three_neighbours_at_full_scale():
    assert clipped_runs(np.array([1, 1, 0, -1, -1, 1, 0, 1.0, 0.9, 0.9, 0.9])) == 1
    assert clipped_runs(np.array([1, 1, 1, 0, 2, 2, 2, 2.0])) == 2
    assert clipped_runs(np.zeros(0)) == 0


def test_charts_count_what_is_known():
    drawn = charts.histogram("loudness", "LUFS", {"bass": [-20.0, -18.0, -np.inf]})
    assert "bass: 2 songs, median -19" in drawn
    assert charts.histogram("tempo", "bpm", {"known": [np.nan]}) is None
    assert "C major 2, A minor 1" in charts.key_circle(["C major", "C major", None, "A minor"])
    assert charts.key_circle([None]) is None


class Songs:
    names = ("a", "b")

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index


def test_a_store_of_latents_says_which_values_are_not_finite(tmp_path, rng):
    def make(source, song, _):
        bass, mix = rng.normal(2.0, 3.0, (1, 4000, 5)), rng.normal(size=(2, 4000, 3))
        if song:
            mix[0, 7, 1] = np.nan
        active = np.arange(4000)[None] < 1000 * (1 + song)
        fields = {"bass": bass, "mix": mix}
        return {k: v.astype(np.float16) for k, v in fields.items()} | {"active": active}

    songs = Songs()
    songs.names = list(songs.names)
    build(tmp_path / "latents", songs, make, {"split": "train", "codecs": {"bass": "x"}}, seed=0)
    assert inspect(tmp_path / "latents", tmp_path / "page") == 0
    found = figures(tmp_path / "page")
    assert [song["active_share"] for song in found["songs"]] == [0.25, 0.5]
    assert [song["mix_not_finite"] for song in found["songs"]] == [0, 1]
    assert found["hours"] == pytest.approx(2 * 4000 * 2048 / 44100 / 3600)
    np.testing.assert_allclose(found["channels"]["bass"]["mean"], 2.0, atol=0.2)
    np.testing.assert_allclose(found["channels"]["bass"]["std"], 3.0, atol=0.2)
    assert "1 values of its mix are not finite" in (tmp_path / "page" / "index.html").read_text()


def test_a_store_of_latents_says_why_songs_were_left_out(tmp_path):
    def make(source, song, _):
        if song:
            raise UnusableSong(f"{source.names[song]}: the bass is silent.")
        arrays = {side: np.ones((1, 9, 2), np.float16) for side in ("bass", "mix")}
        return arrays | {"active": np.ones((1, 9), bool)}

    songs = Songs()
    songs.names = list(songs.names)
    with pytest.warns(UserWarning, match="left out"):
        build(tmp_path / "latents", songs, make, {"split": "all", "codecs": {}}, seed=0)
    assert inspect(tmp_path / "latents", tmp_path / "page") == 0
    assert figures(tmp_path / "page")["left_out"] == {songs.names[1]: "the bass is silent."}
    page = (tmp_path / "page" / "index.html").read_text()
    assert "left out when it was encoded: the bass is silent." in page
