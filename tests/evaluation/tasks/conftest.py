"""One evaluation with untrained weights, which all questions share, as they do in use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.evaluation.tasks.run import Request, run
from bassdiff.models.matching import MatchingModel
from bassdiff.pretrained.weights import save_matching

SECONDS = 3.0


@pytest.fixture(scope="session")
def judge(tmp_path_factory, randomised):
    """A folder with an untrained matching model; of spectra, since codecs take longer."""
    model = MatchingModel(
        width=8, num_blocks=1, num_heads=2, reach_frames=8, embedding_size=8, window_frames=16
    )
    side = jnp.zeros((1, 16, 348))
    shapes = jax.eval_shape(model.init, jax.random.key(0), side, side, jnp.full(1, 16))
    path = tmp_path_factory.mktemp("judge") / "matching_spectrum.safetensors"
    mean, std = (dict.fromkeys(("mix", "bass"), np.full(348, x, np.float32)) for x in (0, 1))
    features = {"features": dict.fromkeys(("mix", "bass"), "spectrum")}
    save_matching(path, model, randomised(shapes["params"]), mean, std, features, {})
    return str(path.parent)


@pytest.fixture(scope="session")
def request_of(tiny_weights, judge, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))

    def make(out, **changes):
        settings = {
            "data": "composed:4",
            "finished": False,
            "source": {
                "split": "validation",
                "soundfonts": [],
                "variants": 1,
                "cache_dir": cache,
                "max_seconds": 6.0,
            },
            "num_clips": 3,
            "clip_seconds": SECONDS,
            "seed": 0,
            "weights": str(tiny_weights),
            "overrides": {"steps": 2},
            "judge": judge,
            "bank": "composed:2",
        }
        return Request(out=out, **{**settings, **changes})

    return make


@pytest.fixture(autouse=True)
def few_settings(monkeypatch):
    """Untrained weights do not survive strong guidance over many steps."""
    sweeps = {"guidance": (1.0, 4.0), "rescale": (0.0,), "steps": (2,)}
    monkeypatch.setattr("bassdiff.evaluation.tasks.ablation.SWEEPS", sweeps)
    monkeypatch.setattr("bassdiff.evaluation.tasks.style.STRENGTHS", (0.0, 1.0))
    monkeypatch.setattr("bassdiff.evaluation.tasks.control.STRENGTHS", (1.0,))
    monkeypatch.setattr("bassdiff.evaluation.tasks.style.NUM_REFERENCES", 3)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """One evaluation that all questions share, as they do in use."""
    return tmp_path_factory.mktemp("evaluation") / "e"


@pytest.fixture(scope="session")
def music_table(folder, request_of):
    return run("music", request_of(folder), lambda items, _: items)
