import numpy as np
import pytest

from bassdiff.data.pipeline import ConfusableCrops, LatentCrop, WaveformCrop, examples
from bassdiff.data.store import Store
from bassdiff.data.store_building import build
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Stems

LENGTHS = [40, 8, 50, 60]


class Songs:
    names = tuple(f"song{i}" for i in range(len(LENGTHS)))

    def __len__(self):
        return len(LENGTHS)

    def __getitem__(self, index):
        silent = np.zeros(LENGTHS[index], np.float32)
        return Stems(self.names[index], silent, {"drums": silent}, 44100)


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    """Bass latents that say song and frame; mixes of two rows that also say their row."""

    def make(source, index, rng):
        del rng
        stems = source[index]
        song, frame = int(stems.name[4:]), np.arange(len(stems.bass))
        bass = np.stack([np.full_like(frame, song), frame], axis=-1)[None]
        mix = np.stack(
            [np.concatenate([bass[0], np.full((len(frame), 1), row)], 1) for row in (0, 1)]
        )
        active = (frame >= len(frame) // 2)[None]
        return {"bass": bass.astype(np.float16), "mix": mix.astype(np.float16), "active": active}

    folder = tmp_path_factory.mktemp("latents")
    build(folder, Songs(), make, {}, seed=0)
    return Store(folder)


@pytest.fixture(scope="module")
def crops(latents):
    return examples(latents, LatentCrop(latents, 10), 10, seed=1)


def test_a_crop_is_one_stretch_of_bass_and_mix_alike(crops):
    for i in range(50):
        example = crops[i]
        bass, mix = example["bass"], example["mix"]
        assert bass.shape == (10, 2)
        assert mix.shape == (10, 3)
        assert bass.dtype == mix.dtype == np.float32
        np.testing.assert_array_equal(np.diff(bass[:, 1]), 1)
        np.testing.assert_array_equal(mix[:, :2], bass)
        assert len(np.unique(mix[:, 2])) == 1
    assert {crops[i]["mix"][0, 2] for i in range(50)} == {0, 1}


def test_a_reference_is_the_same_bass_at_a_moment_of_its_own(crops):
    """Also one that plays: in the second half of these songs."""
    moved = set()
    for i in range(90):
        bass, reference = crops[i]["bass"], crops[i]["reference"]
        assert reference.shape == (10, 2)
        assert reference.dtype == np.float32
        np.testing.assert_array_equal(reference[:, 0], bass[:, 0])
        np.testing.assert_array_equal(np.diff(reference[:, 1]), 1)
        song = int(bass[0, 0])
        active = reference[:, 1] >= LENGTHS[song] // 2
        assert active.mean() >= 0.25
        moved.add(reference[0, 1] - bass[0, 1])
    assert len(moved) > 20
    assert min(moved) < -10 and max(moved) > 10


def test_every_epoch_has_every_long_enough_song_once_in_a_new_order(crops):
    songs = np.asarray([crops[i]["bass"][0, 0] for i in range(3 * 40)]).reshape(40, 3)
    for epoch in songs:
        assert set(epoch) == {0, 2, 3}
    assert len({tuple(epoch) for epoch in songs}) > 3


def test_epochs_differ_in_their_crops(crops):
    starts = {tuple(crops[i]["bass"][0]) for i in range(90)}
    assert len(starts) > 30


def test_an_example_depends_on_its_index_and_seed_alone(latents, crops):
    again = examples(latents, LatentCrop(latents, 10), 10, seed=1)
    other = examples(latents, LatentCrop(latents, 10), 10, seed=2)
    for i in (17, 3, 1_000_003):
        for field in ("bass", "mix", "reference"):
            np.testing.assert_array_equal(again[i][field], crops[i][field])
    assert any(not np.array_equal(other[i]["mix"], crops[i]["mix"]) for i in range(5))


def test_the_sequence_outlasts_any_run(crops):
    assert len(crops) >= 3 * 10**6


def test_crops_longer_than_any_song_are_refused(latents):
    with pytest.raises(InputError, match="no song of the store has 61 frames; shorten the crops"):
        examples(latents, LatentCrop(latents, 61), 61, seed=0)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    """Latents `(key, frame)` of songs in two keys; mixes, two a key, also say their row."""

    def make(source, index, rng):
        frame = np.arange(LENGTHS[index])
        bass = np.stack([np.stack([np.full_like(frame, key), frame], 1) for key in (0, 1)])
        mix = np.stack(
            [np.concatenate([bass[r // 2], np.full((len(frame), 1), r)], 1) for r in range(4)]
        )
        active = np.ones((1, len(frame)), bool)
        return {"bass": bass.astype(np.float16), "mix": mix.astype(np.float16), "active": active}

    folder = tmp_path_factory.mktemp("keyed")
    build(folder, Songs(), make, {}, seed=0)
    return Store(folder)


def test_a_crop_of_a_song_in_two_keys_has_bass_and_mix_in_the_same(keyed):
    crops = examples(keyed, LatentCrop(keyed, 10), 10, seed=0)
    for i in range(40):
        np.testing.assert_array_equal(crops[i]["mix"][:, :2], crops[i]["bass"])
        np.testing.assert_array_equal(crops[i]["reference"][:, 0], crops[i]["bass"][:, 0])
    assert {(crops[i]["bass"][0, 0], crops[i]["mix"][0, 2] % 2) for i in range(40)} == {
        (key, row) for key in (0, 1) for row in (0, 1)
    }


def test_confusable_crops_are_true_pairs_in_another_key_and_at_other_moments(keyed):
    crop = ConfusableCrops(keyed, 10)
    assert crop.min_frames == 30
    shifts, mixes = set(), set()
    for seed in range(200):
        example = crop.random_map(3, np.random.default_rng(seed))
        bass, mix = example["bass"], example["mix"]
        assert bass.shape == (4, 10, 2)
        np.testing.assert_array_equal(mix[..., :2], bass)
        keys, starts = bass[:, 0, 0], bass[:, 0, 1]
        assert keys[0] == keys[2] == keys[3] != keys[1]
        assert abs(starts[3] - starts[0]) >= 10
        assert starts[0] == starts[1]
        shifts.add(abs(int(starts[2] - starts[0])))
        mixes |= set(mix[:, 0, 2])
    assert shifts == set(range(2, 13))
    assert mixes == {0, 1, 2, 3}


def test_one_key_is_not_enough_to_be_confused(latents):
    with pytest.raises(InputError, match="encode them with --keys 2"):
        ConfusableCrops(latents, 10).random_map(0, np.random.default_rng(0))


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """A song that is silent but for one stretch, one of two loud rows, one of silence."""

    def make(source, index, rng):
        rows = np.zeros((2, 4000), np.int16)
        match source.names[index]:
            case "song0":
                rows[:, 2000:] = 3000
            case "song1":
                rows[:] = np.asarray([[1000], [-2000]])
        return {"audio": rows}

    folder = tmp_path_factory.mktemp("waves")
    build(folder, Songs(), make, {}, seed=0)
    return Store(folder)


def test_waveform_crops_are_loud_enough_and_gain_6_db_at_most(waves):
    crop = WaveformCrop(waves, 100, min_rms=0.01)
    levels = {0: [], 1: []}
    for seed in range(120):
        for song, seen in levels.items():
            audio = crop.random_map(song, np.random.default_rng(seed))["audio"]
            assert audio.shape == (100,)
            assert audio.dtype == np.float32
            seen.append(audio[-1])
    assert np.count_nonzero(levels[0]) == 120
    for sign, full_scale in ((1, 1000 / 32768), (-1, 2000 / 32768)):
        gain_db = 20 * np.log10([sign * v / full_scale for v in levels[1] if sign * v > 0])
        assert len(gain_db) > 30
        assert -6.01 < gain_db.min() < -4
        assert 4 < gain_db.max() < 6.01


def test_a_share_of_crops_comes_in_another_sound(waves):
    plain, varied, some = (WaveformCrop(waves, 1000, varied_share=p) for p in (0.0, 1.0, 0.5))
    changed = 0
    for seed in range(40):
        crops = [
            crop.random_map(1, np.random.default_rng(seed))["audio"]
            for crop in (plain, varied, some)
        ]
        assert not np.array_equal(crops[0], crops[1])
        changed += not np.array_equal(crops[0], crops[2])
    assert 8 < changed < 32


def test_a_silent_song_still_gives_a_crop(waves):
    audio = WaveformCrop(waves, 100).random_map(2, np.random.default_rng(0))["audio"]
    np.testing.assert_array_equal(audio, np.zeros(100))


def test_a_crop_may_be_the_whole_song(waves):
    audio = WaveformCrop(waves, 4000).random_map(1, np.random.default_rng(0))["audio"]
    assert audio.shape == (4000,)
