import numpy as np
import pytest

from bassdiff import examples
from bassdiff.audio import io, loudness


def test_example_is_a_short_audible_mix():
    path = examples.example_mix()
    assert path.stat().st_size < 1_000_000
    info = io.probe(path)
    assert info.sample_rate_hz == io.SAMPLE_RATE_HZ
    assert info.num_samples == examples.DURATION_SECONDS * io.SAMPLE_RATE_HZ
    samples = io.read_mono(path)
    assert loudness.loudness_lufs(samples, io.SAMPLE_RATE_HZ) == pytest.approx(-16.0, abs=0.3)
    assert np.abs(samples).max() < 1.0
    blocks = samples[: 22 * io.SAMPLE_RATE_HZ].reshape(22, -1)
    assert blocks.std(axis=1).min() > 0.03


def test_example_is_what_its_command_makes(tmp_path):
    examples.make_mix(tmp_path / "mix.wav")
    made, shipped = io.read_mono(tmp_path / "mix.wav"), io.read_mono(examples.example_mix())
    assert made.shape == shipped.shape
    # Vorbis keeps the waveform of what matters.
    assert np.corrcoef(made, shipped)[0, 1] > 0.95
