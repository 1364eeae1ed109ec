import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.score import Bend, Note, Part
from bassdiff.synthesis.soundfont import default_soundfont, play

FLUTE = 73


def part(*notes, program=FLUTE, is_drum=False, bends=()):
    return Part("any", program, is_drum, tuple(Note(*note) for note in notes), tuple(bends))


def strongest_hz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / (1 << 18)


def test_notes_sound_in_time_and_at_their_pitch():
    notes = part((0.5, 1.5, 69, 100))
    (samples,) = play([[notes]], default_soundfont(), 2 * SAMPLE_RATE_HZ)
    assert samples.shape == (2 * SAMPLE_RATE_HZ,)
    assert samples.dtype == np.float32
    onset = np.flatnonzero(np.abs(samples) > 0.01)[0] / SAMPLE_RATE_HZ
    assert onset == pytest.approx(0.5, abs=0.03)
    middle = samples[int(0.8 * SAMPLE_RATE_HZ) : int(1.4 * SAMPLE_RATE_HZ)]
    assert strongest_hz(middle) == pytest.approx(440.0, rel=0.01)


def test_stems_rendered_together_do_not_leak_into_each_other():
    grand = part((0.0, 0.4, 60, 100), program=0)
    drums = part((0.5, 0.6, 38, 100), program=0, is_drum=True)
    kit = [[grand], [drums], [part((0.2, 0.5, 69, 90))]]
    together = play(kit, default_soundfont(), SAMPLE_RATE_HZ)
    apart = [play([stem], default_soundfont(), SAMPLE_RATE_HZ)[0] for stem in kit]
    assert not np.any(together[1][: int(0.45 * SAMPLE_RATE_HZ)])
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_rendering_is_dry():
    stab = part((0.0, 0.2, 38, 110), is_drum=True)
    flute = part((0.0, 0.3, 69, 110))
    samples = play([[stab], [flute]], default_soundfont(), 4 * SAMPLE_RATE_HZ)
    for stem in samples:
        assert np.abs(stem[3 * SAMPLE_RATE_HZ :]).max() < 1e-4


@pytest.mark.parametrize("semitones", [-1.0, 2.0, -7.0])
def test_bends_reach_as_far_as_they_are_asked(semitones):
    notes = part((0.0, 1.0, 69, 100), bends=[Bend(0.1, semitones)])
    (samples,) = play([[notes]], default_soundfont(), SAMPLE_RATE_HZ)
    expected = 440.0 * 2.0 ** (semitones / 12.0)
    assert strongest_hz(samples[SAMPLE_RATE_HZ // 3 :]) == pytest.approx(expected, rel=0.01)


def test_loud_stems_do_not_clip():
    chord = part(*((0.0, 1.0, pitch, 127) for pitch in range(48, 84, 3)), program=81)
    (samples,) = play([[chord]], default_soundfont(), SAMPLE_RATE_HZ)
    top = np.abs(samples).max()
    assert top > 1.0
    assert np.mean(np.abs(samples) > 0.999 * top) < 1e-3


def test_silence_and_faults(tmp_path):
    assert not np.any(play([[part()]], default_soundfont(), 100)[0])
    with pytest.raises(InputError, match="no such SoundFont"):
        play([[part((0, 1, 60, 90))]], tmp_path / "gone.sf2", 100)
    (tmp_path / "bad.sf2").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(InputError, match=r"bad\.sf2: not a readable SoundFont"):
        play([[part((0, 1, 60, 90))]], tmp_path / "bad.sf2", 100)


def test_a_font_that_is_spoilt_is_played_or_refused(tmp_path):
    """Whatever the renderer does with it, which includes to panic."""
    rng = np.random.default_rng(24)
    whole = default_soundfont().read_bytes()
    presets = whole.find(b"pdta")
    refused = 0
    for number in range(60):
        font = bytearray(whole)
        for _ in range(4):
            place = int(rng.integers(presets, len(whole) - 4))
            font[place : place + 4] = int(rng.integers(1 << 32)).to_bytes(4, "little")
        path = tmp_path / f"{number}.sf2"
        path.write_bytes(font)
        try:
            (samples,) = play([[part((0.0, 0.1, 40, 90), program=33)]], path, 4410)
            assert np.isfinite(samples).all()
        except InputError as error:
            assert "not a readable SoundFont" in str(error)
            refused += 1
        path.unlink()
    assert 0 < refused < 60
