"""Tuning and chords that are estimated from the mix, shown, and imposed only if asked."""

import numpy as np
import pytest

from bassdiff.inference.analysis import listened, resolved
from bassdiff.inference.control import AUTO, Control

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
    assert control.chords is None and [name for _, _, name in heard] == ["C", "F"]
    said = capsys.readouterr().err
    assert "cents sharp: A = 450." in said
    assert "chords of the mix, estimated, from seconds: C 0.0, F 3." in said
    control, heard = listened(Control(chords=AUTO), wave[:, None], RATE)
    assert len(control.chord_segments()) == 2 and not heard
    _, heard = listened(Control(chords=[(0.0, 6.0, "C")]), wave[:, None], RATE)
    assert not heard
