import numpy as np
import pytest
import soundfile

from bassdiff.audio.io import SAMPLE_RATE_HZ

SECONDS = 3.0


def tone(*pitches, seconds=SECONDS, level=0.1):
    """The sum of sines at MIDI pitches."""
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    waves = [np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) for pitch in pitches]
    return (level * np.sum(waves, axis=0)).astype(np.float32)


@pytest.fixture
def write_song():
    """Writes the stems of one song, as float so that nothing clips on the way."""

    def write(folder, **stems):
        folder.mkdir(parents=True)
        for name, samples in stems.items():
            soundfile.write(folder / f"{name}.wav", samples, SAMPLE_RATE_HZ, "FLOAT")

    return write


@pytest.fixture
def songs(tmp_path, write_song):
    """Five songs: sound, silent bass, unequal lengths, clipping, truncated."""
    root = tmp_path / "songs"
    keys = tone(60, 64, 67)
    write_song(root / "a-sound", bass=tone(36), keys=keys, drums=tone(90, level=0.01))
    write_song(root / "b-silent", bass=0 * tone(36), keys=keys)
    write_song(root / "c-short", bass=tone(36, seconds=SECONDS - 0.5), keys=keys)
    write_song(root / "d-clipped", bass=np.clip(tone(36, level=2.0), -1, 1), keys=keys)
    write_song(root / "e-<b>broken", bass=tone(36), keys=keys)
    path = root / "e-<b>broken" / "keys.wav"
    path.write_bytes(path.read_bytes()[:-5000])
    return root
