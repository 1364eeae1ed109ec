"""What an instrument is, by its sound first."""

import numpy as np
import pytest

from bassdiff.data.roles import Sound, heard, is_bass, is_drum

RATE_HZ = 44100


def tones(midi, seconds=8.0, note_seconds=0.5):
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    notes = np.asarray(midi, float)[(time / note_seconds).astype(int) % len(midi)]
    phase = np.cumsum(440.0 * 2 ** ((notes - 69) / 12)) / RATE_HZ
    return 0.2 * (np.sin(2 * np.pi * phase) + 0.5 * np.sin(4 * np.pi * phase)).astype(np.float32)


def test_a_bass_line_is_heard_as_it_is():
    line = tones([33, 38])
    line[len(line) // 2 :] = 0.0
    sound = heard(line)
    assert sound.sounds == pytest.approx(0.5, abs=0.02)
    assert sound.pitched > 0.9
    assert (sound.lowest, sound.highest) == pytest.approx((33.0, 38.0), abs=0.1)
    assert sound.run_frames > 30
    assert is_bass(sound, "")
    assert not is_drum(sound, "")


def test_silence_is_nothing():
    assert heard(np.zeros(RATE_HZ, np.float32)) == Sound(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert heard(np.zeros(0, np.float32)).sounds == 0.0


@pytest.mark.parametrize(
    ("wave", "why"),
    [
        (tones([57, 60, 64]), "high"),
        (tones([33]), "one note"),
        (tones([33, 38]) + tones([37, 41]) + tones([40, 45]), "chords"),
        (np.random.default_rng(0).normal(size=8 * RATE_HZ).astype(np.float32), "noise"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_bass(wave, why):
    assert not is_bass(heard(wave), "")


LOW = Sound(0.8, 0.8, 30.0, 34.0, 40.0, 20.0)


@pytest.mark.parametrize(
    ("sound", "name", "bass", "drum"),
    [
        (LOW, "", True, False),
        (LOW, "BassDrum 3", False, True),
        (LOW, "Kick", False, True),
        (LOW, "Chord.Minor", False, False),
        (Sound(0.8, 0.55, 30.0, 34.0, 40.0, 20.0), "", False, False),
        (Sound(0.8, 0.55, 30.0, 34.0, 55.0, 20.0), "fretless", True, False),
        (Sound(0.3, 0.6, 30.0, 30.5, 31.0, 12.0), "", False, True),
        (Sound(0.3, 0.1, 60.0, 60.5, 61.0, 4.0), "", False, True),
    ],
)
def test_sound_decides_and_names_help(sound, name, bass, drum):
    assert (is_bass(sound, name), is_drum(sound, name)) == (bass, drum)
