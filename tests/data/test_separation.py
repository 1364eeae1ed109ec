"""Blocks come apart, and together again, as the network says."""

import numpy as np
import pytest

from bassdiff.data.separation import STEMS, Separator
from bassdiff.runtime.errors import InputError


def stereo(num_samples):
    """Noise without what no hearing needs: the highest frequency is not given back."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=(2, num_samples)))
    spectrum[:, int(0.98 * spectrum.shape[1]) :] = 0.0
    return (0.1 * np.fft.irfft(spectrum, num_samples)).astype(np.float32)


@pytest.mark.parametrize("num_samples", [900, 20_000, 30_001, 100_000])
def test_blocks_join_without_a_trace(separator_graph, num_samples):
    song = stereo(num_samples)
    waves = {"bass": np.diag([1.0, 0.0]), "other": np.diag([0.0, 1.0])}
    parts = Separator(separator_graph(waves, {})).separate(song)
    assert list(parts) == list(STEMS)
    np.testing.assert_allclose(parts["bass"], song[0] / 2, atol=1e-6)
    np.testing.assert_allclose(parts["other"], song[1] / 2, atol=1e-6)
    assert not parts["drums"].any() and not parts["vocals"].any()


def test_what_waveforms_and_spectra_say_is_added(separator_graph):
    song = stereo(20_000)
    waves, spectra = (
        {"bass": np.diag([1.0, 0.0])},
        {"bass": np.diag([0.0, 1.0]), "drums": np.eye(2)},
    )
    parts = Separator(separator_graph(waves, spectra)).separate(song)
    # As in the network's own implementation, spectra say half of the outermost samples.
    inside = slice(2048, -2048)
    for stem in ("bass", "drums"):
        np.testing.assert_allclose(parts[stem][inside], song.mean(axis=0)[inside], atol=2e-4)


def test_the_imaginary_part_is_heard_as_one(separator_graph):
    """A quarter turn of every frequency: a sine becomes a cosine, less 2 % where blocks join."""
    turn = np.kron(np.eye(2), [[0.0, -1.0], [1.0, 0.0]])
    time = np.arange(40_000) / 44100
    sine = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    path = separator_graph({}, {"vocals": turn}, is_complex=True)
    turned = Separator(path).separate(np.stack([sine, sine]))["vocals"]
    inside = slice(4096, -4096)
    np.testing.assert_allclose(turned[inside], np.cos(2 * np.pi * 440 * time)[inside], atol=0.025)


def test_silence_stays_silent(separator_graph):
    parts = Separator(separator_graph({"bass": np.eye(2)}, {})).separate(np.zeros((2, 50_000)))
    assert all(np.all(audio == 0.0) for audio in parts.values())


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_bytes(b"no graph"), "is not a runnable ONNX file"),
        (lambda path: path.unlink(), "is not a runnable ONNX file"),
    ],
)
def test_what_is_no_graph_is_refused(separator_graph, spoil, sentence):
    path = separator_graph({}, {})
    spoil(path)
    with pytest.raises(InputError, match=f"separator.onnx: {sentence}"):
        Separator(path)


def test_a_graph_that_takes_something_else_is_refused(separator_graph):
    with pytest.raises(InputError, match=r"takes \[\[1, 2, 20000\], \[1, 4, 2048, 7\]\]; a separ"):
        Separator(separator_graph({}, {}, num_frames=7))
