"""Every bass of a batch says how it was made, and is made again from what it says."""

import json
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile

from bassdiff.audio.io import read, write
from bassdiff.batch.candidates import candidate_seed
from bassdiff.batch.player import Player
from bassdiff.cli import main as cli

pytestmark = pytest.mark.filterwarnings(
    "default:the bass came out",
    "default:no pitch is heard",
    "default:.* dB softer than it was played",
    "default:.* had peaks of",
)


@pytest.fixture
def table(tmp_path, songs, write_midi, track):
    """A manifest of one song with all that a musician may decide."""
    write_midi(tmp_path / "line.mid", [track(33, [40, 43])])
    (tmp_path / "song.lab").write_text("0.0 2.0 F#\n")
    line = {
        "id": "album/one",
        "mix": f"{songs}/song2.wav",
        "style": [f"{songs}/song3.wav", f"{songs}/song4.wav"],
        "settings": {"guidance": 2.0},
        "bpm": 92,
        "chords": f"{tmp_path}/song.lab",
        "notes": "line.mid",
        "notes_region": [0.5, 1],
    }
    path = tmp_path / "songs.jsonl"
    path.write_text(json.dumps(line) + "\n")
    return path


@pytest.mark.parametrize("source", ["one.bass.wav", "one.bass.json"])
def test_like_makes_it_again_bit_for_bit(tmp_path, play, table, contents, rows, source, capsys):
    """Although a batch plays several songs at once, which rounds differently."""
    out = tmp_path / "out"
    assert play(table, out=out, midi=True).played == 1
    names = ("bass.json", "bass.wav", "mid")
    assert list(contents(out)) == [f"album/one.{name}" for name in names]
    made, again = out / "album" / "one.bass.wav", tmp_path / "again.wav"
    if source.endswith(".wav"):
        # Its tags are enough.
        made.with_suffix(".json").unlink()
    like = str(out / "album" / source)
    assert cli.main(["info", like]) == 0
    said = capsys.readouterr().out
    for words in (f"seed          {rows(out)[0]['seed']}", "song2.wav (", "guidance 2.0", "92"):
        assert words in said
    words = ["generate", "--like", like, "--out", str(again), "--midi", "--no-plot"]
    assert cli.main(words) == 0
    np.testing.assert_array_equal(read(again), read(made))
    assert again.with_suffix(".mid").read_bytes() == (out / "album" / "one.mid").read_bytes()
    with soundfile.SoundFile(again) as new, soundfile.SoundFile(made) as old:
        assert new.comment == old.comment and "song2" in old.title


def test_what_is_heard_is_what_generate_hears(tmp_path, play, songs, capsys):
    """The tuning, and with MIDI the chords and the tempo."""
    song = songs / "song2.wav"
    play(song, out=tmp_path / "out", midi=True)
    made = json.loads((tmp_path / "out" / "song2.bass.json").read_text())
    assert "date" not in made
    like = str(tmp_path / "out" / "song2.bass.json")
    assert (
        cli.main(["generate", "--like", like, "--out", str(tmp_path / "x.wav"), "--no-plot"]) == 0
    )
    again = json.loads((tmp_path / "x.json").read_text())
    again.pop("date")
    assert again == made
    assert set(made["heard"]) == {"tuning_cents", "estimated_tempo"}


def test_a_song_of_two_channels_is_heard_as_generate_hears_it(tmp_path, play, songs):
    left = read(songs / "song2.wav")[:, 0]
    write(tmp_path / "two.wav", np.stack([left, 0.3 * np.roll(left, 50)], axis=1), 22050)
    play(tmp_path / "two.wav", out=tmp_path / "out")
    like = str(tmp_path / "out" / "two.bass.wav")
    assert (
        cli.main(["generate", "--like", like, "--out", str(tmp_path / "x.wav"), "--no-plot"]) == 0
    )
    np.testing.assert_array_equal(read(tmp_path / "x.wav"), read(Path(like)))


def test_midi_has_the_tempo_that_was_given(tmp_path, play, table):
    play(table, out=tmp_path / "out", midi=True)
    notes = pretty_midi.PrettyMIDI(str(tmp_path / "out" / "album" / "one.mid"))
    np.testing.assert_allclose(notes.get_tempo_changes()[1][0], 92.0, rtol=1e-3)


def test_another_input_is_refused(tmp_path, play, songs, capsys):
    mix = tmp_path / "mix.wav"
    mix.write_bytes((songs / "song0.wav").read_bytes())
    play(mix, out=tmp_path / "out")
    write(mix, 0.5 * read(mix), 22050)
    like = str(tmp_path / "out" / "mix.bass.wav")
    assert cli.main(["generate", "--like", like, "--out", str(tmp_path / "again.wav")]) == 2
    assert "mix.wav is not the file that" in capsys.readouterr().err


@pytest.mark.usefixtures("plain_decoder")
def test_the_chosen_candidate_has_its_own_seed(tmp_path, play, songs, rows, monkeypatch):
    scores = iter((0.1, 0.3, 0.2))
    monkeypatch.setattr(Player, "score", lambda self, song, wave: next(scores))
    play(songs / "song0.wav", out=tmp_path / "out", candidates=3)
    (row,) = rows(tmp_path / "out")
    record = json.loads((tmp_path / "out" / row["paths"]["record"]).read_text())
    assert row["measures"]["candidate"] == 1
    assert record["seed"] == record["words"]["seed"] == candidate_seed(row["seed"], 1)


@pytest.mark.usefixtures("plain_decoder")
def test_mixes_on_a_store_are_told_by_their_urls(tmp_path, play, songs, capsys):
    import fsspec

    url = "memory://records/mix.wav"
    with fsspec.open(url, "wb") as file:
        file.write((songs / "song0.wav").read_bytes())
    play(url, out=tmp_path / "out")
    like = tmp_path / "out" / "mix.bass.json"
    assert list(json.loads(like.read_text())["files"]) == [url]
    words = ["generate", "--like", str(like), "--out", str(tmp_path / "x.wav"), "--no-plot"]
    assert cli.main(words) == 2
    assert f"{url}, from which {like} was made, is not there" in capsys.readouterr().err
    # A copy of it beside the bass is found.
    Path(like.parent / "mix.wav").write_bytes((songs / "song0.wav").read_bytes())
    assert cli.main(words) == 0
