"""Every question from songs to its table, with untrained weights."""

import dataclasses

import numpy as np
import pytest
import soundfile

from bassdiff.evaluation.tasks.ablation import CONTEXTS, PARTS
from bassdiff.evaluation.tasks.context import MODEL
from bassdiff.evaluation.tasks.run import run
from bassdiff.metrics.table import parse_table
from bassdiff.runtime.errors import InputError

# Untrained weights may play louder than full scale, and nothing at all to silence.
pytestmark = pytest.mark.filterwarnings("default::UserWarning")


def plain(items, label):
    return items


def test_music_has_every_anchor_and_says_where_it_comes_from(folder, music_table):
    names = [row.name for row in music_table.rows]
    assert names == [
        MODEL, "true", "codec", "transposed", "late", "follower", "nearest", "silence", "shuffled",
    ]  # fmt: skip
    assert music_table.row("nearest").label == "nearest bass of composed:2"
    assert music_table.row("late").label == "true bass half a beat late"
    about = music_table.about
    assert about["num_clips"] == 3 and about["num_songs"] == 3
    assert about["seeds"] == [0, 2]
    assert all(about["weights"].values())
    assert about["judge"].startswith("matching-spectrum-")
    saved = parse_table((folder / "music.json").read_text(), "music.json")
    assert [row.name for row in saved.rows] == names
    true, silent = (saved.row(name).scores for name in ("true", "silence"))
    assert true["onset_f1_true"].value == 1
    assert true["chord_tone_share"].value > saved.row("transposed").scores["chord_tone_share"].value
    assert true["rhythm_correlation"].value > saved.row("late").scores["rhythm_correlation"].value
    assert silent["voiced_share"].value == 0
    assert silent["harmony_rank"].value == 12 and silent["chord_tone_share"].value == 0
    assert 0 <= saved.row("codec").scores["pitch_kept"].value <= 1
    assert about["skipped_songs"] == 0 and len(about["clips_sha256"]) == 16
    assert len(true["fit"].per_clip) == 3


def test_what_was_played_is_not_played_again(folder, music_table, request_of, monkeypatch):
    from bassdiff.inference.generator import BassGenerator

    monkeypatch.setattr(
        BassGenerator, "generate_batch", lambda *a, **k: pytest.fail("played again")
    )
    again = run("music", request_of(folder), plain)
    assert again.to_json() == music_table.to_json()
    for change in ({"seed": 5}, {"bank": ""}, {"judge": "none"}):
        with pytest.raises(InputError, match=f"made with another {next(iter(change))}"):
            run("music", request_of(folder, **change), plain)


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("distances", {"embedder": "mel"}, "mel"),
        ("distances", {"embedder": "log_mel"}, "fewer than 8 windows of log_mel"),
        ("distances", {"judge": "none"}, "no matching model to embed with"),
        ("matching", {"judge": "none"}, "no matching model to ask"),
        ("ablation", {"sweep_clips": 1}, "--sweep-clips 1 leaves clips of one song"),
        ("ablation", {"finished": True, "data": "pairs:x"}, "finished pairs do not allow"),
        ("style", {"sweep_clips": 2}, "true basses of 3 songs, and there are 2"),
        ("longform", {}, "no 3 songs of 120 s; raise --max-seconds"),
        ("music", {"data": "composed:1"}, "yield 2 clips|from one song"),
    ],
)
def test_what_cannot_be_asked_leaves_nothing_behind(tmp_path, request_of, task, change, message):
    with pytest.raises(InputError, match=message):
        run(task, request_of(tmp_path / "e", **change), plain)
    assert not (tmp_path / "e").exists()


def test_the_matching_model_is_asked_about_true_pairs(folder, music_table, request_of):
    table = run("matching", request_of(folder), plain)
    (row,) = table.rows
    assert table.about["candidates"] == 3
    assert {c.name: c.chance for c in table.columns}["retrieval_at_1"] == pytest.approx(1 / 3)
    assert row.scores["retrieval_at_5"].value == 1
    assert {column.name for column in table.columns} == set(row.scores)


class Moments:
    """An embedder of four windows a clip: mean, spread and roughness of each."""

    name = "moments"

    def sound(self, bass):
        windows = np.array_split(bass, 4)
        return np.array([(w.mean(), w.std(), np.abs(np.diff(w)).mean()) for w in windows])

    def pair(self, mix, bass):
        return self.sound(mix + bass)


def test_distances_to_true_basses_of_other_clips(folder, music_table, request_of, monkeypatch):
    monkeypatch.setattr("bassdiff.evaluation.tasks.run.open_embedder", lambda which: Moments())
    table = run("distances", request_of(folder, embedder="moments"), plain)
    assert (folder / "distances-moments.json").is_file()
    assert (table.task, table.about["embedder"]) == ("distances-moments", "moments")
    assert "3 other clips" in table.about["reference_set"] and table.about["windows"] == [12, 12]
    # Alone, another song's basses are the true ones again.
    assert set(table.row("shuffled").scores) == {"apa"}
    assert table.row("true").scores["frechet"].value < table.row("silence").scores["frechet"].value
    assert table.row("silence").scores["recall"].value == 0


def test_ablation_takes_the_mix_away_and_sweeps_the_settings(folder, music_table, request_of):
    table = run("ablation", request_of(folder, sweep_clips=2), plain)
    names = {row.name for row in table.rows}
    assert {"true", "shuffled", "follower", "silence"} <= names
    assert {
        MODEL,
        *CONTEXTS,
        *PARTS,
        "guidance-1.0",
        "guidance-4.0",
        "rescale-0.0",
        "steps-2",
    } <= names
    assert table.row("guidance-1.0").setting == {"guidance": 1.0}
    assert table.about["num_clips"] == 2
    # Of two songs no third one is left to compare another song's bass with.
    for name in ("shuffled", "other_mix"):
        assert np.isnan(table.row(name).scores["harmony_matched"].value)
    assert np.isfinite(table.row("true").scores["harmony_matched"].value)
    assert max(map(len, table.to_text().splitlines())) <= 120


def test_control_plays_with_the_chords_of_each_clip(folder, music_table, request_of):
    table = run("control", request_of(folder, sweep_clips=2), plain)
    assert [row.setting for row in table.rows if row.setting] == [{"chord_strength": 1.0}]
    assert {MODEL, "chords-1", "true", "follower", "rule"} == {row.name for row in table.rows}
    # A rule that has the chords plays their lowest notes.
    rule = table.row("rule").scores
    assert rule["chord_tone_share"].value > 0.9 and rule["root_share"].value > 0.9
    for row in table.rows:
        assert 0.0 <= row.scores["bass_note"].value <= 1.0
    assert 0.5 < table.row("true").scores["midi_onsets"].value <= 1.0


def test_style_reports_each_strength(folder, music_table, request_of):
    table = run("style", request_of(folder, sweep_clips=3), plain)
    assert [row.setting["style_strength"] for row in table.rows if row.setting] == [0.0, 1.0]
    assert table.row("reference").scores["timbre_retrieval_at_1"].value == 1
    assert table.row("reference").scores["timbre_matched"].value == 0
    assert table.row("true").scores["timbre_retrieval_at_1"].value == 0
    # A player with that very sound is nearer to it than the song's own bass.
    revoiced, true = (table.row(name).scores["timbre_matched"] for name in ("revoiced", "true"))
    assert revoiced.value < true.value
    assert [row.name for row in table.rows if row.kind == "system"] == [MODEL]
    assert len(set(table.about["references"])) == 3


def test_longform_follows_level_and_timbre_by_segment(tmp_path, request_of):
    table = run("longform", request_of(tmp_path, num_songs=2, segment_seconds=2.0), plain)
    assert (table.about["num_clips"], table.about["seconds"]) == (2, [6.0, 6.0])
    for row in table.rows:
        assert len(row.scores["level_by_minute"].per_clip) == 3
        assert 0 <= row.scores["silent_minutes"].value <= 1
    assert table.row("true").scores["silent_minutes"].value == 0


def test_finished_pairs_of_another_system_are_judged(
    tmp_path, folder, music_table, request_of, judge
):
    for number, clip in enumerate(sorted((folder / "clips").iterdir())):
        target = tmp_path / "pairs" / f"song{number}"
        target.mkdir(parents=True)
        for name, system in (("mix", "mix"), ("bass", "follower"), ("true", "true")):
            samples, rate = soundfile.read(clip / f"{system}.flac")
            soundfile.write(target / f"{name}.wav", samples, rate)
    request = request_of(
        tmp_path / "e", data=f"pairs:{tmp_path / 'pairs'}", finished=True, judge="none", bank=""
    )
    table = run("music", request, plain)
    row, expected = (t.row(n).scores for t, n in ((table, MODEL), (music_table, "follower")))
    for name in ("harmony_z", "rhythm_correlation"):
        assert row[name].value == pytest.approx(expected[name].value, abs=0.02)
    assert table.row("true").scores["onset_f1_true"].value == 1
    assert table.row("late").label == "true bass 0.25 s late"
    for song in (tmp_path / "pairs").iterdir():
        (song / "true.wav").unlink()
    with pytest.raises(InputError, match="made with another clips_sha256"):
        run("music", request, plain)
    table = run("music", dataclasses.replace(request, out=tmp_path / "e2"), plain)
    assert {row.name for row in table.rows} == {MODEL, "follower", "silence", "shuffled"}
    with pytest.raises(InputError, match="the true bass of song0 is not known"):
        run(
            "matching",
            dataclasses.replace(request, out=tmp_path / "e3", judge=judge),
            plain,
        )
    assert not (tmp_path / "e3").exists()


def test_a_sweep_plays_every_combination_and_says_what_it_costs(folder, request_of):
    request = request_of(folder, grid={"solver": ("euler", "unipc"), "steps": (2, 3)})
    table = run("sweep", request, plain)
    names = [row.name for row in table.rows]
    assert names[0] == MODEL and names[-2:] == ["true", "shuffled"]
    assert names[1:-2] == [
        f"sweep-solver={solver}-steps={steps}" for solver in ("euler", "unipc") for steps in (2, 3)
    ]
    assert [row.scores["evaluations"].value for row in table.rows[1:-2]] == [4, 6, 4, 6]
    assert table.row("sweep-solver=euler-steps=3").setting == {"solver": "euler", "steps": 3}
    assert table.about["grid"] == {"solver": ["euler", "unipc"], "steps": [2, 3]}
    with pytest.raises(InputError, match="unknown solver 'magic'"):
        run("sweep", request_of(folder, grid={"solver": ("magic",)}), plain)
