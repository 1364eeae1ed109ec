import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bassdiff.data.separation import STEMS

SEPARATED_SAMPLES = 20_000
MODULE_ROWS = 64


@pytest.fixture
def tracker_module():
    """Makes the bytes of a module of three samples, 7.7 s a pattern.

    A bass plays C, D, F and G on channel 1, a noise hits on channel 2, a melody plays on channel 3.
    """

    def make(num_patterns=4):
        time = np.arange(128) / 128
        waves = [
            100 * np.sin(2 * np.pi * time),
            np.random.default_rng(0).uniform(-100, 100, 1200),
            60 * np.sin(2 * np.pi * 4 * time),
        ]
        head = b"song".ljust(20, b"\0")
        for wave, loops in zip(waves, (True, False, True), strict=True):
            words = len(wave) // 2
            repeat = (0, words) if loops else (0, 1)
            head += struct.pack(">22sHBBHH", b"thanks to all", words, 0, 64, *repeat)
        head += struct.pack(">22sHBBHH", b"", 0, 0, 0, 0, 1) * 28
        head += bytes([num_patterns, 127]) + bytes(128) + b"M.K."
        pattern = bytearray(MODULE_ROWS * 4 * 4)
        # The periods of C, D, F and G: a sample of 128 values sounds at 65 to 97 Hz with them.
        periods = (428, 381, 320, 285)
        for row in range(MODULE_ROWS):
            played = ((0, 1, row % 4 == 0), (1, 2, row % 2 == 0), (2, 3, row % 8 == 4))
            for channel, sample, begins in played:
                if begins:
                    period = periods[row // 4 % 4 if sample != 2 else 0]
                    place = (row * 4 + channel) * 4
                    note = bytes([period >> 8, period & 255, sample << 4, 0])
                    pattern[place : place + 4] = note
        sounds = b"".join(wave.astype(np.int8).tobytes() for wave in waves)
        return head + bytes(pattern) + sounds

    return make


@pytest.fixture
def separator_graph(tmp_path):
    """Writes a network of two matrices a stem: of the waveform's channels and the spectrum's."""

    def write(waves, spectra, is_complex=False, num_frames=-(-SEPARATED_SAMPLES // 1024)):
        no_wave, no_spectrum = np.zeros((2, 2)), np.zeros((4, 4))
        halves = np.eye(1 if is_complex else 2)
        constants = {
            "waves": np.stack([waves.get(stem, no_wave) for stem in STEMS])[None],
            "spectra": np.stack(
                [
                    np.kron(spectra[stem], halves) if stem in spectra else no_spectrum
                    for stem in STEMS
                ]
            )[None],
            "rows": [1, 1, 4, -1],
            "shape": [1, 4, 4, 2048, num_frames],
            "channels": [1, 1, 2, SEPARATED_SAMPLES],
        }
        nodes = [
            helper.make_node("Reshape", ["spectrum", "rows"], ["flat"]),
            helper.make_node("MatMul", ["spectra", "flat"], ["mixed"]),
            helper.make_node("Reshape", ["mixed", "shape"], ["out_spectra"]),
            helper.make_node("Reshape", ["wave", "channels"], ["two"]),
            helper.make_node("MatMul", ["waves", "two"], ["out_waves"]),
        ]
        graph = helper.make_graph(
            nodes,
            "separator",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in (
                    ("wave", [1, 2, SEPARATED_SAMPLES]),
                    ("spectrum", [1, 4, 2048, num_frames]),
                )
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                for name in ("out_spectra", "out_waves")
            ],
            [
                numpy_helper.from_array(
                    np.asarray(value, np.int64 if isinstance(value, list) else np.float32), name
                )
                for name, value in constants.items()
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / "separator.onnx"
        onnx.save(model, path)
        return path

    return write
