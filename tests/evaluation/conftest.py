import json
import shutil

import numpy as np
import pytest

from bassdiff.audio import io
from bassdiff.metrics.table import Column, Row, Score, Table, mean_score

SYSTEMS = ("model", "true", "codec", "follower")
LABELS = {"model": "bassdiff", "true": "true bass", "codec": "codec", "follower": "rule follower"}


def _score(value, spread=0.1):
    return Score(value, value - spread, value + spread)


def _row(name, scores, setting=None):
    kind = "setting" if setting else "system" if name == "model" else "anchor"
    return Row(name, LABELS.get(name, name), kind, scores, setting)


def music(num_clips, seed=0):
    """Ranks rise with the clip's number for the model, so the first clips are its best."""
    rng = np.random.default_rng(seed)
    columns = (
        Column(
            "harmony_top1",
            "harmony top-1",
            "Share of basses that fit their mix better than all their transpositions.",
            chance=1 / 12,
        ),
        Column(
            "harmony_rank",
            "harmony rank",
            "Rank of the bass as played among its twelve transpositions, by fit to the mix.",
            "lower",
            6.5,
            1,
        ),
        Column(
            "rhythm_percentile",
            "rhythm percentile",
            "Share of time shifts at which the bass's onsets fit the mix's worse.",
            chance=0.5,
        ),
        Column(
            "on_beat",
            "onsets on beats",
            "Share of notes that begin on a beat, which depends on the style of music.",
            "none",
        ),
    )
    best = {"model": 0, "true": -1, "codec": 0, "follower": 2}
    rows = []
    for name in SYSTEMS:
        ranks = np.clip(
            best[name] + np.arange(num_clips) * 8 // max(num_clips - 1, 1) + 1, 1, 12
        ).astype(float)
        songs = range(num_clips)
        scores = {
            "harmony_rank": mean_score(ranks, songs),
            "harmony_top1": mean_score((ranks == 1).astype(float), songs),
            "on_beat": mean_score(rng.uniform(0.3, 0.9, num_clips), songs),
        }
        if name != "codec":
            rhythm = 0.95 - 0.04 * ranks + rng.uniform(0, 0.02, num_clips)
            scores["rhythm_percentile"] = mean_score(rhythm, songs)
        rows.append(_row(name, scores))
    about = {"num_clips": num_clips, "num_songs": num_clips - 1, "seeds": [0, 1]}
    return Table("music", "Does the bass follow the mix?", about, columns, tuple(rows))


def matching():
    columns = (
        Column("retrieval_at_1", "retrieval@1", "Share of mixes that pick their bass.", "higher"),
        Column("not_late", "not half a beat late", "Prefers the bass in time.", "higher", 0.5),
    )
    row = _row("model", {"retrieval_at_1": _score(0.4), "not_late": _score(0.9)})
    return Table("matching", "Can the judge be trusted?", {"candidates": 8}, columns, (row,))


def distances():
    columns = (
        Column("fad", "FAD", "Fréchet distance of embeddings of mixdowns.", "lower", digits=3),
        Column("kad", "KAD", "Kernel distance of embeddings of basses.", "lower", digits=3),
    )
    values = {"model": 0.21, "true": 0.02, "codec": 0.11, "follower": 0.64}
    rows = [
        _row(name, {"fad": _score(value, 0.02), "kad": _score(1.4 * value, 0.02)})
        for name, value in values.items()
    ]
    unknown = Score(float("nan"), float("nan"), float("nan"))
    rows.append(_row("shuffled", {"fad": unknown}))
    about = {"embedder": "mel-statistics", "reference_set": "train split, 200 clips"}
    return Table("distances", "Does it sound like music?", about, columns, tuple(rows))


def memorisation():
    columns = (
        Column("copied", "nearer than any unseen", "Share of phrases.", "lower"),
        Column("nearer_latents", "nearer in latents", "Than unseen ones.", "lower", 0.5),
    )
    rows = [
        _row(name, {"copied": _score(copied), "nearer_latents": _score(nearer)})
        for name, copied, nearer in (("model", 0.02, 0.6), ("true", 0.0, 0.5))
    ]
    return Table("memorisation", "Does it play what it was trained on?", {}, columns, tuple(rows))


def style():
    columns = (
        Column("timbre_retrieval_at_1", "right sound first", "Nearest is the reference.", "higher"),
        Column("harmony_top1", "harmony top-1", "As under music.", "higher", 1 / 12),
    )
    rows = [
        _row(
            f"strength-{strength}",
            {
                "timbre_retrieval_at_1": _score(0.12 + 0.4 * strength / (0.3 + strength)),
                "harmony_top1": _score(0.68 - 0.1 * strength**2),
            },
            {"style_strength": strength},
        )
        for strength in (0.0, 0.5, 1.0, 1.5, 2.0)
    ]
    rows.append(_row("true", {"timbre_retrieval_at_1": _score(0.2), "harmony_top1": _score(0.83)}))
    return Table("style", "Does it take a reference's sound?", {}, columns, tuple(rows))


def codec():
    columns = (
        Column("pitch_kept", "pitch kept", "Within 25 cents.", "higher", digits=3),
        Column("log_mel", "log-mel distance", "In dB.", "lower"),
    )
    rows = [
        Row(name, name, kind, {"pitch_kept": _score(kept), "log_mel": _score(distance)})
        for name, kind, kept, distance in (
            ("codec", "system", 0.95, 4.0),
            ("opus", "anchor", 0.99, 2.0),
        )
    ]
    return Table("codec", "What does the codec keep?", {}, columns, tuple(rows))


def longform():
    columns = (
        Column("level_db", "level, dB", "Mean level.", "none", digits=1),
        Column("timbre_db", "timbre drift, dB", "Distance to the first minute.", "lower", digits=1),
        Column("level_by_minute", "level by minute", "Level of each minute.", "none", digits=1),
        Column("timbre_by_minute", "timbre by minute", "Timbre of each minute.", "none", digits=1),
    )
    rows = []
    for name, slope in (("model", 0.3), ("true", 0.1)):
        level = tuple(-18 + slope * np.sin(minute) for minute in range(6))
        drift = tuple(1 + slope * minute for minute in range(6))
        scores = {
            "level_db": Score(-18.0, -18.5, -17.5, (-18.2, -17.8)),
            "timbre_db": Score(1 + 3 * slope, 1.0, 1 + 5 * slope, (1.1, 1.2)),
            "level_by_minute": Score(-18.0, np.nan, np.nan, level),
            "timbre_by_minute": Score(1 + 3 * slope, np.nan, np.nan, drift),
        }
        rows.append(_row(name, scores))
    return Table("longform", "Does it last for a whole song?", {}, columns, tuple(rows))


def ablation():
    columns = music(4).columns[:3]
    rows = [_row("model", {"harmony_top1": _score(0.67), "harmony_rank": _score(2.4, 0.6)})]
    for guidance in (1.0, 2.0, 4.0, 8.0):
        share = 0.7 - 0.03 * (guidance - 4) ** 2 / 2
        scores = {"harmony_top1": _score(share), "harmony_rank": _score(9 - 9 * share, 0.6)}
        rows.append(_row(f"guidance={guidance:g}", scores, {"guidance": guidance}))
    for solver, share in (("euler", 0.6), ("heun", 0.66), ("dpmpp2m", 0.67)):
        scores = {"harmony_top1": _score(share)}
        rows.append(_row(f"solver={solver}", scores, {"solver": solver}))
    for steps in (4, 8, 16, 64):
        scores = {"harmony_top1": _score(0.7 - 1 / steps)}
        rows.append(_row(f"steps={steps}", scores, {"steps": steps}))
    return Table("ablation", "What does each setting do?", {}, columns, tuple(rows))


def sweep():
    rows = [_row("model", {"harmony_top1": _score(0.67)})]
    for solver, best in (("euler", 0.6), ("unipc", 0.7)):
        for steps in (4, 16):
            name, setting = f"{solver}-{steps}", {"solver": solver, "steps": steps}
            rows.append(_row(name, {"harmony_top1": _score(best - 1 / steps)}, setting))
    rows.append(_row("true", {"harmony_top1": _score(0.7)}))
    columns = music(4).columns[:1]
    return Table("sweep", "What do solvers bring and cost?", {}, columns, tuple(rows))


def control():
    rows = [_row("model", {"bass_note": _score(0.4)})]
    for strength in (0.5, 1.0):
        scores = {"bass_note": _score(0.4 + 0.4 * strength)}
        rows.append(_row(f"chords-{strength:g}", scores, {"chord_strength": strength}))
    columns = (Column("bass_note", "bass notes", "Share of chords."),)
    return Table("control", "Does it play the chords?", {}, columns, tuple(rows))


def write_evaluation(folder, sounds, song=lambda number: f"Song {number}"):
    """Writes a whole evaluation folder.

    Args:
      folder: made here.
      sounds: for each clip a dictionary of its mix and basses.
      song: makes a clip's song's name.
    """
    folder.mkdir(parents=True)
    about = {
        "data": "midi:SONGS",
        "split": "validation",
        "clip_seconds": 23.8,
        "seed": 0,
        "weights": {"name": "small", "unet": "ab12cd34" * 4, "bass_codec": None},
        "sampling": {"steps": 32, "guidance": 4.0},
        "bassdiff": "0.1.0",
    }
    (folder / "about.json").write_text(json.dumps(about))
    clips = []
    for number, signals in enumerate(sounds):
        name = f"{number:03d}-song"
        seconds = len(signals["mix"]) / io.SAMPLE_RATE_HZ
        clips.append(
            {"name": name, "song": song(number), "start_seconds": 47.6, "seconds": seconds}
        )
        (folder / "clips" / name).mkdir(parents=True)
        for system, samples in signals.items():
            path = folder / "clips" / name / f"{system}.flac"
            io.write(path, samples, io.SAMPLE_RATE_HZ)
    (folder / "clips.json").write_text(json.dumps(clips))
    asked = (matching, distances, memorisation, style, longform, codec, ablation, sweep, control)
    for table in (music(len(clips)), *(table() for table in asked)):
        (folder / f"{table.task}.json").write_text(table.to_json())
    return folder


def short_sounds(num_clips, seconds=1.5):
    """Mixes of noise bursts, dull enough for an MP3, and basses of a tone, unequally loud."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * io.SAMPLE_RATE_HZ)) / io.SAMPLE_RATE_HZ
    for number in range(num_clips):
        pulse = np.exp(-6 * (time * 4 % 1))
        noise = np.convolve(rng.normal(size=len(time)), np.hanning(12) / 3, "same")
        signals = {"mix": 0.1 * noise * pulse}
        for place, system in enumerate(SYSTEMS):
            tone = np.sin(2 * np.pi * (55 + 5 * number) * (place + 1) * time)
            signals[system] = 0.05 * (place + 1) * tone
        yield {name: samples.astype(np.float32) for name, samples in signals.items()}


@pytest.fixture(scope="session")
def evaluation_folder(tmp_path_factory):
    """What `bassdiff evaluate` leaves for eight clips of 1.5 s; not to be changed."""
    return write_evaluation(tmp_path_factory.mktemp("evaluation") / "dir", short_sounds(8))


@pytest.fixture
def own_evaluation(evaluation_folder, tmp_path):
    """A copy of `evaluation_folder` to spoil."""
    return shutil.copytree(evaluation_folder, tmp_path / "evaluation")
