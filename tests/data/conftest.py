import numpy as np
import pretty_midi
import pytest

BEAT_SECONDS = 0.5


@pytest.fixture
def track():
    """Makes a track that plays one pitch a beat at 120 beats a minute."""

    def make(program, pitches, is_drum=False, name=""):
        instrument = pretty_midi.Instrument(program, is_drum=is_drum, name=name)
        instrument.notes = [
            pretty_midi.Note(100, pitch, i * BEAT_SECONDS, (i + 0.9) * BEAT_SECONDS)
            for i, pitch in enumerate(pitches)
        ]
        return instrument

    return make


@pytest.fixture
def write_midi():
    """Writes tracks as a MIDI file at 120 beats a minute."""

    def write(path, tracks):
        score = pretty_midi.PrettyMIDI(initial_tempo=120.0)
        score.instruments = list(tracks)
        score.write(str(path))
        return path

    return write


@pytest.fixture
def band(track):
    """Tracks of a four-beat song: bass, drums, piano."""
    return [
        track(33, [36, 43, 36, 43]),
        track(0, [36, 38, 36, 38], is_drum=True),
        track(0, [60, 64, 67, 64]),
    ]


@pytest.fixture
def write_lead_sheet(track, write_midi):
    """A folder as in POP909: sixteen bars, a quarter of them for each chord."""

    def write(folder, labels=("F:maj/5", "N", "D:min", "C:7"), lasting=64):
        folder.mkdir(parents=True)
        tracks = [
            track(0, [72, 74, 76, 77] * (lasting // 4), name="MELODY"),
            track(0, [40, 60, 64, 67] * (lasting // 4), name="PIANO"),
        ]
        write_midi(folder / f"{folder.name}.mid", tracks)
        beats = np.arange(lasting + 1) * BEAT_SECONDS
        rows = [f"{t} {float(i % 2 == 0)} {float(i % 4 == 0)}" for i, t in enumerate(beats)]
        (folder / "beat_midi.txt").write_text("\n".join(rows))
        edges = np.linspace(0.0, beats[-1], len(labels) + 1)
        rows = [f"{a}\t{b}\t{c}" for a, b, c in zip(edges[:-1], edges[1:], labels, strict=True)]
        (folder / "chord_midi.txt").write_text("\n".join(rows) + "\n")
        return folder

    return write
