import numpy as np
import pytest

from bassdiff.data.latents import HOP, active_frames, latent_fields, waveform_fields
from bassdiff.data.mixing import normalised_bass, random_mix
from bassdiff.data.stems import Stems

RATE_HZ = 44100
NUM_SAMPLES = 12 * HOP - 300


@pytest.fixture
def stems(rng):
    others = {n: rng.normal(size=NUM_SAMPLES).astype(np.float32) for n in ("drums", "keys")}
    bass = np.sin(np.arange(NUM_SAMPLES) / 50).astype(np.float32)
    bass[4 * HOP : 7 * HOP] = 0.0
    return Stems("song", bass, others, RATE_HZ)


def fake_encode(channels):
    def encode(wave):
        num_frames = -(-len(wave) // HOP)
        padded = np.pad(wave, (0, num_frames * HOP - len(wave))).reshape(num_frames, HOP)
        return padded[:, :channels]

    return encode


def test_latents_are_those_of_basses_and_of_mixed_waveforms(stems):
    make = latent_fields(fake_encode(4), fake_encode(6), num_mixes=3)
    fields = make(stems, np.random.default_rng(5))
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
    audio = waveform_fields(kind, num_mixes=3)(stems, np.random.default_rng(2))["audio"]
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
    audio = waveform_fields("bass", 1)(loud, np.random.default_rng(0))["audio"][0]
    assert audio.max() == 32767
    np.testing.assert_allclose(audio / 32767, wave / wave.max(), atol=2e-5)
