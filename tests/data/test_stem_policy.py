"""The stem policy of bassdiff/docs/data.md, by its statistics.

Rates and moments must be within four standard errors of what the rule says: by chance, one in
16,000 would be off, and seeds are fixed.
"""

import itertools
import math

import numpy as np
import pytest

from bassdiff.audio.loudness import loudness_lufs
from bassdiff.data.augmentation import WithCopies
from bassdiff.data.batches import local_batches
from bassdiff.data.mixing import (
    BASS_LUFS,
    GAIN_RANGE_DB,
    MIX_LUFS,
    normalised_bass,
    random_gains_db,
    random_mix,
)
from bassdiff.data.pipeline import CROP_TRIALS, LatentCrop, examples
from bassdiff.synthesis.stems import Stems

RATE_HZ = 44100
NAMES = ("drums", "other", "vocals")
NUM_DRAWS = 30_000
CROP_FRAMES = 10


def assert_rate(hits, num_trials, probability):
    """So many of independent trials succeed as a probability lets expect."""
    error = math.sqrt(probability * (1 - probability) / num_trials)
    assert abs(hits / num_trials - probability) <= 4 * error


def assert_uniform(values, low, high):
    """Mean, variance and extremes are those of independent uniform numbers."""
    values, width = np.asarray(values), high - low
    # The fourth central moment is w^4 / 80, the variance w^2 / 12.
    variance_error = width**2 * math.sqrt((1 / 80 - 1 / 144) / len(values))
    assert abs(values.mean() - (low + high) / 2) <= 4 * width / math.sqrt(12 * len(values))
    assert abs(values.var() - width**2 / 12) <= 4 * variance_error
    # Neither beyond the range nor further from its ends than one in e^10 comes.
    assert low <= values.min() <= low + 10 * width / len(values)
    assert high - 10 * width / len(values) <= values.max() <= high


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(0)
    return [random_gains_db(NAMES, rng) for _ in range(NUM_DRAWS)]


@pytest.fixture(scope="module")
def song():
    """Stems of one second that are orthogonal tones, so that a mix tells their gains."""
    time_seconds = np.arange(RATE_HZ) / RATE_HZ
    tones = {
        name: (0.1 * np.sin(2 * np.pi * hz * time_seconds)).astype(np.float32)
        for name, hz in zip((*NAMES, "bass"), (200, 400, 800, 50), strict=True)
    }
    return Stems("song", tones.pop("bass"), tones, RATE_HZ)


def test_a_mix_has_every_stem_with_probability_half_and_when_a_random_subset_is_full(draws):
    """1/2 + 1/2 · 2^(1-n), which is 5/8 of three stems."""
    assert_rate(sum(len(gains) == 3 for gains in draws), NUM_DRAWS, 0.5 + 0.5 / 2**2)


def test_each_stem_is_as_likely_as_any_other(draws):
    """1/2 + 1/2 · (1/n + (1 - 1/n) / 2), which is 5/6 of three stems."""
    for name in NAMES:
        assert_rate(sum(name in gains for gains in draws), NUM_DRAWS, 5 / 6)


def test_subsets_of_a_size_are_alike_and_larger_ones_likelier(draws):
    """A subset of k of n stems has probability 1/2 · k / (n 2^(n-1)); the empty one never comes."""
    subsets = [frozenset(gains) for gains in draws]
    assert frozenset() not in subsets
    for size in (1, 2):
        for subset in itertools.combinations(NAMES, size):
            assert_rate(subsets.count(frozenset(subset)), NUM_DRAWS, 0.5 * size / (3 * 4))


def test_the_only_stem_of_a_song_is_always_there():
    """A mix of one stem is that stem."""
    for seed in range(50):
        assert set(random_gains_db(["keys"], np.random.default_rng(seed))) == {"keys"}


def test_gains_are_uniform_within_3_db_of_either_side(draws):
    """Uniform in ±3 dB, of every stem and in small mixes as in full ones."""
    assert GAIN_RANGE_DB == 3.0
    for name in NAMES:
        assert_uniform([gains[name] for gains in draws if name in gains], -3.0, 3.0)
    assert_uniform([g for gains in draws if len(gains) == 1 for g in gains.values()], -3.0, 3.0)


def test_gains_of_stems_are_independent(draws):
    """Each stem has a fader of its own."""
    gains = np.array([[g[name] for name in NAMES] for g in draws if len(g) == 3])
    for a, b in itertools.combinations(range(3), 2):
        assert abs(np.corrcoef(gains[:, a], gains[:, b])[0, 1]) <= 4 / math.sqrt(len(gains))


def test_a_mix_is_the_sum_of_the_stems_drawn_with_their_gains(song):
    """Up to the one gain that sets its loudness; the order of the stems does not matter."""
    backwards = Stems("song", song.bass, dict(reversed(song.others.items())), RATE_HZ)
    for seed in range(20):
        mix = random_mix(song, np.random.default_rng(seed))
        gains_db = random_gains_db(NAMES, np.random.default_rng(seed))
        heard = {n: float(np.dot(mix, s) / np.dot(s, s)) for n, s in song.others.items()}
        assert {name for name, share in heard.items() if abs(share) > 0.01} == set(gains_db)
        offsets = [20 * math.log10(heard[name]) - gains_db[name] for name in gains_db]
        np.testing.assert_allclose(offsets, offsets[0], atol=0.01)
        again = random_mix(backwards, np.random.default_rng(seed))
        np.testing.assert_allclose(again, mix, atol=1e-5)


def test_mixes_and_basses_reach_models_at_their_loudness(song):
    """-16 and -20 LUFS within 0.1 LU, however loud the recording and whatever is in the mix."""
    for seed, level in enumerate((0.01, 0.3, 1.0, 5.0, 1.0, 1.0)):
        stems = {name: samples * np.float32(level) for name, samples in song.others.items()}
        louder = Stems("song", song.bass * np.float32(level), stems, RATE_HZ)
        mix = random_mix(louder, np.random.default_rng(seed))
        assert mix.dtype == np.float32
        assert loudness_lufs(mix, RATE_HZ) == pytest.approx(MIX_LUFS, abs=0.1)
        bass = normalised_bass(louder)
        assert loudness_lufs(bass, RATE_HZ) == pytest.approx(BASS_LUFS, abs=0.1)
        np.testing.assert_allclose(bass, normalised_bass(song), rtol=1e-3, atol=1e-5)


def test_a_stem_without_a_sound_makes_no_mix_of_its_own(song):
    """Else one mix in 24 of an instrumental would be of its silent vocals alone."""
    noise_floor = np.full_like(song.bass, 1e-5)
    instrumental = Stems("song", song.bass, {**song.others, "vocals": noise_floor}, RATE_HZ)
    for seed in range(120):
        mix = random_mix(instrumental, np.random.default_rng(seed))
        assert loudness_lufs(mix, RATE_HZ) == pytest.approx(MIX_LUFS, abs=0.1)


class OneSong:
    """A store of one song whose latents say their frame; its four mixes also say their row."""

    def __init__(self, active):
        frames = np.arange(len(active), dtype=np.float32)
        rows = [np.stack([frames, np.full_like(frames, row)], axis=1) for row in range(4)]
        self._fields = {
            "active": np.asarray(active, bool)[None],
            "bass": frames[None, :, None],
            "mix": np.stack(rows),
        }

    def __len__(self):
        return 1

    def num_frames(self, song):
        return self._fields["active"].shape[1]

    def num_rows(self, song, field):
        return len(self._fields[field])

    def read(self, song, field):
        return self._fields[field]

    def crop(self, song, field, row, start, num_frames):
        return self._fields[field][row, start : start + num_frames]


def crops(active, num_draws):
    """Starts and rows `[num_draws]` of crops that are drawn of a song."""
    crop, rng = LatentCrop(OneSong(active), CROP_FRAMES), np.random.default_rng(1)
    drawn = [crop.random_map(0, rng)["mix"][0] for _ in range(num_draws)]
    return np.array(drawn, int).T


def test_crops_start_anywhere_alike():
    """Uniform over the song, first and last possible frame included."""
    starts, _ = crops(np.ones(49), NUM_DRAWS)
    assert set(starts) == set(range(40))
    for eighth in range(8):
        assert_rate(np.sum(starts // 5 == eighth), NUM_DRAWS, 1 / 8)


def test_a_crop_takes_any_of_the_mixes():
    """Every mix of a song is as likely, and the start of a crop tells nothing of it."""
    starts, rows = crops(np.ones(49), NUM_DRAWS)
    for row in range(4):
        assert_rate(np.sum(rows == row), NUM_DRAWS, 1 / 4)
        assert_rate(np.sum((rows == row) & (starts % 4 == row)), NUM_DRAWS, 1 / 16)


def active_share(active, starts):
    return np.array([np.mean(active[start : start + CROP_FRAMES]) for start in starts])


def test_crops_in_which_the_bass_rests_are_drawn_again():
    """A quarter of the frames are active at least; what passes is uniform among what could."""
    active = np.arange(89) >= 42
    starts, _ = crops(active, NUM_DRAWS)
    assert active_share(active, starts).min() >= 0.25
    # Crops from frame 35 on have three active frames of ten.
    assert set(starts) == set(range(35, 80))
    for third in range(3):
        assert_rate(np.sum((starts - 35) // 15 == third), NUM_DRAWS, 1 / 3)


def test_a_song_in_which_the_bass_hardly_plays_gives_up_after_twenty_crops():
    """With a share q of good crops, (1 - q)^20 of those delivered are not."""
    active = np.arange(109) >= 97
    starts, _ = crops(active, 2000)
    good = np.mean(active_share(active, range(100)) >= 0.25)
    assert good == 0.1
    assert CROP_TRIALS == 20
    assert_rate(np.sum(active_share(active, starts) < 0.25), 2000, (1 - good) ** 20)


@pytest.fixture(scope="module")
def changes():
    copies = WithCopies([], 2, tempos=(0.8, 1.2), max_semitones=2, seed=3)
    return [copies.change(f"song {i}", copy) for i in range(NUM_DRAWS // 2) for copy in (1, 2)]


def test_tempos_of_copies_are_log_uniform(changes):
    """As often a fifth slower as the same ratio faster, within the range given."""
    assert_uniform([math.log(c.tempo) for c in changes], math.log(0.8), math.log(1.2))


def test_semitones_of_copies_are_uniform(changes):
    """From -2 to 2, each as likely, the song's own key too."""
    for semitones in range(-2, 3):
        assert_rate(sum(c.semitones == semitones for c in changes), NUM_DRAWS, 1 / 5)
    assert all(abs(c.semitones) <= 2 for c in changes)


def test_tempo_and_key_of_a_copy_and_of_two_copies_are_independent(changes):
    """Nothing of one tells anything of another."""
    tempos, semitones = np.array(changes).T
    pairs = [(tempos, semitones), *((x[::2], x[1::2]) for x in (tempos, semitones))]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) <= 4 / math.sqrt(len(a))


@pytest.mark.parametrize("num_processes", [1, 2, 8])
def test_examples_are_the_same_in_any_order_and_number_of_processes(num_processes):
    """Example i is decided by i and the seed, over the bounds of epochs and of batches."""
    store = OneSong(np.ones(400))
    dataset = examples(store, LatentCrop(store, CROP_FRAMES), CROP_FRAMES, seed=5)
    backwards = [dataset[i]["mix"] for i in reversed(range(32))][::-1]
    shares = [
        local_batches(dataset, 8, 0, (part, num_processes), num_threads=1 + part % 3)
        for part in range(num_processes)
    ]
    batches = [np.concatenate([next(share)["mix"] for share in shares]) for _ in range(4)]
    np.testing.assert_array_equal(np.concatenate(batches), backwards)
    # All are of one song: each epoch draws its own crop.
    assert len({mix[0, 0] for mix in backwards}) > 20
