"""Every bass says how it was made, and is made again from what it says."""

import json

import numpy as np
import pytest
import soundfile

from bassdiff import __version__
from bassdiff.audio import io
from bassdiff.cli import main as cli

# Untrained weights may play louder than full scale.
pytestmark = pytest.mark.filterwarnings(
    "default:.* dB softer than it was played",
    "default:the bass came out",
    "default:.* had peaks of",
)
HOW = ("--steps", "2", "--no-plot", "--seed", "3", "--key", "D minor", "--chord-strength", "0.5")


@pytest.fixture
def made(inside, mix, capsys):
    """A bass with a style, by two of which the second is kept."""
    style = mix.with_name("style.wav")
    io.write(style, io.read(mix)[: len(io.read(mix)) * 3 // 4], 22050)
    assert inside("generate", mix.name, *HOW, "--style", "style.wav", "--variations", "2") == 0
    assert "mix-bass-2.json (seed 4)" in capsys.readouterr().err
    return mix.with_name("mix-bass-2.wav")


def tag(path):
    with soundfile.SoundFile(path) as file:
        return json.loads(file.comment)


def test_the_record_holds_what_made_it(made):
    record = json.loads(made.with_suffix(".json").read_text())
    assert record["bassdiff"] == __version__
    assert record["seed"] == record["words"]["seed"] == 4
    assert record["words"]["key"] == record["heard"]["key"] == "D minor"
    assert set(record["files"]) == {"mix.wav", "style.wav"}
    assert record["settings"]["steps"] == 2 and record["settings"]["chord_strength"] == 0.5
    assert set(record["weights"]) == {"name", "unet", "mix_codec", "bass_codec"}
    assert record["date"] > "2020"
    with soundfile.SoundFile(made) as file:
        assert file.software.startswith(f"bassdiff {__version__}")
    for name in ("date", "settings"):
        del record[name]
    assert tag(made) == record


@pytest.mark.parametrize("source", ["mix-bass-2.wav", "mix-bass-2.json"])
def test_like_makes_it_again_bit_for_bit(inside, made, source):
    if source.endswith(".wav"):
        # Its tags are enough.
        made.with_suffix(".json").unlink()
    assert cli.main(["generate", "--like", source, "--out", "again.wav", "--no-plot"]) == 0
    again = made.with_name("again.wav")
    np.testing.assert_array_equal(io.read(again), io.read(made))
    # Floats in a wav file come with the time of day, so the bytes of the files may differ.
    assert tag(again) == tag(made)


def test_other_options_change_what_it_says(inside, made):
    words = ("generate", "--like", str(made), "--no-plot")
    assert cli.main([*words, "--out", "other.wav", "--seed", "5"]) == 0
    assert np.any(io.read(made.with_name("other.wav")) != io.read(made))


def test_what_has_changed_since_is_refused(inside, made, mix, capsys, tiny_weights, tmp_path):
    words = ["generate", "--like", str(made), "--out", "again.wav"]
    io.write(mix.with_name("style.wav"), 0.5 * io.read(mix), 22050)
    assert cli.main(words) == 2
    assert "style.wav is not the file that" in capsys.readouterr().err
    mix.with_name("style.wav").unlink()
    assert cli.main(words) == 2
    assert "style.wav, from which" in capsys.readouterr().err
    record = json.loads(made.with_suffix(".json").read_text())
    record["words"].pop("style")
    record["weights"]["unet"] = "another"
    made.with_name("edited.json").write_text(json.dumps(record))
    assert cli.main(["generate", "--like", "edited.json", "--out", "again.wav"]) == 2
    assert "are not those that the bass was made with" in capsys.readouterr().err
    assert not (tmp_path / "again.wav").exists()


def test_info_says_it(made, mix, capsys):
    assert cli.main(["info", str(made)]) == 0
    said = capsys.readouterr()
    for words in (
        "made by       bassdiff",
        "seed          4",
        "key           D minor",
        "mix.wav (",
    ):
        assert words in said.out
    assert f"bassdiff generate --like {made}" in said.err
    assert cli.main(["info", str(made), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 4
    for path, words in ((mix, "nothing says how it was made"), ("none.wav", "there is no such")):
        assert cli.main(["info", str(path)]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_other_formats_carry_it_too(inside, mix, suffix, capsys):
    out = f"bass.{suffix}"
    assert inside("generate", mix.name, *HOW, "--out", out) == 0
    mix.with_name("bass.json").unlink()
    assert cli.main(["info", out]) == 0
    assert "seed          3" in capsys.readouterr().out


def test_overwriting_has_to_be_asked_for(inside, mix, capsys):
    words = ("generate", mix, "--steps", "2", "--no-plot")
    assert inside(*words) == 0
    assert inside(*words) == 2
    assert "mix-bass.wav is there already; give --overwrite" in capsys.readouterr().err
    assert inside(*words, "--overwrite", "--seed", "1") == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"words": {"steps": "many"}}, "steps is 'many' in its record"),
        ({"words": {"seed": 1.5}}, "seed is '1.5' in its record"),
        ({"words": {"style": [3]}}, "style is '[3]' in its record"),
        ({"words": {"region": "1:2:3"}}, "'1:2:3' is not a region"),
        ({"words": {"bpm": True}}, "bpm is 'True' in its record"),
        ({"words": {"rm": "-rf"}}, "'rm' is no option"),
        ({"words": []}, "its record has no words"),
        ({"weights": None}, "its record has no weights"),
        ({"files": {"mix.wav": 3}}, "files without a hash"),
    ],
)
def test_a_record_of_somebody_else_is_checked(inside, mix, capsys, change, words):
    record = {
        "kind": "bassdiff-record",
        "bassdiff": __version__,
        "seed": 0,
        "words": {},
        "files": {},
        "weights": {},
    }
    mix.with_name("other.json").write_text(json.dumps({**record, **change}))
    assert inside("generate", mix.name, "--like", "other.json", "--out", "again.wav") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_nothing_in_a_record_steers_the_terminal(inside, mix, capsys):
    record = {"bassdiff": "\x1b[2J", "seed": 0, "words": {}, "files": {}, "weights": {}}
    path = mix.with_name("other.json")
    path.write_text(json.dumps({"kind": "bassdiff-record", **record}))
    assert cli.main(["info", str(path)]) == 0
    assert "made by       bassdiff \\x1b[2J" in capsys.readouterr().out
    path.write_text("[" * 100_000)
    assert cli.main(["info", str(path)]) == 2
    assert cli.main(["generate", "no\nsuch\x1b.wav"]) == 2
    assert "no\\nsuch\\x1b.wav: there is no such file" in capsys.readouterr().err


def test_names_that_no_system_takes_are_sentences(inside, mix, capsys):
    for words in (["info", "x" * 300], ["info", "x" * 5000], ["transcribe", "x" * 300]):
        assert cli.main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "name too long" in line
