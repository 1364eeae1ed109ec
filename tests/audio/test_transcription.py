"""Notes of lines that are known: where they begin, what they are, how loud."""

import itertools

import numpy as np
import pytest

from bassdiff.audio.transcription import transcribe

RATE_HZ = 44100


def line(notes, seconds, decay=3.0):
    """A plucked bass: (start, length, MIDI number, level) each."""
    wave = np.zeros(round(seconds * RATE_HZ), np.float32)
    for start, length, pitch, level in notes:
        time = np.arange(round(length * RATE_HZ)) / RATE_HZ
        hz = 440.0 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * k * hz * time + k) / k**1.3 for k in range(1, 9))
        shape = np.minimum(time / 0.004, 1.0) * np.exp(-decay * time)
        shape *= np.minimum((length - time) / 0.02, 1.0)
        begin = round(start * RATE_HZ)
        wave[begin : begin + len(time)] += (level * tone * shape).astype(np.float32)
    return wave


def walking(rng, count=32):
    """Eighths and quarters, repeated notes, leaps and rests, as basses play them."""
    notes, now = [], 0.2
    for _ in range(count):
        length = float(rng.choice([0.22, 0.25, 0.5]))
        pitch = int(rng.choice([28, 33, 35, 38, 40, 43]))
        if notes and rng.uniform() < 0.3:
            pitch = notes[-1][2]
        notes.append((now, length - 0.01, pitch, float(rng.choice([0.3, 0.2]))))
        now += length + (0.25 if rng.uniform() < 0.2 else 0.0)
    return notes, now + 0.3


@pytest.mark.parametrize("seed", range(4))
def test_notes_of_a_walking_line(seed):
    notes, seconds = walking(np.random.default_rng(seed))
    found = transcribe(line(notes, seconds), RATE_HZ)
    matched, used = 0, set()
    for start, _, pitch, _ in notes:
        for number, note in enumerate(found):
            near = abs(note.start_seconds - start) <= 0.05
            if number not in used and near and abs(note.pitch - pitch) < 0.5:
                used.add(number)
                matched += 1
                break
    assert 2 * matched / (len(notes) + len(found)) >= 0.9
    assert all(a.end_seconds <= b.start_seconds for a, b in itertools.pairwise(found))


def test_louder_notes_have_higher_velocities():
    found = transcribe(line([(0.1, 0.4, 33, 0.3), (0.6, 0.4, 38, 0.03)], 1.2), RATE_HZ)
    assert len(found) == 2
    assert found[0].velocity == 127
    assert 127 * (1 - 24 / 42) < found[1].velocity < 127 * (1 - 16 / 42)


def test_detuning_is_told(seconds=1.0):
    (note,) = transcribe(line([(0.1, 0.8, 33.3, 0.3)], seconds), RATE_HZ)
    assert note.pitch == pytest.approx(33.3, abs=0.05)


@pytest.mark.parametrize("num_samples", [1, RATE_HZ])
def test_silence_has_no_notes(num_samples):
    assert transcribe(np.zeros(num_samples, np.float32), RATE_HZ) == []
