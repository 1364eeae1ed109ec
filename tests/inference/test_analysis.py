"""Tuning and chords that are estimated from the mix, shown, and imposed only if asked."""

import numpy as np
import pytest

from bassdiff.inference.analysis import listened, resolved
from bassdiff.inference.control import AUTO, Control
from bassdiff.runtime.errors import InputError

RATE = 44100


@pytest.fixture(scope="module")
def wave():
    """C and then F, 40 cents sharp."""
    time = np.arange(3 * RATE) / RATE
    chords = [
        sum(
            0.1 / n * np.sin(2 * np.pi * n * time * 440.0 * 2.0 ** ((note + 0.4 - 69) / 12))
            for note in (root, root + 4, root + 7, root + 12)
            for n in range(1, 7)
        )
        for root in (48, 53)
    ]
    return np.concatenate(chords).astype(np.float32)


def test_open_choices_are_resolved(wave):
    control = resolved(Control(chords=AUTO), wave)
    assert control.tuning_cents == pytest.approx(40.0, abs=3.0)
    assert [chord.name for chord in control.chord_segments()] == ["C", "F"]
    assert resolved(Control(tuning_cents=0.0), wave).tuning_cents == 0.0
    noise = np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    assert resolved(Control(chords=AUTO), noise).chords is None


def test_they_are_shown_and_chords_are_not_imposed(wave, capsys):
    control, heard = listened(Control(), wave[:, None], RATE)
    assert control.chords is None and [name for _, _, name in heard.chords] == ["C", "F"]
    said = capsys.readouterr().err
    assert "cents sharp: A = 450." in said
    assert "chords of the mix, estimated, from seconds: C 0.0, F 3." in said
    control, heard = listened(Control(chords=AUTO), wave[:, None], RATE)
    assert len(control.chord_segments()) == 2 and not heard.chords
    _, heard = listened(Control(chords=[(0.0, 6.0, "C")]), wave[:, None], RATE)
    assert not heard.chords


def test_beats_are_shown_and_imposed_only_if_asked(capsys):
    time = np.arange(12 * RATE) / RATE
    clicks = np.sin(2 * np.pi * 300 * time) * np.exp(-30 * ((time - 0.2) % 0.5))
    mix = np.where(time < 0.2, 0.0, clicks).astype(np.float32)[:, None]
    control, heard = listened(Control(), mix, RATE)
    assert control.grid is None and heard.grid.bpm == pytest.approx(120.0, rel=0.01)
    assert "tempo of the mix, estimated: 120.0 bpm" in capsys.readouterr().err
    control, heard = listened(Control(bpm=AUTO, meter="3/4"), mix, RATE)
    assert control.grid.beats_per_bar == 3 and heard.grid is None
    assert control.described()["tempo"]["bpm"] == pytest.approx(120.0, abs=0.5)
    beats = control.grid.beats_until(11.9)
    assert np.abs((beats - 0.2 + 0.25) % 0.5 - 0.25).max() < 0.03
    control, heard = listened(Control(bpm=99.0), mix, RATE)
    assert control.grid.bpm == pytest.approx(99.0) and heard.grid is None
    with pytest.raises(InputError, match="no pulse is heard"):
        listened(Control(bpm=AUTO), np.zeros((5 * RATE, 1), np.float32), RATE)
