import os

import matplotlib.image
import numpy as np
import pytest

from bassdiff.inference import picture
from bassdiff.runtime.errors import InputError


def _sweep(seconds, rate_hz=22050):
    time_seconds = np.arange(int(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * 60 * time_seconds * (1 + time_seconds / 50))).astype(
        np.float32
    )


@pytest.mark.parametrize("seconds", [1, 24, 100])
def test_picture_has_one_size_for_every_length(tmp_path, seconds):
    path = tmp_path / "a.png"
    samples = _sweep(seconds)
    picture.draw(samples, samples, 22050, path)
    assert matplotlib.image.imread(path).shape == (880, 1320, 4)
    assert os.listdir(tmp_path) == ["a.png"]


def test_spectrogram_shows_a_tone_where_it_sounds():
    seconds = np.arange(2 * 22050) / 22050
    tone = np.where(seconds < 1, np.sin(2 * np.pi * 200 * seconds), 0).astype(np.float32)
    image = picture._spectrogram_db(tone, 22050, (50.0, 800.0))
    rows, columns = image.shape
    # 200 Hz lies halfway between 50 and 800 Hz on a logarithmic axis.
    loudest = image[:, : columns // 3].argmax(axis=0)
    assert np.abs(loudest - rows / 2).max() < rows / 40
    assert image[:, -columns // 3 :].max() < image.max() - 60


def test_thinned_spectrogram_keeps_a_click():
    samples = np.zeros(22050 * 300, np.float32)
    samples[22050 * 137 + 5] = 1
    image = picture._spectrogram_db(samples, 22050, (50.0, 8000.0))
    assert image.shape[1] <= picture._MAX_COLUMNS
    assert image.max(axis=0).argmax() == pytest.approx(image.shape[1] * 137 / 300, abs=2)
    assert image.max() > -20


def test_silence_and_a_single_sample_are_drawn(tmp_path):
    for num_samples in (1, 22050):
        silence = np.zeros(num_samples, np.float32)
        picture.draw(silence, silence, 22050, tmp_path / "silence.png")
    image = matplotlib.image.imread(tmp_path / "silence.png")
    # The middle of each spectrogram is black, not a bright field.
    assert image[200, 600, :3].max() < 0.1 and image[500, 600, :3].max() < 0.1


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="create the folder first"):
        picture.draw(_sweep(1), _sweep(1), 22050, tmp_path / "no" / "a.png")
    assert not os.listdir(tmp_path)
