import json

import numpy as np
import pytest

from bassdiff.cli.main import main
from bassdiff.data import store
from bassdiff.data.store import Store


@pytest.fixture(scope="module")
def encode(tmp_path_factory, tiny_weights):
    """Encodes short composed songs by the tiny codecs, in a cache of rendered ones."""
    cache = tmp_path_factory.mktemp("songs")

    def encode(out, *words, expected=0):
        where = ["--weights", tiny_weights, "--cache", cache, "--out", out]
        given = ["--data", "composed:2", "--max-seconds", "6", "--mixes", "2", *where, *words]
        assert main(["encode", *map(str, given)]) == expected

    return encode


@pytest.fixture(scope="module")
def plain(encode, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "latents"
    encode(folder)
    return folder


def test_a_store_tells_where_its_latents_come_from(plain, tiny_weights):
    latents = Store(plain)
    about = latents.manifest
    assert about["names"] == ["composed-0", "composed-1"]
    assert about["source"] == "composed:2" and about["mixes"] == 2
    assert set(about["codecs"]) == {"mix", "bass"}
    frames = latents.num_frames(0)
    assert latents.read(0, "bass").shape[:2] == (1, frames)
    assert latents.read(0, "mix").shape[:2] == (2, frames)
    assert latents.read(0, "bass").dtype == np.float16
    assert np.all(np.isfinite(about["statistics"]["mix"]["std"]))


def test_how_much_and_how_fast_is_told(encode, tmp_path, capsys):
    encode(tmp_path / "latents")
    said = capsys.readouterr().err
    assert "encoded 0.00 h of songs, 0.01 h of basses and mixes, in" in said
    assert "x real time" in said and "latents is complete" in said


def test_copies_are_stored_behind_the_songs(encode, plain, tmp_path):
    encode(tmp_path / "latents", "--copies", "1", "--tempos", "0.8", "0.9", "--semitones", "1")
    latents = Store(tmp_path / "latents")
    names = latents.manifest["names"]
    assert names[:2] == ["composed-0", "composed-1"]
    assert [name.partition("@")[0] for name in names[2:]] == ["composed-0~v1", "composed-1~v1"]
    tempo = float(names[2].partition("@")[2][:5])
    assert 0.8 <= tempo <= 0.9
    assert latents.num_frames(2) == pytest.approx(latents.num_frames(0) / tempo, abs=1)
    # The songs themselves are what they are without copies.
    np.testing.assert_array_equal(latents.read(0, "mix"), Store(plain).read(0, "mix"))


def test_realism_is_stored_and_told(encode, plain, tmp_path):
    encode(tmp_path / "leads", "--realism", "leads,tuning")
    encode(tmp_path / "mastered", "--realism", "mastering")
    encode(tmp_path / "feel", "--realism", "feel")
    stores = {name: Store(tmp_path / name) for name in ("leads", "mastered", "feel")}
    assert stores["leads"].manifest["realism"] == ["tuning", "leads"]
    assert "realism" not in Store(plain).manifest

    def same(name, field):
        ours, theirs = (s.read(0, field) for s in (stores[name], Store(plain)))
        return ours.shape == theirs.shape and np.array_equal(ours, theirs)

    # What is done to mixes leaves basses alone; players who drift change both.
    assert (same("mastered", "bass"), same("mastered", "mix")) == (True, False)
    assert not same("feel", "bass") and not same("feel", "mix")
    assert not same("leads", "mix")


def test_a_part_that_is_not_the_last_says_what_is_missing(encode, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(store, "LEAST_SONGS", 1)
    encode(tmp_path / "latents", "--part", "2/2")
    assert len(list((tmp_path / "latents").glob("*.array_record"))) == 1
    assert "latents still lacks shards of other parts" in capsys.readouterr().err
    encode(tmp_path / "latents", "--part", "1/2")
    assert "latents is complete" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--part", "3/2"], "3/2 is not a part; the second of four is 2/4"),
        (["--realism", "vocals"], "is not a realism group; choose among tuning, feel"),
        (["--copies", "-1"], "-1 is not a whole number from 0"),
        (["--copies", "1", "--tempos", "1.1", "0.9"], "name the slower one first"),
        (["--copies", "1", "--tempos", "1", "1", "--semitones", "0"], "widen a range"),
    ],
)
def test_bad_words_are_answered_in_a_sentence(encode, tmp_path, capsys, words, message):
    try:
        encode(tmp_path / "latents", *words, expected=2)
    except SystemExit as end:
        assert end.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "latents").exists()


def test_the_latents_of_other_codecs_are_not_added_to(plain, encode, tmp_path, capsys):
    manifest = json.loads((plain / "manifest.json").read_text())
    folder = tmp_path / "latents"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({**manifest, "codecs": {"mix": "x"}}))
    encode(folder, expected=2)
    assert "was made with another codecs" in capsys.readouterr().err
