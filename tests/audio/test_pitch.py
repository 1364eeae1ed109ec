import time

import numpy as np
import pytest

from bassdiff.audio import pitch

RATE_HZ = 44100


def _tone(hz, seconds, levels=(1.0, 0.5, 0.3, 0.2)):
    time_seconds = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * hz * time_seconds
    wave = sum(level * np.sin((k + 1) * phase) for k, level in enumerate(levels))
    edge = np.minimum(1, np.minimum(time_seconds, seconds - time_seconds) / 0.01)
    return (0.2 * wave * edge).astype(np.float32)


def _cents(track, hz):
    return 1200 * np.log2(track.f0_hz[track.voiced] / hz)


@pytest.mark.parametrize("hz", [30.87, 41.2, 55.0, 82.41, 110.0, 196.0, 392.0])
@pytest.mark.parametrize(
    "levels", [(1.0,), (1.0, 0.5, 0.3, 0.2), (0.05, 1.0, 0.8, 0.5), (1, 0, 0.33, 0, 0.2)]
)
def test_steady_note_is_tracked_within_five_cents(hz, levels):
    track = pitch.track_pitch(_tone(hz, 1.0, levels), RATE_HZ)
    assert track.voiced_share > 0.9
    # Its first and last frames hear half of the note.
    assert np.abs(_cents(track, hz))[4:-4].max() < 5


@pytest.mark.parametrize("note_seconds", [0.15, 0.3])
def test_fast_lines_keep_their_notes(note_seconds):
    midi = np.random.default_rng(0).integers(28, 56, 40)
    notes = 440 * 2 ** ((midi - 69) / 12)
    samples = np.concatenate([_tone(hz, note_seconds) for hz in notes])
    noise = np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    track = pitch.track_pitch(samples + 0.005 * noise, RATE_HZ)
    seconds = np.arange(len(track.f0_hz)) * track.hop_seconds
    place = np.minimum((seconds / note_seconds).astype(int), len(notes) - 1)
    inside = np.abs(seconds % note_seconds - note_seconds / 2) < note_seconds / 2 - 0.03
    right = np.abs(1200 * np.log2(np.maximum(track.f0_hz, 1) / notes[place])) < 25
    assert right[inside].mean() > 0.97
    assert np.mean(track.pitch_classes()[inside] == midi[place][inside] % 12) > 0.97


def test_silence_and_noise_have_no_pitch():
    noise = np.random.default_rng(0).standard_normal(5 * RATE_HZ).astype(np.float32)
    for samples in (0 * noise, 0.1 * noise, 1e-6 * _tone(55, 1), np.zeros(0, np.float32)):
        track = pitch.track_pitch(samples, RATE_HZ)
        assert track.voiced_share == 0
        assert not track.f0_hz.any() and (track.pitch_classes() == -1).all()


def test_a_rest_between_notes_is_unvoiced():
    samples = np.concatenate([_tone(55, 0.5), np.zeros(RATE_HZ // 2, np.float32), _tone(55, 0.5)])
    track = pitch.track_pitch(samples, RATE_HZ)
    seconds = np.arange(len(track.voiced)) * track.hop_seconds
    assert not track.voiced[(seconds > 0.56) & (seconds < 0.94)].any()
    assert track.voiced[(seconds > 0.05) & (seconds < 0.45)].all()


@pytest.mark.parametrize("rate_hz", [11025, 22050, 48000])
def test_pitch_does_not_depend_on_the_sample_rate(rate_hz):
    seconds = np.arange(rate_hz) / rate_hz
    track = pitch.track_pitch(0.3 * np.sin(2 * np.pi * 61.7 * seconds), rate_hz)
    assert len(track.f0_hz) == 1 + int(1 / pitch.HOP_SECONDS)
    assert np.abs(_cents(track, 61.7))[4:-4].max() < 3


def test_hop_sets_the_grid():
    track = pitch.track_pitch(_tone(80, 2.0), RATE_HZ, hop_seconds=0.05)
    assert len(track.f0_hz) == 41 and track.hop_seconds == 0.05


def test_pitch_classes_count_from_c():
    hz = 440 * 2 ** ((np.array([24, 36.4, 47, 33]) - 69) / 12)
    track = pitch.PitchTrack(hz, np.array([True, True, True, False]), 0.01)
    assert track.pitch_classes().tolist() == [0, 0, 11, -1]


@pytest.mark.parametrize(
    ("cents", "share"), [(0, 1), (20, 1), (40, 0), (1200, 0), (-1210, 0), (700, 0)]
)
def test_agreement_is_the_share_within_a_quarter_tone(cents, share):
    f0_hz = np.full(100, 60.0)
    f0_hz[50:] = 0
    reference = pitch.PitchTrack(f0_hz, f0_hz > 0, 0.01)
    estimate = pitch.PitchTrack(f0_hz * 2 ** (cents / 1200), f0_hz > 0, 0.01)
    assert pitch.compare_tracks(reference, estimate) == pitch.PitchAgreement(share, 50)


def test_frames_that_lost_their_pitch_count_as_wrong():
    f0_hz = np.full(100, 60.0)
    reference = pitch.PitchTrack(f0_hz, f0_hz > 0, 0.01)
    voiced = np.arange(100) < 30
    estimate = pitch.PitchTrack(f0_hz * voiced, voiced, 0.01)
    assert pitch.compare_tracks(reference, estimate).within_25_cents == 0.3
    # Pitch where the original has none costs nothing: it is not what is measured.
    assert pitch.compare_tracks(estimate, reference).within_25_cents == 1


def test_agreement_of_signals():
    bass = np.concatenate([_tone(hz, 0.4) for hz in (41.2, 55, 49, 73.4)])
    assert pitch.pitch_agreement(bass, bass).within_25_cents == 1
    assert pitch.pitch_agreement(bass, np.zeros_like(bass)).within_25_cents == 0
    assert pitch.pitch_agreement(np.zeros_like(bass), bass).num_frames == 0
    with pytest.raises(ValueError, match="lengths differ"):
        pitch.pitch_agreement(bass, bass[:-1])


def test_tracking_is_at_least_thirty_times_real_time():
    samples = np.tile(_tone(55, 1.0), 20)
    start = time.process_time()
    pitch.track_pitch(samples, RATE_HZ)
    assert time.process_time() - start < 20 / 30
