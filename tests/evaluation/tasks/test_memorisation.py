"""Planted copies of training basses are found, and unseen basses are not taken for copies."""

import json

import numpy as np
import pytest

from bassdiff.data.latents import HOP, latent_fields
from bassdiff.data.sources import open_source
from bassdiff.data.store import Store
from bassdiff.data.store_building import build
from bassdiff.evaluation.tasks.context import MODEL
from bassdiff.evaluation.tasks.memorisation import open_training
from bassdiff.evaluation.tasks.run import run
from bassdiff.inference.generator import BassGenerator
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.features import open_features
from bassdiff.pretrained.release import load_weights
from bassdiff.runtime.errors import InputError

# Untrained weights may play louder than full scale, and nothing at all to silence.
pytestmark = pytest.mark.filterwarnings("default::UserWarning")
SECONDS = 14.0


def plain(items, label):
    return items


@pytest.fixture(scope="module")
def training(tmp_path_factory, tiny_weights, request_of):
    """Songs encoded as for training."""
    features = open_features("latents", tiny_weights)
    cache = request_of("x").source["cache_dir"]
    source = open_source("composed:3", "train", cache_dir=cache, max_seconds=SECONDS)
    folder = tmp_path_factory.mktemp("store") / "latents"
    fields = latent_fields(
        features.bass, lambda mix: np.zeros((-(-len(mix) // HOP), 1)), num_mixes=1
    )
    build(folder, source, fields, {"codecs": features.origin}, seed=0)
    return folder


@pytest.fixture(scope="module")
def ask(request_of):
    def make(out, training):
        source = {**request_of(out).source, "max_seconds": SECONDS}
        return request_of(out, clip_seconds=12.5, source=source, training=training)

    return make


def hummed(codec, latents):
    """A decoder that has learnt as much as the pitch: the untrained one plays noise."""
    frequency_hz, sounds = (np.repeat(values, 1024) for values in codec.pitch(latents))
    tone = np.sin(2 * np.pi * np.cumsum(frequency_hz) / 44100)
    return (0.1 * sounds * (tone + 0.3 * np.sign(tone))).astype(np.float32)


@pytest.fixture(scope="module")
def table(tmp_path_factory, ask, training, request_of):
    """What is played is a training bass: the worst of models, played to unseen songs."""
    cache = request_of("x").source["cache_dir"]
    copied = open_source("composed:3", "train", cache_dir=cache, max_seconds=SECONDS)

    def generate_batch(self, tasks):
        # Late, off the grid of frames, and at another level.
        late = [np.pad(copied[t.seed].bass, (2900, 0))[: len(t.mix)] for t in tasks]
        return [(0.3 if t.seed < 2 else 0.0) * bass for t, bass in zip(tasks, late, strict=True)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BassGenerator, "generate_batch", generate_batch)
        patch.setattr(Codec, "decode", hummed)
        return run("memorisation", ask(tmp_path_factory.mktemp("m"), str(training)), plain)


def test_planted_copies_and_a_copying_model_are_found(table):
    assert [row.name for row in table.rows] == [MODEL, "true", "codec", "planted", "planted_key"]
    copied = {row.name: row.scores["copied"].value for row in table.rows}
    assert copied["true"] == 0
    assert copied["planted"] > 0.9 and copied[MODEL] > 0.9
    near = {row.name: row.scores["nearer_latents"].value for row in table.rows}
    assert near["true"] == pytest.approx(0.5)
    assert near["planted"] > 0.9 and near[MODEL] > 0.9
    same = {row.name: row.scores["same_key"].value for row in table.rows}
    assert same["planted"] > same["true"] + 0.2 and same[MODEL] > same["true"] + 0.2
    assert table.row("planted_key").scores["nearer_any_key"].value > 0.8
    assert same["planted_key"] < same["planted"] - 0.2


def test_the_table_says_what_was_compared(table):
    assert table.about["training_songs"] == 3
    assert table.about["training"] == "latents"
    assert set(table.about["phrases"]) == {row.name for row in table.rows}
    assert "composed-" in table.about["likest"][0]
    assert {column.name for column in table.columns} == set(table.rows[0].scores)


def test_a_bass_that_is_silent_has_copied_nothing_that_is_known(table):
    (row,) = [row for row in table.rows if row.name == MODEL]
    for column in ("copied", "nearer_latents", "distance", "any_key"):
        assert np.isfinite(row.scores[column].per_clip[:2]).any()
        assert np.isnan(row.scores[column].per_clip[2])


def test_what_cannot_be_compared_is_said_before_anything_is_played(
    tmp_path, ask, training, tiny_weights, monkeypatch
):
    monkeypatch.setattr(BassGenerator, "generate", lambda *a, **k: pytest.fail("played"))

    def spoilt(name, **changes):
        copy = tmp_path / name
        copy.mkdir()
        manifest = {**Store(training).manifest, **changes}
        count = len(manifest["names"])
        manifest |= {name: manifest[name][:count] for name in ("num_frames", "places")}
        (copy / "manifest.json").write_text(json.dumps(manifest))
        return str(copy)

    weights = load_weights(tiny_weights)
    for folder, message in (
        ("", "needs --training"),
        (str(tmp_path / "none"), "there is no such folder"),
        (spoilt("other", codecs={"bass": "other"}), "another bass codec than these weights"),
        (spoilt("seen", names=["composed-1000001~3"]), "composed-1000001 is in seen too"),
    ):
        with pytest.raises(InputError, match=message):
            run("memorisation", ask(tmp_path / "m", folder), plain)
        assert not (tmp_path / "m").exists()
    of_mixes = spoilt("mixes", codecs={"bass": weights.mix_codec.fingerprint})
    with pytest.raises(InputError, match="has no pitch"):
        open_training(of_mixes, weights.mix_codec)
