import math

import numpy as np
import pytest

from bassdiff.audio.pitch import HOP_SECONDS, PitchTrack, track_pitch
from bassdiff.metrics import harmony_rhythm, notes
from bassdiff.synthesis.score import Chord, Note, Part
from bassdiff.synthesis.synth import play_voice
from bassdiff.synthesis.timbres import TIMBRES

RATE_HZ = 44100
BEAT_SECONDS = 0.5
NUM_BEATS = 32
# C, Am, F/A, G7: two beats each.
CYCLE = ((0, "maj", 0), (9, "min", 9), (5, "maj", 9), (7, "7", 7))
CHORDS = tuple(Chord(i, i + 1, *CYCLE[i % 4]) for i in range(NUM_BEATS // 2))


def _track(midi, hop_seconds=HOP_SECONDS):
    """A pitch track of MIDI pitches by frame; 0 is unvoiced."""
    midi = np.asarray(midi, float)
    return PitchTrack(np.where(midi > 0, 440 * 2 ** ((midi - 69) / 12), 0.0), midi > 0, hop_seconds)


def _bass(start_seconds=0.0, transpose=0, timbre="finger", beat_seconds=BEAT_SECONDS):
    """The lowest note of `CHORDS` on every beat."""
    line = tuple(
        Note(
            start_seconds + i * beat_seconds,
            start_seconds + (i + 0.8) * beat_seconds,
            36 + CHORDS[i // 2].bass + transpose,
            100,
        )
        for i in range(NUM_BEATS)
    )
    num_samples = round((NUM_BEATS + 1) * beat_seconds * RATE_HZ)
    return play_voice([Part("bass", 33, False, line)], TIMBRES[timbre], num_samples)


def _drums():
    """Bursts of noise on the beats."""
    rng = np.random.default_rng(0)
    samples = np.zeros(round((NUM_BEATS + 1) * BEAT_SECONDS * RATE_HZ))
    for i in range(NUM_BEATS):
        start = round(i * BEAT_SECONDS * RATE_HZ)
        samples[start : start + 4410] = rng.standard_normal(4410) * np.exp(-np.arange(4410) / 1e3)
    return 0.3 * samples


@pytest.fixture(scope="module")
def on_beat():
    return harmony_rhythm.bass_features(_bass(), RATE_HZ)


@pytest.fixture(scope="module")
def off_beat():
    return harmony_rhythm.bass_features(_bass(BEAT_SECONDS / 2), RATE_HZ)


@pytest.fixture(scope="module")
def drums():
    return harmony_rhythm.mix_onsets(_drums(), RATE_HZ)


def _click_envelope(period_seconds, num_seconds=16.0):
    envelope = np.zeros(round(num_seconds / HOP_SECONDS), np.float32)
    places = np.arange(1, num_seconds / period_seconds - 1) * period_seconds / HOP_SECONDS
    envelope[np.rint(places).astype(int)] = 10
    return envelope


def test_chord_tones_are_counted_exactly():
    # A frame each 0.1 s: C E G B under C major, A (the slash bass) C D under G/A, a rest.
    track = _track([36, 40, 43, 47, 33, 36, 38, 0], hop_seconds=0.1)
    chords = [Chord(0.0, 0.35, 0, "maj", 0), Chord(0.35, 1.0, 7, "maj", 9)]
    assert notes.chord_tone_share(track, chords) == (3 + 1 + 1) / 7
    assert notes.root_share(track, chords) == (1 + 1) / 7
    # A chord that is not known takes its frames out of the count.
    assert notes.chord_tone_share(track, chords[:1]) == 3 / 4
    # Later on the chords' clock, all falls under the other chord, where C, E and C are wrong.
    assert notes.chord_tone_share(track, chords, offset_seconds=0.36) == 4 / 7
    assert math.isnan(notes.chord_tone_share(track, chords, offset_seconds=2.0))


def test_chords_that_begin_with_their_lowest_note_are_counted():
    # A frame each 0.1 s: C for 0.4 s, then A under G/A, then G under G, and a rest under C.
    track = _track([36] * 4 + [33] * 4 + [40] * 4 + [0] * 8, hop_seconds=0.1)
    chords = [
        Chord(0.0, 0.4, 0, "maj", 0),
        Chord(0.4, 0.8, 7, "maj", 9),
        Chord(0.8, 1.2, 7, "maj", 7),
        Chord(1.2, 1.6, 0, "maj", 0),
    ]
    assert notes.bass_note_accuracy(track, chords) == 2 / 4
    assert notes.bass_note_accuracy(track, chords[:2]) == 1
    assert math.isnan(notes.bass_note_accuracy(track, chords, offset_seconds=9.0))


def test_slash_bass_is_a_chord_tone():
    track = _track([38] * 5)
    assert notes.chord_tone_share(track, [Chord(0, 1, 0, "maj", 2)]) == 1
    assert notes.chord_tone_share(track, [Chord(0, 1, 0, "maj", 0)]) == 0


def test_a_bass_made_from_the_chords_plays_their_tones(on_beat):
    assert notes.chord_tone_share(on_beat.pitch, CHORDS) > 0.97
    assert notes.root_share(on_beat.pitch, CHORDS) > 0.97


def test_a_transposed_bass_does_not():
    track = track_pitch(_bass(transpose=1), RATE_HZ)
    assert notes.chord_tone_share(track, CHORDS) < 0.05
    # A fifth above the lowest notes: chord tones of all chords but F/A, roots of none.
    track = track_pitch(_bass(transpose=7), RATE_HZ)
    assert notes.chord_tone_share(track, CHORDS) == pytest.approx(0.75, abs=0.05)
    assert notes.root_share(track, CHORDS) < 0.05


def test_unknown_chords_and_unvoiced_basses_are_not_known(on_beat):
    assert math.isnan(notes.chord_tone_share(on_beat.pitch, ()))
    assert notes.root_share(_track(np.zeros(100)), CHORDS) == 0


def test_share_of_one_pitch_class():
    assert notes.held_share(_track([40, 52, 28, 41, 0, 0])) == 3 / 4
    assert notes.held_share(_track(np.zeros(100))) == 0


@pytest.mark.parametrize("timbre", ["saw", "sub", "finger", "muted", "organ"])
def test_every_note_is_found_once_and_soon_after_its_start(timbre):
    found = notes.onset_times(
        harmony_rhythm.bass_features(_bass(0.3, timbre=timbre), RATE_HZ).onsets
    )
    played = 0.3 + np.arange(NUM_BEATS) * BEAT_SECONDS
    # Some let go of a note as abruptly as they start it, which once or twice counts too.
    assert NUM_BEATS <= len(found) <= NUM_BEATS + 2
    delay_seconds = found[:, None] - played
    np.testing.assert_array_equal(
        ((delay_seconds > -0.01) & (delay_seconds < 0.05)).sum(axis=0), np.ones(NUM_BEATS)
    )


def test_a_loud_first_onset_does_not_hide_soft_ones():
    envelope = np.zeros(1000, np.float32)
    envelope[100], envelope[200::100] = 30, 1.5
    np.testing.assert_allclose(
        notes.onset_times(envelope), np.arange(100, 1000, 100) * HOP_SECONDS, atol=1e-9
    )


def test_steady_sounds_have_no_onsets():
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(8 * RATE_HZ)
    tone = 0.2 * np.sin(2 * np.pi * 57.3 * np.arange(8 * RATE_HZ) / RATE_HZ)
    for samples in (noise, tone, 0 * tone):
        assert not len(notes.onset_times(harmony_rhythm.bass_features(samples, RATE_HZ).onsets))
    assert not len(notes.onset_times(harmony_rhythm.mix_onsets(noise, RATE_HZ)))


def test_onset_f1_is_exact():
    reference = np.array([1.0, 2.0, 3.0, 4.0])
    assert notes.onset_f1(reference, reference + 0.04) == 1
    assert notes.onset_f1(reference, reference + 0.06) == 0
    assert notes.onset_f1(reference, reference + 0.06, window_seconds=0.1) == 1
    # Two of four found, by three: precision 2/3, recall 1/2.
    assert notes.onset_f1(reference, np.array([1.0, 1.01, 4.0])) == pytest.approx(4 / 7)
    assert notes.onset_f1(reference, np.zeros(0)) == 0
    assert math.isnan(notes.onset_f1(np.zeros(0), reference))


def test_onsets_of_a_bass_meet_the_drums_or_miss_them(drums, on_beat, off_beat):
    hits = notes.onset_times(drums)
    assert notes.onset_f1(hits, notes.onset_times(on_beat.onsets)) > 0.95
    assert notes.onset_f1(hits, notes.onset_times(off_beat.onsets)) < 0.05


@pytest.mark.parametrize("beats", [None, np.arange(NUM_BEATS) * BEAT_SECONDS])
def test_beats_of_a_bass_agree_on_the_beat_and_not_off_it(drums, on_beat, off_beat, beats):
    good = notes.beat_agreement(drums, on_beat.onsets, beats)
    assert good.beat_f1 > 0.9 and good.tempo_ok == 1
    late = notes.beat_agreement(drums, off_beat.onsets, beats)
    assert late.beat_f1 < 0.1 and late.tempo_ok == 1


def test_known_beats_count_more_than_the_mix(on_beat):
    misleading = _click_envelope(0.61)
    beats = tuple(np.arange(NUM_BEATS) * BEAT_SECONDS)
    assert notes.beat_agreement(misleading, on_beat.onsets, beats).beat_f1 > 0.9
    # Without a beat known, as in an empty annotation, the mix decides.
    assert notes.beat_agreement(misleading, on_beat.onsets, ()).beat_f1 < 0.6


@pytest.mark.parametrize(
    ("ratio", "tempo_ok"),
    [(1, 1), (0.5, 1), (2, 1), (3, 1), (1 / 3, 1), (1.03, 1), (1.06, 0), (1.5, 0), (4, 0)],
)
def test_tempi_agree_within_four_percent_and_simple_ratios(ratio, tempo_ok):
    beats = np.arange(40) * BEAT_SECONDS * ratio
    agreement = notes.beat_agreement(np.zeros(1), _click_envelope(BEAT_SECONDS), beats)
    assert agreement.tempo_ok == tempo_ok


@pytest.mark.parametrize("num_frames", [1, 100, 1000])
def test_without_onsets_a_bass_has_no_beat_and_a_mix_none_to_keep(on_beat, drums, num_frames):
    silence = np.zeros(num_frames, np.float32)
    assert notes.beat_agreement(drums, silence) == notes.BeatAgreement(0.0, 0.0)
    for bass in (on_beat.onsets, silence):
        agreement = notes.beat_agreement(silence, bass)
        assert math.isnan(agreement.beat_f1) and math.isnan(agreement.tempo_ok)


def _tone_with_rests(rest_seconds, num_rests, hz=41.2):
    """Tones of 0.5 s with silences between them."""
    seconds = np.arange(RATE_HZ // 2) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * hz * seconds)
    rest = np.zeros(round(rest_seconds * RATE_HZ))
    return np.concatenate([*([tone, rest] * num_rests), tone])


@pytest.mark.parametrize(("rest_seconds", "counted"), [(0.05, 0), (0.085, 0), (0.12, 1), (0.4, 1)])
def test_rests_are_silences_of_a_tenth_of_a_second(rest_seconds, counted):
    bass = _tone_with_rests(rest_seconds, 10)
    minutes = len(bass) / RATE_HZ / 60
    assert notes.activity(bass).rests_per_minute == pytest.approx(10 * counted / minutes)


def test_silence_at_the_ends_is_no_rest_but_no_sound_either():
    bass = np.pad(_tone_with_rests(0.5, 2), 5 * RATE_HZ)
    measured = notes.activity(bass)
    assert measured.rests_per_minute == pytest.approx(2 / (12.5 / 60))
    assert measured.active_share == pytest.approx(1.5 / 12.5, abs=0.02)


def test_low_pulses_and_dying_notes_do_not_flicker():
    seconds = np.arange(10 * RATE_HZ) / RATE_HZ
    pulses = (seconds * 30.87 % 1 < 0.02).astype(float)
    assert notes.activity(pulses).rests_per_minute == 0
    assert notes.activity(pulses).active_share == pytest.approx(1, abs=0.01)
    # Through the threshold, 40 dB down, within seconds and beating by 3 dB all the while.
    wobble = 10 ** (-(6 * seconds + 1.5 * np.sin(2 * np.pi * 3 * seconds)) / 20)
    assert notes.activity(np.sin(2 * np.pi * 55 * seconds) * wobble).rests_per_minute == 0


@pytest.mark.parametrize("num_samples", [1, 5000, RATE_HZ])
def test_a_silent_bass_is_never_active(num_samples):
    measured = notes.activity(np.zeros(num_samples, np.float32))
    assert measured.active_share == 0 and math.isnan(measured.rests_per_minute)


def test_no_samples_are_not_known():
    assert math.isnan(notes.activity(np.zeros(0)).active_share)


def test_range_is_that_of_the_voiced_frames():
    midi = np.concatenate([np.zeros(50), np.linspace(30, 50, 101), [90.0]])
    measured = notes.pitch_range(_track(midi))
    low, high = np.percentile(midi[50:], [5, 95])
    assert measured.low_midi == pytest.approx(low)
    assert measured.high_midi == pytest.approx(high) and high < 51


def test_range_of_an_unvoiced_bass_is_not_known():
    measured = notes.pitch_range(_track(np.zeros(100)))
    assert np.isnan([measured.low_midi, measured.high_midi]).all()
