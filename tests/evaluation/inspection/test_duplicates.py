"""A song is found again in another key, tempo and excerpt, and others are not."""

import json

import numpy as np
import pytest

from bassdiff.cli import main as cli
from bassdiff.evaluation.inspection.duplicates import THRESHOLD, find_duplicates
from bassdiff.evaluation.inspection.fingerprint import best_matches, fingerprint
from bassdiff.evaluation.inspection.measures import pitched_sum
from bassdiff.synthesis import render, songs


def course(rng, frames=120):
    """A fingerprint of noise, half of whose frames are like the one before."""
    values = rng.normal(size=(frames, 12))
    values[1::2] = values[::2]
    values -= values.mean(axis=1, keepdims=True)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def test_key_and_lag_are_read_off(rng):
    song, other = course(rng), course(rng)
    later = np.concatenate([course(rng, 10), np.roll(song, 5, axis=1)[:-10]])
    (found,) = best_matches([song], [song, later, np.roll(song[20:], -3, axis=1), other])
    assert found[0].similarity == pytest.approx(1, abs=1e-5)
    assert found[0][1:] == (0, 0.0, 1.0)
    assert found[1].similarity == pytest.approx(1, abs=1e-5)
    assert found[1][1:] == (5, 5.0, 1.0)
    assert found[2].similarity == pytest.approx(1, abs=1e-5)
    assert found[2][1:] == (-3, -10.0, 1.0)
    assert found[3].similarity < 0.4


def test_songs_of_a_few_frames_and_pauses_do_not_match_by_chance(rng):
    song, quiet = course(rng), course(rng)
    quiet[:-8] = 0
    (found,) = best_matches([song], [quiet, np.zeros((50, 12), np.float32)])
    assert [match.similarity for match in found] == [-1, -1]


def test_silence_has_an_empty_fingerprint():
    assert not fingerprint(np.zeros(44100, np.float32), 44100).any()


@pytest.fixture(scope="module")
def renderings():
    """Three songs of 24 s, each twice: another key, other instruments, 3 s cut from the start."""
    found = {}
    for index in range(3):
        song = songs.compose(index)
        found[index, 0] = render.render(song, seed=0, max_seconds=24)
        found[index, 1] = render.render(
            song, seed=1, transpose=index - 3, start_seconds=3, max_seconds=21
        )
    return found


class Set:
    def __init__(self, stems):
        self.stems = stems
        self.names = [song.name for song in stems]

    def __len__(self):
        return len(self.stems)

    def __getitem__(self, index):
        return self.stems[index]


def plain(items, label):
    return items


def test_another_rendering_of_a_song_is_found_and_no_other_song(renderings):
    first = Set([renderings[index, 0] for index in range(3)])
    second = Set([renderings[index, 1] for index in range(2)])
    report = find_duplicates(first, second, ("train", "validation"), plain)
    assert {(pair.first, pair.second) for pair in report.pairs} == {
        (first.names[index], first.names[index]) for index in range(2)
    }
    matches = {pair.first: pair.match for pair in report.pairs}
    for index, name in enumerate(second.names):
        assert matches[name].semitones == index - 3
        assert matches[name].lag_seconds == pytest.approx(-3, abs=0.6)
    assert report.quantiles["0.5"] < THRESHOLD < report.quantiles["1"]
    within = find_duplicates(Set([*first.stems, second.stems[0]]), None, ("all", "all"), plain)
    ((one, two),) = [(pair.first, pair.second) for pair in within.pairs]
    assert one == two == first.names[0]


def test_loudness_does_not_matter(renderings):
    stems = renderings[0, 0]
    loud = fingerprint(pitched_sum(stems), 44100)
    np.testing.assert_allclose(fingerprint(0.01 * pitched_sum(stems), 44100), loud, atol=1e-3)


def test_the_command_line_reports_and_gates(tmp_path, write_song, renderings, capsys):
    for place, name in enumerate(("one", "two", "three")):
        for part in (0, 1) if place == 0 else (0,):
            stems = renderings[place, part]
            write_song(tmp_path / ("ab"[part]) / f"{name}-{part}", bass=stems.bass, **stems.others)
    write_song(tmp_path / "b" / "silent", bass=np.zeros(44100), keys=np.zeros(44100))
    words = ["data", "duplicates", f"stems:{tmp_path / 'a'}", "--out", str(tmp_path / "out.json")]
    assert cli.main([*words, "--against", f"stems:{tmp_path / 'b'}"]) == 0
    said = capsys.readouterr().out
    assert "1 pairs of songs" in said and "one-0  one-1" in said
    assert "not compared: silent: nothing in it has a pitch" in said
    (pair,) = json.loads((tmp_path / "out.json").read_text())["pairs"]
    assert (pair["first"], pair["second"], pair["semitones"]) == ("one-0", "one-1", -3)
    assert cli.main([*words, "--against", f"stems:{tmp_path / 'b'}", "--fail"]) == 3
    assert "1 pairs of songs are in both" in capsys.readouterr().err
    # By default one split against the other, in which there are different songs.
    assert cli.main([*words, "--fail"]) == 0
    assert "of the validation split" in capsys.readouterr().out
    assert cli.main([*words[:-1], str(tmp_path / "none" / "out.json")]) == 2
