import dataclasses
import json

import numpy as np
import pytest

from bassdiff.evaluation import baselines
from bassdiff.evaluation.clips import choose, digest
from bassdiff.evaluation.pairs import open_pairs
from bassdiff.evaluation.result_cache import Takes
from bassdiff.metrics.harmony_rhythm import (
    bass_features,
    harmony_score,
    mix_features,
    rhythm_score,
)
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.score import Chord
from bassdiff.synthesis.stems import Stems

RATE = 44100


def harmony(mix, bass):
    return harmony_score(mix_features(mix), bass_features(bass))


def rhythm(mix, bass):
    return rhythm_score(mix_features(mix), bass_features(bass))


def song(name, seconds, root=0, silent=()):
    """A chord and a bass on its root, every half second; silent in some seconds."""
    time = np.arange(seconds * RATE) / RATE
    decay = np.exp(-4 * (time % 0.5)).astype(np.float32)

    def tone(midi):
        phase = 2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * time
        return sum(np.sin(k * phase) / k for k in (1, 2, 3)).astype(np.float32)

    bass = 0.3 * tone(36 + root) * decay
    for second in silent:
        bass[second * RATE : (second + 1) * RATE] = 0
    keys = 0.1 * sum(tone(60 + root + step) for step in (-12, 0, 4, 7)) * decay
    noise = np.random.default_rng(seconds).normal(size=len(time)).astype(np.float32)
    drums = 0.1 * noise * np.exp(-30 * (time % 0.5)).astype(np.float32)
    known = Annotation(
        tuple(np.arange(0, seconds, 0.5).tolist()), (Chord(0.0, seconds, root, "maj", root),)
    )
    return Stems(
        name,
        bass.astype(np.float32),
        {"keys": keys.astype(np.float32), "drums": drums},
        RATE,
        known,
    )


class Songs:
    """Songs of 9, 5 and 1 s, and a silent one; another key is another root."""

    names = ("a/ä", "b", "short", "silent")

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.transposed(index, 0)

    def transposed(self, index, semitones):
        if index == 3:
            raise UnusableSong("silent: the bass is silent there")
        seconds, root, silent = ((9, 0, (0, 1)), (5, 5, ()), (1, 7, ()))[index]
        return song(self.names[index], seconds, root + semitones, silent)


@pytest.fixture(scope="module")
def found():
    return choose(Songs(), 3, clip_seconds=2.0, num_spare=2)


@pytest.fixture(scope="module")
def taken(found):
    return found.clips


def test_clips_come_from_all_songs_before_second_ones(found):
    chosen, spare = found.clips, found.spare
    assert found.num_skipped == 2
    assert [clip.song for clip in chosen] == ["a/ä", "b", "a/ä"]
    assert [clip.song for clip in spare] == ["b", "a/ä"]
    assert [clip.name for clip in chosen] == ["000-a-ä", "001-b", "002-a-ä"]
    # From the middle outwards, and not where the bass rests.
    assert [clip.start_samples / RATE for clip in chosen] == [4, 2, 2]
    assert all(clip.start_samples for clip in (*chosen, *spare) if clip.song != "b")


def test_songs_that_are_opened_are_counted():
    opened = []

    def progress(items, label):
        for item in items:
            opened.append((label, item))
            yield item

    choose(Songs(), 2, clip_seconds=2.0, progress=progress)
    assert opened[:2] == [("songs", 0), ("songs", 1)]


def test_a_clip_is_the_stretch_it_says(taken):
    for clip in taken:
        stems = Songs()[clip.index]
        part = slice(clip.start_samples, clip.start_samples + 2 * RATE)
        np.testing.assert_array_equal(clip.mix, stems.mix()[part])
        np.testing.assert_array_equal(clip.true_bass, stems.bass[part])
        np.testing.assert_array_equal(clip.drums, stems.others["drums"][part])
        assert clip.annotation.beat_seconds == pytest.approx((0.0, 0.5, 1.0, 1.5))
        assert clip.finished is None


def test_too_few_clips_or_songs_are_refused():
    with pytest.raises(InputError, match=r"yield 5 clips of 2\.0 s .*, not 9"):
        choose(Songs(), 9, clip_seconds=2.0)
    with pytest.raises(InputError, match="all clips come from one song"):
        choose(Songs(), 1, clip_seconds=2.0)


def test_finished_pairs_may_bring_their_true_bass():
    class Pairs(Songs):
        def transposed(self, index, semitones):
            stems = super().transposed(index, semitones)
            others = {"mix": stems.mix()}
            if index == 0:
                others["true"] = 2 * stems.bass
            return dataclasses.replace(stems, others=others)

    first, second = choose(Pairs(), 2, clip_seconds=2.0, finished=True).clips
    np.testing.assert_array_equal(first.true_bass, 2 * first.finished)
    np.testing.assert_array_equal(
        first.mix, Songs()[0].mix()[first.start_samples : first.start_samples + 2 * RATE]
    )
    with pytest.raises(InputError, match=r"the true bass of b is not known; add .* true\.\*"):
        _ = second.true_bass


@pytest.mark.parametrize("is_known", [True, False])
def test_a_judged_bass_does_not_choose_its_clips(is_known):
    class Pairs(Songs):
        """The judged bass rests where the true one plays, and the reverse."""

        def transposed(self, index, semitones):
            stems = super().transposed(index, semitones)
            others = {"mix": stems.mix()}
            if is_known:
                others["true"] = stems.bass
            return dataclasses.replace(
                stems, bass=stems.bass * 0 + (stems.bass == 0), others=others
            )

    chosen = choose(Pairs(), 5 if is_known else 6, clip_seconds=2.0, finished=True).clips
    starts = [clip.start_samples / RATE for clip in chosen if clip.song != "b"]
    # In the first two seconds the true bass rests, and there alone the judged one plays.
    assert starts == ([4, 2, 6] if is_known else [4, 2, 6, 0])


def test_a_digest_tells_other_sounds_apart(taken):
    assert len(digest(taken)) == 16 and digest(taken) == digest(list(taken))
    first, *rest = taken
    for change in ({"mix": first.mix + 1}, {"bass": None}, {"finished": first.mix}):
        assert digest([dataclasses.replace(first, **change), *rest]) != digest(taken)


@pytest.fixture
def pairs(tmp_path):
    for song in ("a", "b"):
        (tmp_path / song).mkdir()
        for name in ("mix.wav", "bass.flac", "true.WAV"):
            (tmp_path / song / name).touch()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "about.txt").write_text("by hand")
    return tmp_path


def test_pairs_are_a_mix_a_bass_and_perhaps_a_true_one(pairs):
    (pairs / "b" / "true.WAV").unlink()
    assert open_pairs(pairs).names == ["a", "b"]


@pytest.mark.parametrize(
    ("missing", "extra", "message"),
    [
        ("", "drums.wav", r"drums\.wav: a pair is one mix"),
        ("", "mixture.wav", r"mixture\.wav: a pair is one mix"),
        ("", "mix.flac", "mix.*: a pair is one mix"),
        ("mix.wav", "", r"b: holds no mix\.\*"),
        ("bass.flac", "", r"b: holds no bass\.\*"),
    ],
)
def test_what_is_no_pair_is_named(pairs, missing, extra, message):
    if extra:
        (pairs / "b" / extra).write_bytes(b"")
    else:
        (pairs / "b" / missing).unlink()
    with pytest.raises(InputError, match=message):
        open_pairs(pairs)


def test_a_folder_without_pairs_is_named(tmp_path):
    with pytest.raises(InputError, match="no such folder of pairs"):
        open_pairs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="lay the pairs out"):
        open_pairs(tmp_path)


def test_the_follower_plays_the_roots_in_time(taken):
    for clip in taken:
        bass = baselines.follower(clip)
        assert bass.shape == clip.mix.shape
        assert harmony(clip.mix, bass).top1
        assert rhythm(clip.mix, bass).correlation > 0.5
        assert baselines.level_of(bass) == pytest.approx(baselines.level(clip), rel=0.01)


def test_the_follower_rests_where_nothing_sounds(taken):
    silent = dataclasses.replace(taken[0], mix=np.zeros(2 * RATE, np.float32))
    assert not baselines.follower(silent).any()


def test_low_chroma_hears_the_bass_range_only():
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * hz * time) for hz in (110.0, 1046.5))
    chroma = baselines.low_chroma(low + 5 * high)
    assert chroma.sum(axis=0).argmax() == 9
    assert len(chroma) == pytest.approx(1 + RATE // 512, abs=1)


def test_transposed_basses_are_in_another_key_and_nothing_else(taken):
    clip = taken[1]
    for number in range(24):
        assert 1 <= abs(baselines.other_key(number)) <= 6
    assert len({baselines.other_key(number) for number in range(12)}) == 12
    higher = clip.cut_from(Songs().transposed(clip.index, 1).bass)
    assert higher.shape == clip.mix.shape
    assert harmony(clip.mix, higher).rank > 3
    assert rhythm(clip.mix, higher).correlation == pytest.approx(
        rhythm(clip.mix, clip.true_bass).correlation, abs=0.1
    )
    shifted = baselines.pitch_shifted(clip.true_bass, 1)
    assert harmony(clip.mix, shifted).rank > 3


def test_half_a_beat_late_is_half_of_the_annotated_beat(taken):
    clip = taken[0]
    late = baselines.half_a_beat_late(clip.true_bass, clip)
    np.testing.assert_array_equal(late, np.roll(clip.true_bass, RATE // 4))
    unknown = dataclasses.replace(clip, annotation=Annotation())
    late_too = baselines.half_a_beat_late(clip.true_bass, unknown)
    np.testing.assert_array_equal(late_too, np.roll(clip.true_bass, RATE // 4))
    assert baselines.lateness([clip]) == "half a beat"
    assert baselines.lateness([unknown]) == "0.25 s"
    assert baselines.lateness([clip, unknown]) == "half a beat or 0.25 s"
    assert rhythm(clip.mix, late).correlation < 0.5 < rhythm(clip.mix, clip.true_bass).correlation


def test_the_nearest_bass_is_the_best_stretch_of_the_best(rng):
    wave = np.arange(10 * 1000, dtype=np.float32)
    vectors = np.eye(12)[:9]
    bank = [(-wave, 0.9 * np.roll(vectors, 1, axis=1)), (wave, vectors), (-wave, 0 * vectors)]
    found = baselines.nearest(vectors[3:6], bank, 4000, hop_samples=1000)
    np.testing.assert_array_equal(found, wave[3000:7000])
    assert not baselines.nearest(vectors[:3], [], 50, hop_samples=1000).any()


def test_takes_are_played_once_and_kept(tmp_path, taken):
    clip = taken[0]
    takes = Takes(tmp_path / "e", {"seed": 1}, taken)
    assert not (tmp_path / "e").exists()
    loud = 3 * np.sin(np.arange(2 * RATE) / 20)
    first = takes.take(clip, "model", lambda: loud)
    np.testing.assert_allclose(first, loud / np.abs(loud).max(), atol=1e-6)
    again = Takes(tmp_path / "e", {"seed": 1}, taken)
    second = again.take(clip, "model", lambda: pytest.fail("played again"))
    np.testing.assert_array_equal(first, second)
    files = {path.name for path in (tmp_path / "e" / "clips" / clip.name).iterdir()}
    assert files == {"mix.flac", "true.flac", "model.flac"}
    assert len(json.loads((tmp_path / "e" / "clips.json").read_text())) == len(taken)


def test_a_truncated_take_is_named(tmp_path, taken):
    takes = Takes(tmp_path, {}, taken[:1])
    play = np.random.default_rng(0).normal(size=2 * RATE) / 9
    takes.keep(taken[0], "model", play)
    path = tmp_path / "clips" / taken[0].name / "model.flac"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"model\.flac: is truncated or damaged; delete it"):
        takes.take(taken[0], "model", lambda: play)


def test_a_folder_of_another_evaluation_is_refused(tmp_path, taken):
    Takes(tmp_path / "e", {"seed": 1, "data": "x"}).keep(taken[0], "model", np.zeros(9))
    with pytest.raises(InputError, match=r"made with another seed \(1, not 2\); choose another"):
        Takes(tmp_path / "e", {"seed": 2, "data": "x"})
    for spoilt, message in (("[1]", "is not a record of an evaluation"), ("{", "cannot be read")):
        (tmp_path / "e" / "about.json").write_text(spoilt)
        with pytest.raises(InputError, match=message):
            Takes(tmp_path / "e", {})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be made a folder"):
        Takes(tmp_path / "file", {})
