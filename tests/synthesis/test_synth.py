import dataclasses

import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.synthesis.score import Bend, Note, Part
from bassdiff.synthesis.synth import one_voice, play_voice
from bassdiff.synthesis.timbres import TIMBRES, Timbre, vary_timbre

PURE = Timbre("sine", cutoff_hz=5000.0, sweep_octaves=0.0, sustain=1.0)


def part(*notes, bends=()):
    return Part("bass", 33, False, tuple(Note(*note) for note in notes), tuple(bends))


def strongest_hz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / (1 << 18)


def hz(pitch):
    return 440.0 * 2.0 ** ((pitch - 69) / 12.0)


@pytest.mark.parametrize("name", sorted(TIMBRES))
def test_timbre_sounds_at_its_pitch_and_dies_away(name):
    notes = part((0.1, 0.8, 45, 100))
    samples = play_voice([notes], TIMBRES[name], 2 * SAMPLE_RATE_HZ)
    assert samples.dtype == np.float32
    assert samples.shape == (2 * SAMPLE_RATE_HZ,)
    assert 0.1 < np.abs(samples).max() < 2.0
    assert np.abs(samples[: SAMPLE_RATE_HZ // 11]).max() == 0.0
    assert np.abs(samples[-SAMPLE_RATE_HZ // 5 :]).max() < 1e-3
    spectrum = np.abs(np.fft.rfft(samples[4410:35280] * np.hanning(30870))) ** 2
    frequency = np.fft.rfftfreq(30870, 1.0 / SAMPLE_RATE_HZ)
    order = np.round(frequency / hz(45))
    harmonic = (order >= 1) & (np.abs(frequency - order * hz(45)) < 8.0)
    assert spectrum[harmonic].sum() > 0.8 * spectrum.sum()


def test_timbres_differ():
    notes = part((0.0, 0.5, 40, 100), (0.5, 0.7, 47, 80))
    played = [play_voice([notes], timbre, SAMPLE_RATE_HZ) for timbre in TIMBRES.values()]
    unit = np.stack([samples / np.linalg.norm(samples) for samples in played])
    spectra = np.abs(np.fft.rfft(unit))
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    likeness = spectra @ spectra.T - np.eye(len(spectra))
    assert likeness.max() < 0.999


def test_pitch_is_exact_and_follows_bends():
    low = play_voice([part((0.0, 1.0, 40, 100))], PURE, SAMPLE_RATE_HZ)
    assert strongest_hz(low) == pytest.approx(hz(40), rel=2e-3)
    bent = part((0.0, 2.0, 40, 100), bends=[Bend(0.2, 2.0), Bend(1.0, -1.0)])
    samples = play_voice([bent], PURE, 2 * SAMPLE_RATE_HZ)
    assert strongest_hz(samples[13230:39690]) == pytest.approx(hz(42), rel=3e-3)
    assert strongest_hz(samples[48510:]) == pytest.approx(hz(39), rel=3e-3)


def test_bends_belong_to_their_part():
    still = part((1.0, 2.0, 40, 100))
    moving = part((0.0, 1.0, 40, 100), bends=[Bend(0.0, 3.0)])
    samples = play_voice([still, moving], PURE, 2 * SAMPLE_RATE_HZ)
    assert strongest_hz(samples[:SAMPLE_RATE_HZ]) == pytest.approx(hz(43), rel=3e-3)
    assert strongest_hz(samples[SAMPLE_RATE_HZ:]) == pytest.approx(hz(40), rel=3e-3)


def test_tied_notes_glide_and_separate_notes_do_not():
    timbre = dataclasses.replace(PURE, glide_seconds=0.5)
    second = slice(22050, 26460)
    for gap, tied in ((0.0, True), (0.1, False)):
        notes = part((0.0, 0.5 - gap, 40, 100), (0.5, 1.5, 52, 100))
        samples = play_voice([notes], timbre, 2 * SAMPLE_RATE_HZ)
        assert (strongest_hz(samples[second]) < hz(50)) == tied
        assert strongest_hz(samples[44100:66150]) == pytest.approx(hz(52), rel=1e-2)


def test_one_voice_keeps_the_lowest_of_a_chord_and_ends_notes_in_time():
    line = one_voice([part((0.0, 2.0, 40, 90), (0.01, 1.0, 33, 90), (1.0, 1.5, 45, 90))])
    assert [(n.start_seconds, n.end_seconds, n.pitch) for n, _ in line] == [
        (0.01, 1.0, 33),
        (1.0, 1.5, 45),
    ]


def test_harder_is_louder_and_nothing_is_silence():
    soft = play_voice([part((0.0, 1.0, 40, 40))], TIMBRES["saw"], SAMPLE_RATE_HZ)
    hard = play_voice([part((0.0, 1.0, 40, 120))], TIMBRES["saw"], SAMPLE_RATE_HZ)
    assert np.std(hard) > 2.0 * np.std(soft)
    assert not np.any(play_voice([part()], TIMBRES["saw"], 1000))


def test_struck_notes_do_not_click():
    notes = part(*((i * 0.25, i * 0.25 + 0.25, 40 + i % 3, 100) for i in range(8)))
    samples = play_voice([notes], PURE, 2 * SAMPLE_RATE_HZ)
    # The steepest a sine at this pitch and level gets, with some room for the envelope.
    assert np.abs(np.diff(samples)).max() < 2.0 * 2.0 * np.pi * hz(42) / SAMPLE_RATE_HZ


def test_variation_stays_playable():
    rng = np.random.default_rng(0)
    notes = part((0.0, 0.5, 36, 100))
    for timbre in TIMBRES.values():
        samples = play_voice([notes], vary_timbre(timbre, rng), SAMPLE_RATE_HZ)
        assert np.all(np.isfinite(samples))
        assert np.abs(samples).max() > 0.05
