"""Beats and bars as the tempo map of a MIDI file, and back."""

import numpy as np
import pretty_midi
import pytest

from bassdiff.audio.transcription import BassNote
from bassdiff.inference.tempo import given_grid
from bassdiff.synthesis.midi import bass_track
from bassdiff.synthesis.tempo_map import tempo_map


@pytest.mark.parametrize(
    ("beats", "first_bar", "per_bar"),
    [
        (np.arange(16) * 0.5, 0, 4),
        (0.35 + np.arange(16) * 0.48, 2, 4),
        (0.8 + np.cumsum(np.linspace(0.4, 0.6, 15)), 1, 3),
    ],
)
def test_bars_and_notes_are_where_they_were(tmp_path, beats, first_bar, per_bar):
    notes = [BassNote(float(beats[3]), float(beats[5]), 40.0, 90)]
    path = tmp_path / "bass.mid"
    bass_track(notes, tempo_map(beats, first_bar, per_bar)).write(str(path))
    back = pretty_midi.PrettyMIDI(str(path))
    # pretty_midi's own beats are approximate where the tempo changes.
    lead = round(back.time_to_tick(beats[0]) / 480)
    ticks = [(lead + number) * 480 for number in range(len(beats))]
    np.testing.assert_allclose([back.tick_to_time(tick) for tick in ticks], beats, atol=2e-3)
    signature = back.time_signature_changes[-1]
    assert signature.numerator == per_bar
    assert (lead + first_bar - round(back.time_to_tick(signature.time) / 480)) % per_bar == 0
    assert back.instruments[0].notes[0].start == pytest.approx(beats[3], abs=2e-3)


def test_a_grid_comes_from_a_tempo_map(tmp_path):
    beats = np.concatenate([np.arange(8) * 0.5, 4.0 + np.arange(9) * 0.4])
    path = tmp_path / "song.mid"
    bass_track([BassNote(0.0, 7.0, 40.0, 90)], tempo_map(beats, 0, 4)).write(str(path))
    grid = given_grid(path)
    assert grid.beats_per_bar == 4
    np.testing.assert_allclose([grid.seconds(n) for n in range(20)][:17], beats, atol=2e-3)
    # After the last change the tempo stays.
    assert grid.seconds(20) == pytest.approx(4.0 + 12 * 0.4, abs=5e-3)
    assert given_grid(path, 0.3, "3/4").bar_seconds(1) == pytest.approx(1.8, abs=2e-3)


def test_without_beats_there_is_no_map():
    assert tempo_map([0.5], 0, 4).get_tempo_changes()[1] == pytest.approx([120.0])
