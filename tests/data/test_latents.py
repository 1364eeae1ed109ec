import dataclasses

import numpy as np
import pytest

from bassdiff.data.latents import HOP, OTHER_KEYS, active_frames, latent_fields, waveform_fields
from bassdiff.data.mixing import normalised_bass, random_mix
from bassdiff.runtime.errors import UnusableSong
from bassdiff.synthesis.stems import Stems

RATE_HZ = 44100
NUM_SAMPLES = 12 * HOP - 300


@pytest.fixture
def stems(rng):
    others = {n: rng.normal(size=NUM_SAMPLES).astype(np.float32) for n in ("drums", "keys")}
    bass = np.sin(np.arange(NUM_SAMPLES) / 50).astype(np.float32)
    bass[4 * HOP : 7 * HOP] = 0.0
    return Stems("song", bass, others, RATE_HZ)


class OneSong:
    """A source of one song; another key is a gain, so that it can be seen."""

    names = ("song",)

    def __init__(self, stems):
        self._stems = stems

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self._stems

    def transposed(self, index, semitones):
        others = {n: x * np.float32(1 + semitones / 12) for n, x in self._stems.others.items()}
        bass = self._stems.bass + np.float32(semitones / 12)
        return dataclasses.replace(self._stems, bass=bass, others=others)


def fake_encode(channels):
    def encode(wave):
        num_frames = -(-len(wave) // HOP)
        padded = np.pad(wave, (0, num_frames * HOP - len(wave))).reshape(num_frames, HOP)
        return padded[:, :channels]

    return encode


def test_latents_are_those_of_basses_and_of_mixed_waveforms(stems):
    make = latent_fields(fake_encode(4), fake_encode(6), num_mixes=3)
    fields = make(OneSong(stems), 0, np.random.default_rng(5))
    assert {name: values.shape for name, values in fields.items()} == {
        "bass": (1, 12, 4), "mix": (3, 12, 6), "active": (1, 12),
    }  # fmt: skip
    assert fields["bass"].dtype == fields["mix"].dtype == np.float16
    rng = np.random.default_rng(5)
    for row in fields["mix"]:
        np.testing.assert_allclose(
            row, fake_encode(6)(random_mix(stems, rng)), rtol=1e-3, atol=1e-4
        )
    bass = fake_encode(4)(normalised_bass(stems))
    np.testing.assert_allclose(fields["bass"][0], bass, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(fields["active"][0], active_frames(stems.bass))


def test_every_key_has_its_bass_and_its_mixes(stems):
    """Basses are told apart by what `OneSong` adds to them."""
    source = OneSong(stems)
    fields = latent_fields(fake_encode(4), fake_encode(6), num_mixes=2, num_keys=3)(
        source, 0, np.random.default_rng(8)
    )
    assert fields["bass"].shape == (3, 12, 4)
    assert fields["mix"].shape == (6, 12, 6)
    assert fields["active"].shape == (1, 12)
    keys = [0, *np.random.default_rng(8).permutation(OTHER_KEYS)[:2]]
    assert len(set(keys)) == 3
    for row, key in zip(fields["bass"], keys, strict=True):
        expected = fake_encode(4)(normalised_bass(source.transposed(0, int(key))))
        np.testing.assert_allclose(row, expected, rtol=1e-3, atol=1e-4)


def test_a_frame_is_active_if_it_is_within_40_db_of_the_loudest():
    level_db = np.asarray([0, -39, -41, -200, -20])
    bass = np.repeat(10 ** (level_db / 20), HOP).astype(np.float32)
    expected = [True, True, False, False, True]
    np.testing.assert_array_equal(active_frames(bass), expected)
    np.testing.assert_array_equal(active_frames(0.01 * bass), expected)
    assert not active_frames(np.zeros(3 * HOP, np.float32)).any()


def test_an_unfinished_frame_has_an_activity_of_its_own():
    bass = np.ones(2 * HOP + 1, np.float32)
    np.testing.assert_array_equal(active_frames(bass), [True, True, True])


@pytest.mark.parametrize(("kind", "rows"), [("bass", 1), ("mix", 3)])
def test_waveforms_are_stored_as_int16(stems, kind, rows):
    audio = waveform_fields(kind, num_mixes=3)(OneSong(stems), 0, np.random.default_rng(2))["audio"]
    assert audio.shape == (rows, NUM_SAMPLES)
    assert audio.dtype == np.int16
    if kind == "bass":
        np.testing.assert_allclose(audio[0] / 32767, normalised_bass(stems), atol=2e-5)


def test_a_wave_that_would_clip_is_made_quieter(stems):
    spike = stems.bass * np.float32(0.01)
    spike[100] = 1.0
    loud = Stems("song", spike, stems.others, RATE_HZ)
    wave = normalised_bass(loud)
    assert wave.max() > 1.5
    audio = waveform_fields("bass", 1)(OneSong(loud), 0, np.random.default_rng(0))["audio"][0]
    assert audio.max() == 32767
    np.testing.assert_allclose(audio / 32767, wave / wave.max(), atol=2e-5)


@pytest.mark.parametrize("value", [np.nan, 1e6])
def test_a_song_whose_latents_are_not_finite_is_left_out(stems, value):
    """One such frame would spoil every batch that it is in."""

    def spoilt(wave):
        latents = fake_encode(4)(wave).copy()
        latents[3, 1] = value
        return latents

    make = latent_fields(spoilt, fake_encode(6), num_mixes=1)
    with pytest.raises(UnusableSong, match="latents of its bass are not finite"):
        make(OneSong(stems), 0, np.random.default_rng(0))
