"""Every question from songs to its table, with untrained weights."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from bassdiff import cli
from bassdiff.appraisal.ablation import CONTEXTS, check_gap, context_gap
from bassdiff.appraisal.run import Request, run
from bassdiff.appraisal.stage import MODEL
from bassdiff.errors import GateFailed, InputError
from bassdiff.evaluation.table import Column, Row, Score, Table, parse_table
from bassdiff.models.matching import MatchingModel
from bassdiff.pretrained.release import load_codecs, release
from bassdiff.pretrained.weights import save_matching

SECONDS = 3.0
# Untrained weights may play louder than full scale, and nothing at all to silence.
pytestmark = pytest.mark.filterwarnings("default::UserWarning")


@pytest.fixture(scope="module")
def judged_weights(tmp_path_factory, tiny_weights, randomised):
    """The tiny weights with a matching model over their latents."""
    folder = tmp_path_factory.mktemp("judged")
    codecs = load_codecs(tiny_weights)
    model = MatchingModel(
        width=8, num_blocks=1, num_heads=2, reach_frames=8, embedding_size=8, window_frames=16
    )
    channels = {
        side: codec.model.num_channels for side, codec in zip(("mix", "bass"), codecs, strict=True)
    }
    sides = [jnp.zeros((1, 16, channels[side])) for side in ("mix", "bass")]
    shapes = jax.eval_shape(model.init, jax.random.key(0), *sides, jnp.full(1, 16))
    origin = {"mix": codecs[0].fingerprint, "bass": codecs[1].fingerprint}
    save_matching(
        folder / "made.safetensors",
        model,
        randomised(shapes["params"]),
        {side: np.zeros(size, np.float32) for side, size in channels.items()},
        {side: np.ones(size, np.float32) for side, size in channels.items()},
        {"features": origin},
        {},
    )
    release(tiny_weights, tiny_weights, folder / "released", [folder / "made.safetensors"])
    return str(folder / "released")


@pytest.fixture(scope="module")
def request_of(judged_weights, tmp_path_factory):
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
                "max_seconds": 8.0,
            },
            "num_clips": 3,
            "clip_seconds": SECONDS,
            "seed": 0,
            "weights": judged_weights,
            "knobs": {"steps": 2},
            "judge": judged_weights,
        }
        return Request(out=out, **{**settings, **changes})

    return make


def plain(items, label):
    return items


@pytest.fixture(autouse=True)
def few_settings(monkeypatch):
    """Untrained weights do not survive strong guidance over many steps."""
    sweeps = {"guidance": (1.0, 2.0, 4.0), "rescale": (0.0, 0.7), "steps": (2,)}
    monkeypatch.setattr("bassdiff.appraisal.ablation.SWEEPS", sweeps)
    monkeypatch.setattr("bassdiff.appraisal.style.STRENGTHS", (0.0, 1.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One evaluation that all questions share, as they do in use."""
    return tmp_path_factory.mktemp("evaluation") / "e"


@pytest.fixture(scope="module")
def music_table(folder, request_of):
    return run("music", request_of(folder, bank="composed:2"), plain)


def test_music_has_every_anchor_and_says_where_it_comes_from(folder, music_table):
    names = [row.name for row in music_table.rows]
    assert names == [
        MODEL, "true", "codec", "transposed", "late", "follower", "nearest", "silence", "shuffled",
    ]  # fmt: skip
    about = music_table.about
    assert about["num_clips"] == 3 and about["num_songs"] == 3
    assert about["seeds"] == [0, 2]
    assert about["weights"]["unet"] and about["matching_model"].startswith("matching-latents-")
    saved = parse_table((folder / "music.json").read_text(), "music.json")
    assert [row.name for row in saved.rows] == names
    true, silent = (saved.row(name).scores for name in ("true", "silence"))
    assert true["onset_f1_true"].value == 1
    assert true["chord_tone_share"].value > saved.row("transposed").scores["chord_tone_share"].value
    assert true["rhythm_correlation"].value > saved.row("late").scores["rhythm_correlation"].value
    assert silent["voiced_share"].value == 0
    assert 0 <= saved.row("codec").scores["pitch_kept"].value <= 1
    assert len(true["fit"].per_clip) == 3


def test_what_was_played_is_not_played_again(folder, music_table, request_of, monkeypatch):
    from bassdiff.bassist import Bassist

    monkeypatch.setattr(Bassist, "generate", lambda *a, **k: pytest.fail("played again"))
    again = run("music", request_of(folder, bank="composed:2"), plain)
    assert again.to_json() == music_table.to_json()
    with pytest.raises(InputError, match="made with another seed"):
        run("music", request_of(folder, seed=5), plain)


def test_the_matching_model_is_asked_about_true_pairs(folder, music_table, request_of):
    table = run("matching", request_of(folder), plain)
    (row,) = table.rows
    assert table.about["candidates"] == 3
    assert row.scores["retrieval_at_5"].value == 1
    for name in ("not_transposed", "not_late", "not_another_song"):
        assert 0 <= row.scores[name].value <= 1


def test_distances_to_true_basses_of_other_clips(tmp_path, folder, music_table, request_of):
    with pytest.raises(InputError, match="fewer than 8 windows of log_mel"):
        run("distances", request_of(folder, embedder="log_mel"), plain)
    request = request_of(
        tmp_path, data="composed:5", num_clips=8, clip_seconds=1.5, embedder="log_mel"
    )
    table = run("distances", request, plain)
    assert table.about["embedder"] == "log_mel"
    assert "8 other clips" in table.about["reference_set"]
    for row in table.rows:
        assert row.scores["frechet"].value >= 0
        assert 0 <= row.scores["apa"].value <= 1
    assert table.row("true").scores["frechet"].value < table.row("follower").scores["frechet"].value


def test_ablation_takes_the_mix_away_and_sweeps_the_settings(folder, music_table, request_of):
    table = run("ablation", request_of(folder, sweep_clips=2), plain)
    names = {row.name for row in table.rows}
    assert {"true", "shuffled", "follower", "silence"} <= names
    assert {MODEL, *CONTEXTS, "guidance-1.0", "guidance-4.0", "rescale-0.0", "steps-2"} <= names
    assert {
        row.setting["guidance"] for row in table.rows if row.setting and "guidance" in row.setting
    } == {1, 2, 4}
    assert table.about["num_clips"] == 2
    assert -0.5 <= context_gap(table) <= 0.5


def test_the_gap_is_that_of_the_hardest_context():
    def row(name, wins):
        return Row(name, name, "anchor", {"context_wins": Score(wins, 0, 1)})

    shares = dict(zip(CONTEXTS, (0.9, 1.0, 0.7), strict=True))
    column = Column("context_wins", "wins", "wins")
    table = Table("ablation", "", {}, (column,), tuple(row(*item) for item in shares.items()))
    assert context_gap(table) == pytest.approx(0.2)
    check_gap(table, 0.19)
    with pytest.raises(GateFailed, match=r"wins by 0\.200, less than 0\.21: the bass does not"):
        check_gap(table, 0.21)


def test_style_needs_ten_references_and_reports_each_strength(tmp_path, request_of):
    with pytest.raises(InputError, match="true basses of 10 songs, and there are "):
        run("style", request_of(tmp_path / "few"), plain)
    many = request_of(
        tmp_path / "many", data="composed:16", num_clips=10, sweep_clips=10, clip_seconds=1.5
    )
    table = run("style", many, plain)
    assert [row.setting["style_strength"] for row in table.rows if row.setting] == [0.0, 1.0]
    assert table.row("reference").scores["timbre_retrieval_at_1"].value == 1
    assert table.row("reference").scores["timbre_matched"].value == 0
    assert [row.name for row in table.rows if row.kind == "system"] == [MODEL]
    for row in table.rows:
        assert 0 <= row.scores["timbre_retrieval_at_1"].value <= 1
        assert row.scores["timbre_matched"].value >= 0
    assert len(set(table.about["references"])) == 10


def test_longform_follows_level_and_timbre_by_segment(folder, music_table, request_of):
    table = run("longform", request_of(folder, num_songs=2, segment_seconds=2.0), plain)
    assert table.about["num_clips"] == 2
    for row in table.rows:
        assert len(row.scores["level_by_minute"].per_clip) == 4
        assert row.scores["timbre_drift"].value >= 0
    with pytest.raises(InputError, match="raise --max-seconds"):
        run("longform", request_of(folder, num_songs=2, segment_seconds=60.0), plain)


@pytest.fixture
def pairs(tmp_path, folder, music_table):
    """Another system's finished pairs, one of them with its true bass."""
    for number, clip in enumerate(sorted((folder / "clips").iterdir())[:3]):
        target = tmp_path / "pairs" / f"song{number}"
        target.mkdir(parents=True)
        for name, system in (("mix", "mix"), ("bass", "follower"), ("true", "true")):
            samples, rate = soundfile.read(clip / f"{system}.flac")
            soundfile.write(target / f"{name}.wav", samples, rate)
    return tmp_path / "pairs"


def test_finished_pairs_of_another_system_are_judged(tmp_path, pairs, request_of, music_table):
    request = request_of(tmp_path / "e", data=f"stems:{pairs}", finished=True)
    request.source["split"] = "all"
    table = run("music", request, plain)
    row, expected = (t.row(n).scores for t, n in ((table, MODEL), (music_table, "follower")))
    for name in ("harmony_z", "rhythm_correlation"):
        assert row[name].value == pytest.approx(expected[name].value, abs=0.02)
    assert table.row("true").scores["onset_f1_true"].value == 1
    assert "transposed" in {row.name for row in table.rows}
    with pytest.raises(InputError, match="finished pairs cannot be played again"):
        run("ablation", request, plain)
    for song in pairs.iterdir():
        (song / "true.wav").unlink()
    table = run("music", dataclasses.replace(request, out=tmp_path / "e2"), plain)
    assert {row.name for row in table.rows} == {MODEL, "follower", "silence", "shuffled"}


def test_the_command_line_prints_reports_and_gates(tmp_path, judged_weights, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_compilation_cache", lambda: None)
    words = ["--data", "composed:4", "--max-seconds", "8", "--clips", "2", "--clip-seconds", "3"]
    words += ["--steps", "2", "--weights", judged_weights, "--out", "e", "--bank", ""]
    words += ["--judge", judged_weights]
    assert cli.main(["evaluate", "music", *words, "--report", "page"]) == 0
    assert "harmony top-1" in capsys.readouterr().out
    assert (tmp_path / "page" / "index.html").stat().st_size > 10_000
    gate = ["--sweep-clips", "2", "--fail-if-gap-below", "0.6"]
    assert cli.main(["evaluate", "ablation", *words, *gate]) == 3
    assert "does not follow the mix clearly enough" in capsys.readouterr().err
    assert json.loads((tmp_path / "e" / "ablation.json").read_text())["task"] == "ablation"
    assert "rescale" in (tmp_path / "e" / "ablation.json").read_text()
    assert cli.main(["evaluate", "report", "--out", "e"]) == 0
    assert (tmp_path / "e" / "report" / "index.html").is_file()
    assert cli.main(["evaluate", "music", *words, *gate]) == 2
    assert "is a gate of ablation" in capsys.readouterr().err
    listen = ["evaluate", "listen", "--out", "e", "--systems", "model,true,follower"]
    assert cli.main(listen) == 0
    assert (tmp_path / "e" / "listening" / "index.html").is_file()
    assert cli.main(["evaluate", "music", "--out", "e"]) == 2
    assert "name the songs to play to" in capsys.readouterr().err
