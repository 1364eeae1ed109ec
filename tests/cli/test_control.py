"""What a musician decides, on the command line: heard, or refused in one sentence."""

import numpy as np
import pytest

from bassdiff.audio import io

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
        (["--chords", "C | H7", "--bpm", "120"], "'H7' in bar 2, character 5, which is no chord"),
        (["--chords", "C | G:3 A:2", "--bpm", "120"], "bar 2 last 5 beats and the bar 4"),
        (["--chords", "C | G"], "chords in bars need a tempo"),
        (["--chords", "none.lab"], "none.lab: there is no such file of chords"),
        (["--chords", "bad.lab"], "bad.lab: line 2"),
        (["--chords", "none.mid"], "none.mid: there is no such MIDI file"),
        (["--chords", "drums.mid"], "no notes are in it"),
        (["--chords", "C | G | F | C", "--bpm", "60"], "the chords last 16.0 s and the mix 2.0 s"),
        (["--chords", "C", "--bpm", "12"], "the tempo is 12 bpm"),
        (["--key", "H minor"], "'H minor' is no key"),
        (["--bpm", "120", "--meter", "waltz"], "'waltz' is no meter"),
        (["--first-beat", "0.2"], "give --bpm with it"),
        (["--tuning", "200"], "the tuning is 200 cents; choose a value from -100 to 100"),
        (["--notes", "drums.mid"], "no notes are in it"),
        (["--notes", "none.mid"], "there is no such MIDI file"),
        (["--avoid-below", "H2"], "'H2' is no note; write one such as E1"),
        (["--key", "C", "--chord-strength", "2"], "chord_strength is 2.0"),
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
