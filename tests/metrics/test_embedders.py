import hashlib
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bassdiff.metrics.embedders import LogMel, open_embedder
from bassdiff.metrics.front_ends import (
    WINDOW_SECONDS,
    clap_features,
    mert_features,
    vggish_features,
)
from bassdiff.runtime.errors import InputError

RATE_HZ = 44100
CLIP_SECONDS = 12.0
SHAPES = {
    "vggish": (["n", 1, 96, 64], ["n", 96, 64, 1], ["n", 96, 64], [1, 1, 96, 64], list("nabc")),
    "clap": (["n", 1, 1001, 64], [1, 1, 1001, 64], ["n", None, None, 64]),
    "mert": (["n", "samples"], [1, 142663]),
}


def _tone(hz, seconds=CLIP_SECONDS, level=0.3):
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(
        np.float32
    )


def _save(path, shape, output_shape, kind=TensorProto.FLOAT, num_inputs=1):
    """A graph that hands out the first numbers of its input in another shape."""
    size = int(np.prod(output_shape))
    constants = {"start": [0], "stop": [size], "flat": [-1], "shape": output_shape}
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["line"]),
        helper.make_node("Slice", ["line", "start", "stop"], ["first"]),
        helper.make_node("Reshape", ["first", "shape"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "first",
        [helper.make_tensor_value_info(name, kind, shape) for name in "xabc"[:num_inputs]],
        [helper.make_tensor_value_info("y", kind, None)],
        [
            numpy_helper.from_array(np.array(value, np.int64), name)
            for name, value in constants.items()
        ],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("kind", "shape"), [(kind, shape) for kind, shapes in SHAPES.items() for shape in shapes]
)
def test_graphs_are_fed_in_the_shape_they_take(tmp_path, kind, shape):
    features = {"vggish": vggish_features, "clap": clap_features, "mert": mert_features}[kind]
    path = _save(tmp_path / "net.onnx", shape, [1, 70])
    bass = _tone(55) + _tone(3000, level=0.01)
    embedded = open_embedder(f"{kind}:{path}").sound(bass)
    assert embedded.dtype == np.float32
    assert len(embedded) == {"vggish": 12, "clap": 1, "mert": 2}[kind]
    np.testing.assert_array_equal(
        embedded, features(bass).reshape(len(embedded), -1)[:, :70], strict=True
    )


def test_frames_are_averaged(tmp_path):
    path = _save(tmp_path / "net.onnx", ["n", "samples"], [1, 3, 2])
    bass = _tone(200)
    first = mert_features(bass)[:, :6].reshape(-1, 3, 2)
    embedded = open_embedder(f"mert:{path}").sound(bass)
    np.testing.assert_allclose(embedded, first.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("which", ["log_mel", "vggish", "clap", "mert"])
def test_a_pair_is_heard_as_its_sum(tmp_path, which):
    if which != "log_mel":
        path = _save(tmp_path / "net.onnx", SHAPES[which][0], [1, 64])
        which = f"{which}:{path}"
    embedder = open_embedder(which)
    mix, bass = _tone(400, 11), _tone(55, 11)
    pair = embedder.pair(mix, bass)
    np.testing.assert_array_equal(pair, embedder.sound(mix + bass))
    assert np.abs(pair - embedder.sound(mix)).max() > 1e-3
    with pytest.raises(ValueError, match="differ in length"):
        embedder.pair(mix, bass[:-1])


def test_names_tell_files_apart(tmp_path):
    path = _save(tmp_path / "net.onnx", ["n", "samples"], [1, 2])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert open_embedder(f"mert:{path}").name == f"mert:net-{digest[:8]}"
    # Weights kept beside the graph, as large exports do, are a part of it.
    (tmp_path / "net.onnx.data").write_bytes(b"weights")
    digest = hashlib.sha256(path.read_bytes() + b"weights").hexdigest()
    assert open_embedder(f"mert:{path}").name == f"mert:net-{digest[:8]}"
    assert open_embedder("log_mel").name == "log_mel"


def _htk_mel(hz):
    return 1127 * np.log(1 + np.asarray(hz) / 700)


@pytest.mark.parametrize("hz", [200, 1000, 5000])
def test_vggish_hears_a_tone_in_its_band(hz):
    centres = np.linspace(_htk_mel(125), _htk_mel(7500), 66)[1:-1]
    patches = vggish_features(_tone(hz))
    assert patches.shape == (12, 96, 64)
    nearest = np.abs(centres - _htk_mel(hz)).argmin()
    assert (np.abs(patches.argmax(axis=2) - nearest) <= 1).all()
    # The window keeps the tone out of bands far away.
    assert patches[:, :, np.abs(np.arange(64) - nearest) > 20] == pytest.approx(-4.6, abs=0.1)
    # Magnitudes and a natural logarithm: ten times as loud is ln(10) more.
    louder = vggish_features(_tone(hz, level=3)).max() - patches.max()
    assert louder == pytest.approx(np.log(10), abs=0.01)
    assert vggish_features(np.zeros(RATE_HZ)) == pytest.approx(np.log(0.01))


def test_vggish_patches_follow_one_another_without_a_gap():
    """A click in the middle of frame 3 of the third patch is there and nowhere else."""
    signal = np.zeros(4 * RATE_HZ)
    signal[round((2 * 96 + 3) * 0.01 * RATE_HZ) + round(0.0125 * RATE_HZ)] = 1
    energy = vggish_features(signal).max(axis=2)
    assert np.unravel_index(energy.argmax(), energy.shape) == (2, 3)


def _slaney_mel(hz):
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


@pytest.mark.parametrize("hz", [440, 3000])
def test_clap_hears_a_tone_in_its_band(hz):
    centres = np.linspace(_slaney_mel(50), _slaney_mel(14000), 66)[1:-1]
    windows = clap_features(_tone(hz))
    assert windows.shape == (1, 1, 1001, 64)
    nearest = np.abs(centres - _slaney_mel(hz)).argmin()
    assert (windows[0, 0, 5:-5].argmax(axis=1) == nearest).all()
    louder = clap_features(_tone(hz, level=3)).max() - windows.max()
    assert louder == pytest.approx(20, abs=0.01)
    assert clap_features(np.zeros(RATE_HZ)) == pytest.approx(-100)


def test_clap_repeats_what_is_short():
    """Three seconds fit three times into ten; the rest is silence."""
    frames = clap_features(_tone(440, 3))[0, 0].max(axis=1)
    assert frames[5:895].min() > 0
    assert frames[905:] == pytest.approx(-100)


def test_mert_gets_normalised_samples_at_24_khz():
    windows = mert_features(_tone(3000) + 0.2)
    assert windows.shape == (2, 142663)
    np.testing.assert_allclose(windows.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(windows.std(axis=1), 1, atol=1e-4)
    spectrum = np.abs(np.fft.rfft(windows[1]))
    assert np.fft.rfftfreq(142663, 1 / 24000)[spectrum.argmax()] == pytest.approx(3000, abs=1)
    assert not mert_features(np.zeros(RATE_HZ)).any()


@pytest.mark.parametrize(
    ("seconds", "counts"),
    [
        (0.0, (1, 1, 1, 1)),
        (3.0, (1, 3, 1, 1)),
        (4 * WINDOW_SECONDS, (4, 24, 2, 4)),
        (4 * WINDOW_SECONDS - 0.01, (3, 24, 2, 3)),
    ],
)
def test_windows_are_whole_but_for_a_lone_one(seconds, counts):
    signal = np.zeros(round(seconds * RATE_HZ), np.float32)
    embed = LogMel().sound, vggish_features, clap_features, mert_features
    assert tuple(len(function(signal)) for function in embed) == counts


def test_log_mel_tells_tones_and_their_liveliness_apart():
    embedded = LogMel().sound(_tone(100))
    assert embedded.shape == (2, 128) and embedded.dtype == np.float32
    low, high = embedded[0, :64], LogMel().sound(_tone(4000))[0, :64]
    assert low.argmax() < 5 and 35 < high.argmax() < 50
    # Nearly all power in one band of 64 is 64 times the mean.
    assert low.max() == pytest.approx(1 + np.log10(64) / 4, abs=0.1)
    gate = np.arange(len(_tone(100))) % RATE_HZ < RATE_HZ / 2
    steady, pulsing = embedded[0, 64:], LogMel().sound(_tone(100) * gate)[0, 64:]
    assert steady.max() < 0.05
    assert pulsing[low.argmax()] > 0.5


def test_log_mel_does_not_mind_the_level_but_rests(rng):
    noise = rng.normal(size=round(3 * WINDOW_SECONDS * RATE_HZ)).astype(np.float32)
    noise[-len(noise) // 3 :] *= 0.01
    embedded = LogMel().sound(noise)
    np.testing.assert_allclose(LogMel().sound(1e-3 * noise), embedded, atol=1e-5)
    # The last window is 40 dB below the others, which is one unit.
    assert (embedded[0] - embedded[2])[:64] == pytest.approx(1, abs=0.05)
    assert 0.5 < np.abs(embedded[0, :64]).mean() < 2
    assert np.isfinite(LogMel().sound(np.zeros(1000))).all()


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("vgg:net.onnx", "vgg:net.onnx: no such embedder; name one of log_mel, vggish, clap, mert"),
        ("log_mel:net.onnx", "log_mel takes no file; leave it out"),
        ("clap", "clap: needs its network; name it as clap:FILE.onnx"),
        ("clap:nowhere/net.onnx", r"nowhere/net.onnx: cannot be read \(No such file"),
        ("mert:/", r"/: cannot be read \(Is a directory\); check the path"),
    ],
)
def test_bad_names_are_explained(which, message):
    with pytest.raises(InputError, match=message):
        open_embedder(which)


def test_files_that_are_no_graphs_are_refused(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"not a graph")
    with pytest.raises(InputError, match=r"net\.onnx: is not a runnable ONNX file"):
        open_embedder(f"clap:{tmp_path / 'net.onnx'}")


@pytest.mark.parametrize(
    ("kind", "graph", "message"),
    [
        ("clap", {"shape": ["n", 1001, 64]}, r"shape \['n', 1001, 64\]; .* \[n, 1, 1001, 64\]"),
        ("vggish", {"shape": ["n", 96, 128]}, r"\[n, 96, 64\] or \[n, 1, 96, 64\] or"),
        ("vggish", {"shape": [8, 96, 64]}, r"takes tensor\(float\) of shape \[8, 96, 64\]"),
        ("mert", {"shape": ["n", 80000]}, r"with float32 of shape \[n, 142663\]"),
        ("mert", {"shape": ["n", "s"], "kind": TensorProto.DOUBLE}, r"takes tensor\(double\)"),
        ("mert", {"shape": ["n", "s"], "num_inputs": 2}, "has 2 inputs; export it with one"),
        ("mert", {"shape": ["n", "s"], "output_shape": [6]}, "first output has 1 axes"),
        ("mert", {"shape": ["n", "s"], "output_shape": [400, 400]}, "fails on a silent window"),
    ],
)
def test_graphs_that_do_not_fit_are_refused(tmp_path, kind, graph, message):
    path = _save(tmp_path / "net.onnx", **{"output_shape": [1, 2], **graph})
    with pytest.raises(InputError, match=message) as raised:
        open_embedder(f"{kind}:{path}")
    assert str(raised.value).startswith(f"{path}: ")


def test_a_missing_onnxruntime_is_named(tmp_path, monkeypatch):
    path = _save(tmp_path / "net.onnx", ["n", "s"], [1, 2])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime, .* pip install 'bassdiff\[embedders\]'"):
        open_embedder(f"mert:{path}")
    open_embedder("log_mel")
