import numpy as np
import pytest

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.pitch import HOP_SECONDS, PitchTrack
from bassdiff.audio.spectrogram import power_blocks
from bassdiff.metrics import harmony_rhythm, music
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.score import Chord

RATE_HZ = 22050


def harmony(mix, bass, rate_hz=RATE_HZ):
    return harmony_rhythm.harmony_score(*features(mix, bass, rate_hz))


def rhythm(mix, bass, rate_hz=RATE_HZ):
    return harmony_rhythm.rhythm_score(*features(mix, bass, rate_hz))


def features(mix, bass, rate_hz):
    return harmony_rhythm.mix_features(mix, rate_hz), harmony_rhythm.bass_features(bass, rate_hz)


def _note(midi, num_samples, num_harmonics=5):
    seconds = np.arange(num_samples) / RATE_HZ
    hz = 440 * 2 ** ((midi - 69) / 12)
    tone = sum(np.sin(2 * np.pi * hz * k * seconds) / k for k in range(1, num_harmonics + 1))
    return tone * np.exp(-2 * seconds) * np.minimum(1, seconds / 0.005)


def _song(seed, num_beats=20, transpose=0):
    """Mix and bass: random triads on random beats, the bass on their roots at the same time."""
    rng = np.random.default_rng(seed)
    # A tempo of its own, or unlike songs would agree on the beat.
    beat = int((0.33 + 0.023 * (seed % 8)) * RATE_HZ)
    mix, bass = np.zeros(num_beats * beat), np.zeros(num_beats * beat)
    root = 0
    for index in range(num_beats):
        if index % 4 == 0:
            root = rng.integers(12)
        if index % 4 and rng.random() < 0.4:
            continue
        place = slice(index * beat, (index + 1) * beat)
        for step in (0, 4, 7, 12):
            mix[place] += 0.1 * _note(60 + root + step + transpose, beat)
        bass[place] = 0.3 * _note(36 + (root + transpose) % 12, beat)
    return mix.astype(np.float32), bass.astype(np.float32)


def _features(chroma=None, classes=None, mix_onsets=None, bass_onsets=None):
    num_frames = 400
    chroma = np.zeros((num_frames, 12)) if chroma is None else chroma
    classes = np.full(num_frames, -1) if classes is None else classes
    midi = 36 + np.maximum(classes, 0)
    track = PitchTrack(440 * 2 ** ((midi - 69) / 12), classes >= 0, HOP_SECONDS)
    zeros = np.zeros(num_frames)
    return (
        harmony_rhythm.MixFeatures(chroma, zeros if mix_onsets is None else mix_onsets),
        harmony_rhythm.BassFeatures(track, zeros if bass_onsets is None else bass_onsets),
    )


def test_harmony_of_known_chroma_is_exact():
    # Every frame: the bass's own class holds 0.5, the class k semitones above it k / 100.
    classes = np.arange(400) % 12
    by_shift = np.array([0.5, *(np.arange(1, 12) / 100)])
    chroma = np.stack([np.roll(by_shift, shift) for shift in classes])
    score = harmony_rhythm.harmony_score(*_features(chroma, classes))
    others = by_shift[1:]
    assert (score.rank, score.top1) == (1.0, True)
    assert score.z == pytest.approx((0.5 - others.mean()) / others.std())
    # A bass 3 semitones lower finds at its own class what lay 9 above.
    lower = harmony_rhythm.harmony_score(*_features(chroma, (classes - 3) % 12))
    assert lower.rank == 1 + 1 + 2 and not lower.top1


def test_ties_share_their_rank():
    classes = np.zeros(400, int)
    chroma = np.zeros((400, 12))
    chroma[:, [0, 4, 7]] = 1
    assert harmony_rhythm.harmony_score(*_features(chroma, classes)).rank == 2.0
    assert harmony_rhythm.harmony_score(*_features(chroma, classes + 1)).rank == 8.0


def test_a_bass_pitched_in_less_than_a_tenth_is_no_bass():
    chroma = np.zeros((400, 12))
    chroma[:, 2] = 1
    for num_voiced, rank in ((39, 12), (40, 1)):
        classes = np.where(np.arange(400) < num_voiced, 2, -1)
        score = harmony_rhythm.harmony_score(*_features(chroma, classes))
        assert (score.rank, score.top1, score.z > 0) == (rank, rank == 1, rank == 1)


def test_without_a_mix_all_transpositions_are_alike():
    assert harmony_rhythm.harmony_score(
        *_features(classes=np.zeros(400, int))
    ) == harmony_rhythm.HarmonyScore(6.5, False, 0.0)


def test_harmony_counts_voiced_frames_only():
    chroma = np.zeros((400, 12))
    chroma[:200, 2], chroma[200:, 5] = 1, 1
    classes = np.where(np.arange(400) < 200, 2, -1)
    assert harmony_rhythm.harmony_score(*_features(chroma, classes)).rank == 1


@pytest.mark.parametrize("seed", range(3))
def test_root_bass_ranks_first_and_any_transposition_of_it_does_not(seed):
    mix, bass = _song(seed)
    assert harmony(mix, bass, RATE_HZ).top1
    semitone_up = _song(seed, transpose=1)[1]
    assert harmony(mix, semitone_up, RATE_HZ).rank > 4


def test_harmony_does_not_depend_on_the_key():
    scores = [harmony(*_song(1, transpose=shift), RATE_HZ) for shift in (0, 3, 8)]
    assert {score.rank for score in scores} == {1.0}
    assert max(score.z for score in scores) < 1.5 * min(score.z for score in scores)


def test_rhythm_of_equal_onsets_is_one_within_two_frames_of_lag():
    onsets = np.random.default_rng(0).random(400) ** 4
    for lag in (-2, -1, 0, 1, 2):
        score = harmony_rhythm.rhythm_score(
            *_features(mix_onsets=onsets, bass_onsets=np.roll(onsets, lag))
        )
        assert score.correlation == pytest.approx(1, abs=0.02)
        assert score.percentile == 1
    for lag in (-8, 8):
        late = harmony_rhythm.rhythm_score(
            *_features(mix_onsets=onsets, bass_onsets=np.roll(onsets, lag))
        )
        assert late.correlation < 0.3 and late.percentile < 1


def test_rhythm_of_unrelated_onsets_is_at_chance():
    rng = np.random.default_rng(0)
    scores = [
        harmony_rhythm.rhythm_score(
            *_features(mix_onsets=rng.random(400), bass_onsets=rng.random(400))
        )
        for _ in range(100)
    ]
    # The standard error of a mean of 100 uniform percentiles is 0.029.
    assert np.mean([score.percentile for score in scores]) == pytest.approx(0.5, abs=0.09)
    assert abs(np.mean([score.correlation for score in scores])) < 0.1


def test_a_bass_on_the_beat_beats_one_off_the_beat():
    mix, bass = _song(2)
    on_time = rhythm(mix, bass, RATE_HZ)
    late = rhythm(mix, np.roll(bass, int(0.15 * RATE_HZ)), RATE_HZ)
    assert on_time.correlation > 0.8 and on_time.percentile > 0.9
    assert late.correlation < 0.3


@pytest.mark.parametrize("silent_seconds", [0, 0.01, 0.025])
def test_the_cut_of_a_clip_is_no_onset(silent_seconds):
    seconds = np.arange(4 * RATE_HZ) / RATE_HZ
    rng = np.random.default_rng(0)
    # Steady noise and a steady tone, silent for as long as an encoder's delay.
    heard = seconds >= silent_seconds
    mix = 0.1 * rng.standard_normal(len(seconds)) * heard
    bass = 0.2 * np.sin(2 * np.pi * 57.3 * seconds + 1) * heard
    for onsets in (
        harmony_rhythm.mix_features(mix, RATE_HZ).onsets,
        harmony_rhythm.bass_features(bass, RATE_HZ).onsets,
    ):
        assert onsets.max() < 3 * np.median(onsets) + 0.5


@pytest.mark.parametrize("num_samples", [1, 5000, RATE_HZ])
def test_silence_has_defined_scores(num_samples):
    silence = np.zeros(num_samples, np.float32)
    sound = _song(0)[0][:num_samples]
    for mix, bass in ((sound, silence), (silence, sound), (silence, silence)):
        if bass is silence:
            assert harmony(mix, bass, RATE_HZ) == harmony_rhythm.HarmonyScore(12.0, False, 0.0)
        assert rhythm(mix, bass, RATE_HZ) == harmony_rhythm.RhythmScore(0.0, 0.5)


def test_power_in_blocks_is_that_of_the_whole():
    samples = np.random.default_rng(0).standard_normal(600_000).astype(np.float32)
    blocks = list(power_blocks(samples, 1024, 256))
    assert len(blocks) > 1
    whole = np.abs(librosa.stft(samples, n_fft=1024, hop_length=256)) ** 2
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole, rtol=1e-4, atol=1e-4)


def test_features_lie_on_one_grid_at_any_rate():
    mix, _ = _song(0)
    frames = 1 + len(mix) // 256
    for rate_hz, samples in ((RATE_HZ, mix), (44100, np.repeat(mix, 2))):
        mixed, low = (
            harmony_rhythm.mix_features(samples, rate_hz),
            harmony_rhythm.bass_features(samples, rate_hz),
        )
        lengths = {len(mixed.chroma), len(mixed.onsets), len(low.onsets), len(low.pitch.f0_hz)}
        assert lengths == {frames}
    assert mixed.chroma.shape[1] == 12 and 0 <= mixed.chroma.min() <= mixed.chroma.max() <= 1


def test_ties_are_half_won_and_nan_never_wins():
    nan = np.nan
    won = music.wins(np.array([2.0, 1.0, 1.0, nan, 1.0, nan]), np.array([1, 2, 1, 1, nan, nan]))
    assert won.tolist() == [1, 0, 0.5, 0, 1, 0]


def shuffled(mixes, basses, songs=None):
    """Scores of every mix with another song's bass."""
    songs = list(range(len(mixes))) if songs is None else songs
    order = music.derangement(songs)
    return music.score_features(mixes, [basses[i] for i in order], songs, [songs[i] for i in order])


@pytest.fixture(scope="module")
def analysed():
    songs = [_song(seed) for seed in range(8)]
    return (
        [harmony_rhythm.mix_features(mix, RATE_HZ) for mix, _ in songs],
        [harmony_rhythm.bass_features(bass, RATE_HZ) for _, bass in songs],
    )


def values(scores):
    return {name: score.value for name, score in scores.items()}


def test_true_pairs_stand_far_above_shuffled_ones(analysed):
    true = values(music.score_features(*analysed))
    other = values(shuffled(*analysed))
    assert true["harmony_top1"] == 1 and true["harmony_rank"] == 1
    assert true["harmony_matched"] > 0.95
    assert true["rhythm_matched"] > 0.95
    assert true["rhythm_correlation"] > 0.8
    assert other["harmony_top1"] < 0.4 and other["harmony_rank"] > 3
    assert 0.2 < other["harmony_matched"] < 0.8
    assert other["rhythm_correlation"] < true["rhythm_correlation"] - 0.2
    for score in music.score_features(*analysed).values():
        assert score.low - 1e-9 <= score.value <= score.high + 1e-9
        assert len(score.per_clip) == 8


def test_shuffling_never_keeps_a_song_together_nor_counts_the_true_bass(analysed):
    mixes, basses = analysed
    # Each mix fits its own bass best, then the one that the rotation gives it: with the true
    # bass among the rivals the share would be 0.5.
    pairs = []
    for index in range(3):
        chroma = np.zeros((400, 12))
        chroma[:, index], chroma[:, (index - 1) % 3] = 1, 0.5
        pairs.append(_features(chroma, np.full(400, index)))
    scores = values(shuffled(*zip(*pairs, strict=True)))
    assert scores["harmony_top1"] == 0 and scores["harmony_matched"] == 1
    twins = shuffled(
        [mixes[0], mixes[0], mixes[1], mixes[1]],
        [basses[0], basses[0], basses[1], basses[1]],
        ["a", "a", "b", "b"],
    )
    assert twins["rhythm_correlation"].value < 0.7


def test_pairs_of_one_song_are_no_mismatches(analysed):
    mixes, basses = (features[:2] for features in analysed)
    twice = music.score_features(mixes * 2, basses * 2, songs=["a", "b", "a", "b"])
    once = music.score_features(mixes, basses)
    assert twice["harmony_matched"].value == once["harmony_matched"].value
    for name in once:
        assert (twice[name].low, twice[name].high) == (once[name].low, once[name].high)
    assert music.score_features(mixes * 2, basses * 2)["rhythm_matched"].value < 1


def test_one_pair_and_a_silent_bass_have_defined_scores(analysed):
    mixes, _ = analysed
    silence = harmony_rhythm.bass_features(np.zeros(1000, np.float32), RATE_HZ)
    scores = values(music.score_features(mixes[:1], [silence]))
    assert (scores["harmony_rank"], scores["voiced_share"]) == (12, 0)
    assert scores["harmony_top1"] == scores["harmony_z"] == 0
    assert np.isnan(scores["harmony_matched"])


class Judge:
    """A judge that hears who is who by the first sample."""

    def mix_vectors(self, mix):
        return np.eye(4)[[round(float(mix[0])), 3]]

    bass_vectors = mix_vectors


def test_clips_are_scored_by_every_measure_that_can_be_known():
    """Chords on every second; the bass plays their roots, the shuffled one another song's."""
    seconds, rate = 4, 44100
    mixes, basses = [], []
    for number, root in enumerate((0, 4, 9)):
        time = np.arange(seconds * rate) / rate
        hz = 440 * 2 ** ((36 + root - 69) / 12)
        bass = 0.3 * np.sin(2 * np.pi * hz * time) * np.exp(-3 * (time % 0.5))
        bass[0] = mix_start = number
        chords = (Chord(0.0, float(seconds), root, "maj", root),)
        beats = tuple(np.arange(0.0, seconds, 0.5).tolist())
        mix = 0.1 * np.random.default_rng(number).normal(size=len(time)) * np.exp(-9 * (time % 0.5))
        mix[0] = mix_start
        known = Annotation(beats, chords)
        mixes.append(music.hear_mix(mix, known, drums=mix, true_bass=bass, judge=Judge()))
        basses.append(music.hear_bass(bass, judge=Judge()))
    songs = ["a", "b", "c"]
    true = music.score_clips(mixes, basses, songs)
    assert set(true) == {column.name for column in music.COLUMNS}
    assert true["chord_tone_share"].value > 0.9 and true["root_share"].value > 0.9
    assert true["onset_f1_true"].value == 1
    assert true["onset_f1_drums"].value > 0.8
    assert true["fit"].value == pytest.approx(1.0) and true["fit_matched"].value == 1
    order = music.derangement(songs)
    other = music.score_clips(mixes, [basses[i] for i in order], songs, [songs[i] for i in order])
    assert other["root_share"].value == 0
    assert other["fit"].value == pytest.approx(0.5)
    assert other["fit"].per_clip == pytest.approx((0.5, 0.5, 0.5))


def test_without_a_judge_a_drum_stem_or_chords_those_are_not_known():
    noise = np.random.default_rng(0).normal(size=44100)
    mix = music.hear_mix(noise, Annotation())
    scores = music.score_clips([mix] * 2, [music.hear_bass(noise)] * 2, ["a", "b"])
    assert "fit" not in scores
    for name in ("chord_tone_share", "onset_f1_drums", "onset_f1_true"):
        assert np.isnan(scores[name].value)


def test_wrong_numbers_are_refused(analysed):
    mixes, basses = analysed
    for arguments in (([], []), (mixes[:2], basses[:1]), (mixes[:2], basses[:2], ["a"])):
        with pytest.raises(ValueError, match="give as many of each, and at least one"):
            music.score_features(*arguments)
    with pytest.raises(ValueError, match="at least two songs"):
        music.derangement(["a", "a"])


def _chords(seed, semitones=0):
    """Six seconds of triads, one every half second, as sums of sines of three octaves."""
    rng = np.random.default_rng(seed)
    times = np.arange(RATE_HZ // 2) / RATE_HZ
    parts = []
    for root in rng.integers(0, 12, 12):
        midi = 48 + root + semitones + np.array([0, 4, 7, 12, 16])
        hz = 440.0 * 2.0 ** ((midi - 69) / 12)
        parts.append(np.sin(2 * np.pi * hz[:, None] * times).sum(axis=0))
    return (0.1 * np.concatenate(parts)).astype(np.float32)


@pytest.mark.parametrize("semitones", [0, 1, 5, 11])
def test_a_line_of_many_voices_fits_by_its_chroma(semitones):
    """Chords fit a mix of the same chords, and no other key of them does."""
    mix = harmony_rhythm.mix_features(_chords(3), RATE_HZ)
    line = harmony_rhythm.line_features(_chords(3, semitones), RATE_HZ)
    found = harmony_rhythm.harmony_score(mix, line)
    assert found.top1 == (semitones == 0) and (found.z > 1.0) == (semitones == 0)
    # By the definition, for one transposition.
    weights = line.chroma / np.maximum(line.chroma.sum(axis=1, keepdims=True), 1e-9)
    sounding = weights.any(axis=1)
    scores = harmony_rhythm._transposed_scores(mix, line)
    expected = np.mean([weights[f] @ np.roll(mix.chroma[f], -4) for f in np.flatnonzero(sounding)])
    assert scores[4] == pytest.approx(expected, rel=1e-5)


def test_silence_of_many_voices_fits_nothing():
    mix = harmony_rhythm.mix_features(_chords(3), RATE_HZ)
    silence = harmony_rhythm.line_features(np.zeros(2 * RATE_HZ, np.float32), RATE_HZ)
    assert harmony_rhythm.harmony_score(mix, silence) == harmony_rhythm.HarmonyScore(12.0, False, 0)


def test_only_measures_that_mean_something_are_asked():
    names = {
        kind: {column.name for column in music.columns_for(kind)}
        for kind in ("one", "many", "unpitched")
    }
    assert names["one"] == {column.name for column in music.COLUMNS}
    assert "harmony_top1" in names["many"] and "hnr_db" not in names["many"]
    assert names["many"] - names["unpitched"] == {
        *("harmony_top1", "harmony_rank", "harmony_z", "harmony_matched")
    }
