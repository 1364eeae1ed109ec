import os

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bassdiff.inference import picture
from bassdiff.inference.appearance import MAX_COLUMNS, appearance, spectrogram_db
from bassdiff.inference.chords import Chord
from bassdiff.inference.picture_marks import Marks, draw_marks, draw_note_names
from bassdiff.runtime.errors import InputError


def _sweep(seconds, rate_hz=22050):
    time_seconds = np.arange(int(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * 60 * time_seconds * (1 + time_seconds / 50))).astype(
        np.float32
    )


def _draw(samples, path, **how):
    shown = (appearance(samples, 22050, is_bass) for is_bass in (False, True))
    picture.draw(*shown, path, **how)


@pytest.mark.parametrize("seconds", [1, 24, 100])
def test_picture_has_one_size_for_every_length(tmp_path, seconds):
    path = tmp_path / "a.png"
    samples = _sweep(seconds)
    _draw(samples, path)
    assert matplotlib.image.imread(path).shape == (880, 1320, 4)
    assert os.listdir(tmp_path) == ["a.png"]


def test_spectrogram_shows_a_tone_where_it_sounds():
    seconds = np.arange(2 * 22050) / 22050
    tone = np.where(seconds < 1, np.sin(2 * np.pi * 200 * seconds), 0).astype(np.float32)
    image = spectrogram_db(tone, 22050, (50.0, 800.0))
    rows, columns = image.shape
    # 200 Hz lies halfway between 50 and 800 Hz on a logarithmic axis.
    loudest = image[:, : columns // 3].argmax(axis=0)
    assert np.abs(loudest - rows / 2).max() < rows / 40
    assert image[:, -columns // 3 :].max() < image.max() - 60


def test_thinned_spectrogram_keeps_a_click():
    samples = np.zeros(22050 * 300, np.float32)
    samples[22050 * 137 + 5] = 1
    image = spectrogram_db(samples, 22050, (50.0, 8000.0))
    assert image.shape[1] <= MAX_COLUMNS
    assert image.max(axis=0).argmax() == pytest.approx(image.shape[1] * 137 / 300, abs=2)
    assert image.max() > -20


def test_silence_and_a_single_sample_are_drawn(tmp_path):
    for num_samples in (1, 22050):
        silence = np.zeros(num_samples, np.float32)
        _draw(silence, tmp_path / "silence.png")
    image = matplotlib.image.imread(tmp_path / "silence.png")
    # The middle of each spectrogram is black, not a bright field.
    assert image[200, 600, :3].max() < 0.1 and image[500, 600, :3].max() < 0.1


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="create the folder first"):
        _draw(_sweep(1), tmp_path / "no" / "a.png")
    assert not os.listdir(tmp_path)


def _marked(path, seconds, marks):
    samples = _sweep(seconds)
    _draw(samples, path, marks=marks)
    return matplotlib.image.imread(path)


def test_bars_chords_and_a_region_are_marked(tmp_path):
    chords = [Chord(0.0, 10.0, "C", frozenset(), 0), Chord(10.0, 20.0, "G/B", frozenset(), 11)]
    plain = _marked(tmp_path / "plain.png", 20, None)
    for marks in (Marks([0.0, 5.0, 10.0]), Marks(chords=chords), Marks(region_seconds=(5.0, 10.0))):
        changed = np.abs(_marked(tmp_path / "marked.png", 20, marks) - plain).max(axis=2) > 0.05
        columns = np.flatnonzero(changed.any(axis=0))
        # The plots fill nearly all of the width.
        assert changed.mean() > 1e-4
        assert columns.max() < 0.62 * changed.shape[1]
    region = changed[150].mean()
    assert region == pytest.approx(0.25, abs=0.05)


def test_at_ten_minutes_the_marks_are_thinned():
    axes = [Axes(Figure(), (0, 0, 1, 1)) for _ in range(3)]
    chords = [Chord(2.0 * i, 2.0 * i + 2.0, "C", frozenset(), 0) for i in range(300)]
    draw_marks(axes, Marks([2.0 * i for i in range(300)], chords), 600.0)
    numbers = [int(text.get_text()) for text in axes[1].texts]
    assert numbers == list(range(1, 300, 8))
    names = [text.get_position()[0] for text in axes[0].texts]
    assert 20 < len(names) <= 37 and min(np.diff(names)) > 16.0
    few = [Axes(Figure(), (0, 0, 1, 1)) for _ in range(3)]
    draw_marks(few, Marks([0.0, 2.0], chords[:3]), 6.0)
    assert len(few[1].texts) == 2 and len(few[0].texts) == 3


def test_notes_have_their_names():
    axes = Axes(Figure(), (0, 0, 1, 1))
    draw_note_names(axes, (27.5, 200.0))
    (names,) = axes.child_axes
    shown = dict(
        zip([t.get_text() for t in names.get_yticklabels()], names.get_yticks(), strict=True)
    )
    assert list(shown) == ["C1", "G1", "C2", "G2", "C3", "G3"]
    assert 2.0 ** shown["C2"] == pytest.approx(65.41, abs=0.01)
