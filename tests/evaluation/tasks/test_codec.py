"""The codec beside Opus and a mel spectrum of its size."""

import numpy as np
import pytest

from bassdiff.evaluation.tasks.run import run
from bassdiff.inference.generator import BassGenerator
from bassdiff.pretrained.release import load_codecs
from bassdiff.pretrained.weights import save_codec

# Untrained weights may play louder than full scale.
pytestmark = pytest.mark.filterwarnings("default::UserWarning")


@pytest.fixture(scope="module")
def table(tmp_path_factory, request_of):
    return run("codec", request_of(tmp_path_factory.mktemp("c") / "e"), lambda items, _: items)


def test_everything_is_measured(table):
    assert [row.name for row in table.rows] == ["codec", "opus", "mel"]
    assert table.row("codec").kind == "system"
    for row in table.rows:
        for name in ("pitch_kept", "log_mel", "spectral", "frame_power", "chroma"):
            score = row.scores[name]
            assert np.isfinite(score.value), (row.name, name)
            assert len(score.per_clip) == 3
    # An untrained decoder is worse than what is commonly used, though its pitch code is exact.
    assert table.row("codec").scores["pitch_kept"].value < 0.8
    assert table.row("opus").scores["pitch_kept"].value > 0.9
    # Of what Griffin-Lim leaves without a pitch, no note can be measured.
    for name in ("hnr_loss", "attack_loss"):
        assert np.isfinite(table.row("opus").scores[name].value)
    assert table.row("opus").scores["log_mel"].value < table.row("codec").scores["log_mel"].value


def test_sizes_are_alike_and_told(table):
    assert table.about["values_per_second"] == 732
    assert table.about["bits_per_value"] == 16
    assert table.about["mix_values_per_second"] == 172
    assert table.row("opus").label == "Opus at 11.7 kbit/s"


def test_a_codec_that_changes_nothing_is_perfect(tmp_path, request_of, monkeypatch):
    monkeypatch.setattr(BassGenerator, "round_trip", lambda self, bass: bass)
    scores = run("codec", request_of(tmp_path / "e"), lambda items, _: items).row("codec").scores
    assert scores["pitch_kept"].value == 1.0
    assert scores["log_mel"].value == pytest.approx(0.0, abs=0.05)
    assert scores["frame_power"].value == pytest.approx(0.0, abs=0.05)


def test_a_mix_codec_without_a_decoder_is_not_heard(tmp_path, request_of, tiny_weights):
    for path in tiny_weights.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    codec, _ = load_codecs(tmp_path)
    alone = {"encoder": codec.params["encoder"]}
    path = tmp_path / "mix_codec.safetensors"
    save_codec(path, codec.model, alone, codec.mean, codec.std, codec.training)
    request = request_of(tmp_path / "e", weights=str(tmp_path))
    table = run("codec", request, lambda items, _: items)
    assert "chroma" not in {column.name for column in table.columns}
