"""What a musician decides, on the command line: heard, or refused in one sentence."""

import argparse

import numpy as np
import pytest

from bassdiff.audio import io
from bassdiff.cli.control import region, region_seconds

# Untrained weights may play louder than full scale.
pytestmark = pytest.mark.filterwarnings(
    "default:.* dB softer than it was played",
    "default:the bass came out",
    "default:.* had peaks of",
)


def test_chords_change_the_bass(inside, mix, tmp_path):
    words = ("generate", mix, "--steps", "2", "--no-plot")
    assert inside(*words, "--out", "free.wav") == 0
    assert inside(*words, "--out", "told.wav", "--chords", "C#m | F", "--bpm", "240") == 0
    (tmp_path / "song.lab").write_text("0 1 C#:min\n1 2 F:maj\n")
    assert inside(*words, "--out", "lab.wav", "--chords", "song.lab") == 0
    weak = ("--chords", "song.lab", "--chord-strength", "0")
    assert inside(*words, "--out", "weak.wav", *weak) == 0
    free, told, lab, weak = (
        io.read(tmp_path / f"{n}.wav") for n in ("free", "told", "lab", "weak")
    )
    assert np.abs(told - free).max() > 1e-3
    assert np.abs(lab - free).max() > 1e-3
    np.testing.assert_array_equal(weak, free)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--chords", "C | H7", "--bpm", "120"],
            "'H7' in bar 2, character 5, which is not a chord",
        ),
        (["--chords", "C | G:3 A:2", "--bpm", "120"], "bar 2 last 5 beats and the bar 4"),
        (["--chords", "C | G"], "chords in bars need a tempo"),
        (["--chords", "none.lab"], "none.lab: there is no such file of chords"),
        (["--chords", "bad.lab"], "bad.lab: line 2"),
        (["--chords", "none.mid"], "none.mid: there is no such MIDI file"),
        (["--chords", "drums.mid"], "no notes are in it"),
        (["--chords", "C | G | F | C", "--bpm", "60"], "the chords last 16.0 s and the mix 2.0 s"),
        (["--chords", "C", "--bpm", "12"], "the tempo is 12 bpm"),
        (["--key", "H minor"], "'H minor' is not a key"),
        (["--bpm", "120", "--meter", "waltz"], "'waltz' is not a meter"),
        (["--first-beat", "0.2"], "give --bpm with it"),
        (["--tuning", "200"], "the tuning is 200 cents; choose a value from -100 to 100"),
        (["--notes", "drums.mid"], "no notes are in it"),
        (["--notes", "none.mid"], "there is no such MIDI file"),
        (["--avoid-below", "H2"], "'H2' is not a note; write one such as E1"),
        (["--edit", "mix.wav", "--region", "bar:2-3"], "bar:2-3 needs a tempo; give --bpm"),
        (["--notes", "drums.mid", "--notes-region", "bar:3-2", "--bpm", "99"], "bar:3-2 is empty"),
        (["--edit", "mix.wav", "--region", "bar:0", "--bpm", "99"], "bar:0 is empty; bars count"),
        (["--key", "C", "--chord-strength", "2"], "chord_strength is 2.0"),
        (["--bass-lufs", "3"], "--bass-lufs is 3; choose a loudness from -60 to 0 LUFS"),
        (["--gain-db", "99"], "--gain-db is 99; choose a value from -40 to 40"),
        (["--gain-db", "3", "--vary", "mix.wav"], "leave out --bass-lufs and --gain-db"),
        (["--loop", "bars:2"], "--loop counts bars and needs a tempo"),
        (
            ["--loop", "bars:4", "--bpm", "120"],
            "4 bars from 0.00 s end at 8.00 s and the mix lasts",
        ),
        (["--quantise", "0.5"], "--quantise needs a tempo"),
        (["--quantise", "2", "--bpm", "120"], "--quantise is 2; choose a value from 0 to 1"),
        (["--bpm", "fast"], "'fast' is not a tempo; give beats a minute, a MIDI file, or auto"),
        (["--bpm", "none.mid"], "none.mid: there is no such MIDI file"),
        (["--bpm", "120", "--first-beat", "9"], "bar 1 begins at 9.0 s and the mix lasts 2.0 s"),
        (["--region", "bar:2-"], "--edit BASS and --region need each other"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(
    inside, mix, tmp_path, capsys, track, write_midi, words, expected
):
    (tmp_path / "bad.lab").write_text("0 1 C\n1 2 magic\n")
    write_midi(tmp_path / "drums.mid", [track(0, [36], is_drum=True)])
    before = sorted(tmp_path.iterdir())
    assert inside("generate", mix, *words) == 2
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if line.startswith("bassdiff: ")]
    assert expected in line
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("1.5:3", (1.5, 3.0)),
        ("bar:1", (0.5, 2.0)),
        ("bar:3-4", (3.5, 6.5)),
        ("bar:3-", (3.5, float("inf"))),
        ("2.5:", (2.5, float("inf"))),
    ],
)
def test_regions_in_seconds_and_in_bars(word, seconds):
    tempo = argparse.Namespace(bpm=120.0, first_beat_seconds=0.5, meter="3/4")
    assert region_seconds(region(word), tempo) == pytest.approx(seconds)


def test_a_loop_is_as_long_as_its_bars(inside, mix, tmp_path):
    words = ("generate", mix, "--steps", "2", "--bpm", "240", "--first-beat", "0.5")
    assert inside(*words, "--loop", "bars:1", "--chords", "C#m", "--midi", "--pedal", "0") == 0
    for name in ("mix-bass", "mix-bass-mixdown"):
        assert len(io.read(tmp_path / f"{name}.wav")) == 22050
    assert inside("generate", "--like", "mix-bass.wav", "--out", "again.wav") == 0
    first, again = (io.read(tmp_path / name) for name in ("mix-bass.wav", "again.wav"))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("word", ["bars:0", "bars:0.5", "bars:", "4"])
def test_less_than_a_bar_is_no_loop(inside, mix, capsys, word):
    with pytest.raises(SystemExit) as ended:
        inside("generate", mix, "--bpm", "120", "--loop", word)
    assert ended.value.code == 2
    assert "is not a loop; write how many whole bars it has" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["bar:", "bar:x", "1:2:3", "5", "a:b", "bar:1-2-3"])
def test_what_is_not_a_region_is_refused(word):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a region"):
        region(word)
