import dataclasses

import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis import variety
from bassdiff.synthesis.render import active_level_db, cut, peak, render
from bassdiff.synthesis.score import Bend, Chord, Note, Part, Song
from bassdiff.synthesis.songs import compose

FLUTE, PIANO = 73, 0


def tiny_song(bass_program=FLUTE, bass_pitch=69):
    beats = np.arange(5) * 0.5
    return Song(
        "tiny",
        beats,
        beats[::4],
        (),
        (
            Part("bass", bass_program, False, (Note(0.0, 1.9, bass_pitch, 100),)),
            Part("keys", PIANO, False, tuple(Note(t, t + 0.4, 72, 90) for t in beats[:4])),
            Part("drums", 0, True, tuple(Note(t, t + 0.1, 38, 90) for t in beats[:4])),
        ),
    )


def strongest_hz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / (1 << 18)


def audio(stems):
    return {"bass": stems.bass, **stems.others}


def test_stems_are_whole_audible_and_within_bounds():
    song = compose(0, duration_seconds=12.0)
    stems = render(song, max_seconds=12.0)
    assert stems.name == song.name
    assert stems.sample_rate_hz == SAMPLE_RATE_HZ
    assert "bass" not in stems.others
    for samples in audio(stems).values():
        assert samples.dtype == np.float32
        assert samples.shape == (12 * SAMPLE_RATE_HZ,)
        assert np.all(np.isfinite(samples))
        assert 0.01 < peak(samples) <= 0.9001
    assert peak(stems.mix() + stems.bass) <= 0.9001
    assert max(peak(stems.mix() + stems.bass), *map(peak, audio(stems).values())) > 0.899


def test_same_seed_same_audio_other_seed_another():
    song = tiny_song()
    one, two, other = render(song, seed=1), render(song, seed=1), render(song, seed=2)
    for name, samples in audio(one).items():
        np.testing.assert_array_equal(samples, audio(two)[name])
        assert not np.allclose(samples, audio(other)[name])


def test_without_variation_the_seed_decides_nothing():
    one, two = (render(tiny_song(), seed=seed, vary=False) for seed in (1, 2))
    np.testing.assert_array_equal(one.bass, two.bass)
    np.testing.assert_array_equal(one.mix(), two.mix())


def test_transposition_moves_the_pitch_but_not_the_drums():
    plain, higher = (render(tiny_song(), transpose=step, vary=False) for step in (0, 4))
    part = slice(SAMPLE_RATE_HZ // 2, 3 * SAMPLE_RATE_HZ // 2)
    assert strongest_hz(plain.bass[part]) == pytest.approx(440.0, rel=0.01)
    assert strongest_hz(higher.bass[part]) == pytest.approx(440.0 * 2 ** (4 / 12), rel=0.01)
    drums = [stems.others["drums"] / peak(stems.others["drums"]) for stems in (plain, higher)]
    np.testing.assert_allclose(*drums, atol=1e-3)


def test_stems_know_the_beats_and_chords_of_their_excerpt():
    song = dataclasses.replace(tiny_song(), chords=(Chord(0.5, 2.0, 9, "min", 0),))
    known = render(song, vary=False, transpose=2, start_seconds=0.75, max_seconds=1.0).annotation
    assert known.beat_seconds == pytest.approx((0.25, 0.75))
    assert known.chords == (Chord(0.0, 1.0, 11, "min", 2),)


def test_excerpt_is_the_same_music():
    song = tiny_song()
    excerpt = render(song, vary=False, start_seconds=0.5, max_seconds=1.0)
    assert len(excerpt.bass) == SAMPLE_RATE_HZ
    onset = np.flatnonzero(np.abs(excerpt.others["drums"]) > 0.05)
    assert onset[0] < 0.02 * SAMPLE_RATE_HZ


def test_cut_clips_notes_and_keeps_the_bend_that_holds():
    part = Part("bass", 33, False, (Note(0, 4, 40, 90), Note(5, 6, 41, 90)), (Bend(1.0, 2.0),))
    song = dataclasses.replace(tiny_song(), parts=(part,))
    (kept,) = cut(song, 2.0, 3.0).parts
    assert kept.notes == (Note(0.0, 1.0, 40, 90),)
    assert kept.bends == (Bend(0.0, 2.0),)


def test_silent_stems_are_left_out_and_a_silent_bass_is_an_error():
    song = tiny_song()
    late = Part("pads", 89, False, (Note(50.0, 51.0, 60, 90),))
    with_late = dataclasses.replace(song, parts=(*song.parts, late))
    assert "pads" not in render(with_late, vary=False, max_seconds=2.0).others
    with pytest.raises(InputError, match="tiny: the bass is silent"):
        render(with_late, start_seconds=10.0)
    alone = dataclasses.replace(song, parts=song.parts[:1])
    with pytest.raises(InputError, match="tiny: everything else is silent"):
        render(alone)


def test_missing_soundfont_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.sf2"):
        render(tiny_song(), tmp_path / "gone.sf2")


def test_level_counts_only_what_sounds():
    half = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    half[:SAMPLE_RATE_HZ] = 0.5
    assert active_level_db(half) == pytest.approx(20.0 * np.log10(0.5))
    assert active_level_db(np.zeros(SAMPLE_RATE_HZ, np.float32)) == -np.inf
    assert active_level_db(np.zeros(3, np.float32)) == -np.inf


def test_draws_cover_both_kinds_of_bass_and_stay_in_their_family():
    rng = np.random.default_rng(0)
    synthesised = [variety.bass_timbre(rng) is not None for _ in range(200)]
    assert 0.35 < np.mean(synthesised) < 0.65
    strings = Part("strings", 48, False, ())
    bass = Part("bass", 33, False, ())
    kit = Part("drums", 0, True, ())
    drawn = [variety.substituted((strings, bass, kit), rng) for _ in range(100)]
    programs = [{parts[i].program for parts in drawn} for i in range(3)]
    assert programs[0] <= set(variety.FAMILIES[5])
    assert programs[1] == set(variety.BASS_PROGRAMS)
    assert programs[2] == set(variety.DRUM_KITS)


def test_dressing_changes_sound_and_spares_the_bass_reverb():
    noise = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    noise[: SAMPLE_RATE_HZ // 2] = np.random.default_rng(0).normal(0.0, 0.1, SAMPLE_RATE_HZ // 2)
    tails = {"bass": [], "keys": []}
    for stem, found in tails.items():
        for seed in range(12):
            out = variety.dressed(noise, stem, np.random.default_rng(seed))
            assert out.shape == noise.shape
            assert np.all(np.isfinite(out))
            found.append(np.abs(out[int(0.6 * SAMPLE_RATE_HZ) :]).max())
    assert max(tails["bass"]) < 1e-4
    assert np.mean(np.array(tails["keys"]) > 1e-3) > 0.4


def test_another_sound_is_as_loud_and_begins_when_it_did():
    time = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    bass = sum(np.sin(2 * np.pi * 55.0 * k * time) / k for k in range(1, 30)).astype(np.float32)
    bass *= 0.1 * (time >= 0.5)
    shapes = []
    for seed in range(12):
        other = variety.another_sound(bass, np.random.default_rng(seed))
        np.testing.assert_allclose(np.mean(other**2), np.mean(bass**2), rtol=1e-3)
        sounds = np.flatnonzero(np.abs(other) > 0.01 * np.abs(other).max())
        assert 0 <= sounds[0] - SAMPLE_RATE_HZ // 2 < 0.005 * SAMPLE_RATE_HZ
        power = np.square(
            np.abs(np.fft.rfft(other[SAMPLE_RATE_HZ // 2 :] * np.hanning(SAMPLE_RATE_HZ // 2)))
        )
        shapes.append(10 * np.log10(power[[55, 110, 220, 550, 1100]] / power.sum()))
    # The same partials, several decibels up and down.
    assert np.std(shapes, axis=0).mean() > 3.0


def test_another_sound_of_silence_is_silence(rng):
    assert not variety.another_sound(np.zeros(100), rng).any()
