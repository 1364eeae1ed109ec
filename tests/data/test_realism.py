"""Recorded-like songs: what changes, what must not, and that it is the same every time."""

import dataclasses

import numpy as np
import pytest
import scipy.signal

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.loudness import loudness_lufs
from bassdiff.data import mastering, realism
from bassdiff.data.mastering import as_mp3, mastered, mastered_mix
from bassdiff.data.mixing import MIX_LUFS, random_mix
from bassdiff.data.realism import AsRecorded, Realism, detuned, with_leads
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis import effects, humanise
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.humanise import loosened
from bassdiff.synthesis.score import Bend, Chord, Note, Part, Song
from bassdiff.synthesis.stems import Stems
from bassdiff.synthesis.voice import VOWELS, sung

SECONDS = 4


def tone(frequency_hz, seconds=SECONDS):
    time = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.3 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def clicks(seconds=SECONDS):
    samples = np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32)
    samples[SAMPLE_RATE_HZ // 4 :: SAMPLE_RATE_HZ // 2] = 0.9
    return scipy.signal.lfilter([1.0], [1.0, -0.95], samples).astype(np.float32)


def peak_hz(samples):
    window = samples * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(window, 4 * len(samples)))
    return spectrum.argmax() * SAMPLE_RATE_HZ / (4 * len(samples))


@pytest.fixture
def stems():
    others = {"drums": clicks(), "keys": tone(440.0), "lead": tone(220.0)}
    known = Annotation((0.25, 0.75, 1.25))
    return Stems("song", tone(55.0), others, SAMPLE_RATE_HZ, known)


class Songs:
    def __init__(self, *songs):
        self.songs = songs
        self.names = [song.name for song in songs]

    def __len__(self):
        return len(self.songs)

    def __getitem__(self, index):
        return self.songs[index]

    def transposed(self, index, semitones):
        return self.songs[index]


@pytest.mark.parametrize("cents", [-50.0, 35.0])
def test_detuning_moves_everything_alike(stems, cents):
    moved = detuned(stems, cents)
    factor = 2 ** (cents / 1200)
    for before, after in ((stems.bass, moved.bass), (stems.others["keys"], moved.others["keys"])):
        assert len(after) == round(len(before) / factor)
        assert 1200 * np.log2(peak_hz(after) / peak_hz(before)) == pytest.approx(cents, abs=1.0)
    assert moved.annotation.beat_seconds == pytest.approx([t / factor for t in (0.25, 0.75, 1.25)])
    at = np.flatnonzero(moved.others["drums"] > 0.5)[0] / SAMPLE_RATE_HZ
    assert at == pytest.approx(0.25 / factor, abs=1e-3)


def test_a_voice_sings_the_notes_of_its_instrument_in_vowels(rng):
    instrument = tone(220.0) + 0.5 * tone(440.0) + 0.3 * tone(660.0)
    voice = sung(instrument, rng)
    assert np.std(voice) == pytest.approx(np.std(instrument), rel=1e-3)
    # Vibrato moves the pitch by less than half a semitone.
    assert abs(1200 * np.log2(peak_hz(voice) / 220.0) % 1200) < 50.0
    quiet = np.zeros(1000, np.float32)
    np.testing.assert_array_equal(sung(quiet, rng), quiet)
    # Vowels come and go: the spectrum's shape changes by more than the instrument's does.
    shapes = []
    for samples in (instrument, voice):
        _, _, power = scipy.signal.stft(samples, SAMPLE_RATE_HZ, nperseg=4096)
        bands = np.log(np.abs(power[20:300]).reshape(28, 10, -1).mean(axis=1) + 1e-5)
        shapes.append(bands[:, 5:-5].std(axis=1).mean())
    assert shapes[1] > 2 * shapes[0]
    assert len(VOWELS) == 5


def test_leads_change_pitched_stems_alone(stems):
    changed = set()
    for seed in range(20):
        after = with_leads(stems, np.random.default_rng(seed))
        assert after.bass is stems.bass
        assert after.others["drums"] is stems.others["drums"]
        changed |= {name for name in after.others if after.others[name] is not stems.others[name]}
        for name, samples in after.others.items():
            assert np.std(samples) == pytest.approx(np.std(stems.others[name]), rel=1e-3)
    assert changed == {"keys", "lead"}


def test_a_song_is_the_same_every_time_and_untouched_without_groups(stems):
    source = Songs(stems)
    first, second = (AsRecorded(source, realism.GROUPS, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first[0].mix(), second.transposed(0, 0).mix())
    plain = AsRecorded(source, ("feel", "mastering"))
    assert (plain.names, len(plain)) == (["song"], 1)
    assert plain[0].bass is stems.bass


def test_half_of_the_songs_are_out_of_tune(stems):
    songs = [dataclasses.replace(stems, name=f"{i}") for i in range(60)]
    moved = AsRecorded(Songs(*songs), ("tuning",))
    factors = [len(stems.bass) / len(moved[i].bass) for i in range(60)]
    cents = 1200 * np.log2([factor for factor in factors if factor != 1.0])
    assert 18 < len(cents) < 42
    assert np.abs(cents).max() < realism.LARGEST_CENTS + 1
    assert np.abs(cents).max() > 35
    assert cents.min() < 0 < cents.max()


@pytest.mark.parametrize("seed", range(12))
def test_mastering_keeps_length_time_and_sanity(seed):
    mix = clicks() + 0.3 * tone(440.0)
    after = mastered(mix, np.random.default_rng(seed))
    assert after.shape == mix.shape
    assert after.dtype == np.float32
    assert np.isfinite(after).all()
    envelopes = [np.abs(np.diff(x)).reshape(-1, 49)[: len(mix) // 49].max(axis=1)
                 for x in (np.append(mix, mix[-1]), np.append(after, after[-1]))]  # fmt: skip
    lags = range(-20, 21)
    match = [np.dot(envelopes[0], np.roll(envelopes[1], -lag)) for lag in lags]
    # 49 samples are 1.1 ms.
    assert abs(lags[int(np.argmax(match))]) <= 4


def test_mastered_mixes_differ_and_are_as_loud_as_others(stems):
    kinds = 0
    for seed in range(24):
        mix = mastered_mix(stems, np.random.default_rng(seed))
        assert loudness_lufs(mix, SAMPLE_RATE_HZ) == pytest.approx(MIX_LUFS, abs=0.1)
        kinds += np.array_equal(mix, random_mix(stems, np.random.default_rng(seed)))
    assert 1 <= kinds <= 13


def test_mp3_loses_highs_not_time():
    noise = (0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE_HZ)).astype(np.float32)
    after = as_mp3(noise, mastering.MP3_COMPRESSION[1])
    assert after.shape == noise.shape
    spectrum = np.abs(np.fft.rfft(after)) / np.abs(np.fft.rfft(noise)).mean()
    assert spectrum[200:4000].mean() == pytest.approx(1.0, abs=0.15)
    assert spectrum[-2000:].mean() < 0.02
    full = np.correlate(noise[2000:8000], after[1900:8100], "valid")
    assert full.argmax() == 100


def test_wavering_moves_the_pitch_by_what_it_says(rng):
    before = tone(1000.0)
    after = effects.waver(before, 0.5, 30.0, rng)
    phase = np.unwrap(np.angle(scipy.signal.hilbert(after)))
    cents = 1200 * np.log2(np.diff(phase)[2000:-2000] * SAMPLE_RATE_HZ / (2000 * np.pi))
    smooth = np.convolve(cents, np.ones(500) / 500, "valid")
    assert 3.0 < np.abs(smooth).max() < 40.0
    assert effects.waver(before[:0], 1.0, 1.0, rng).shape == (0,)


def test_a_loosened_song_keeps_its_notes_and_moves_its_grid_along(rng):
    beats = np.arange(120) * 0.5
    notes = tuple(Note(beat, beat + 0.3, 36 + i % 12, 90) for i, beat in enumerate(beats))
    parts = (Part("drums", 0, True, notes), Part("bass", 33, False, notes, (Bend(10.0, 1.0),)))
    song = Song("s", beats, beats[::4], (Chord(0.0, 60.0, 0, "maj", 0),), parts)
    loose = loosened(song, rng)
    tempo = np.diff(loose.beat_seconds) / 0.5
    assert 0.85 < tempo.min() < 0.99
    assert 1.01 < tempo.max() < 1.15
    np.testing.assert_allclose(loose.beat_seconds[::4], loose.bar_seconds)
    assert loose.chords[0].end_seconds == pytest.approx(loose.beat_seconds[-1] + 0.5, abs=0.1)
    late = []
    for part in loose.parts:
        assert sorted(note.pitch for note in part.notes) == sorted(note.pitch for note in notes)
        starts = np.array([note.start_seconds for note in part.notes])
        assert np.all(np.diff(starts) >= 0)
        assert all(note.end_seconds > note.start_seconds >= 0.0 for note in part.notes)
        late.append(starts - loose.beat_seconds)
    # Each note is off the grid by some milliseconds, a player as a whole by as much.
    assert np.std(late[0]) == pytest.approx(humanise.NOTE_SECONDS, rel=0.25)
    assert abs(late[0].mean()) < 0.002
    assert 0.001 < abs(late[1].mean()) < 4 * humanise.PLAYER_SECONDS
    bend = loose.parts[1].bends[0].start_seconds
    assert bend == pytest.approx(np.interp(10.0, beats, loose.beat_seconds), abs=0.04)


def test_groups_are_parsed_in_one_order():
    assert Realism.parse("all").groups == realism.GROUPS
    assert Realism.parse("none").groups == ()
    assert Realism.parse("mastering,tuning").groups == ("tuning", "mastering")
    with pytest.raises(InputError, match="'vocals' is not a realism group; choose among tuning"):
        Realism.parse("leads,vocals")


def test_each_group_acts_in_its_place(stems):
    plain, feel, mastering = (Realism.parse(name) for name in ("none", "feel", "mastering"))
    assert (plain.feel, feel.feel, mastering.feel) == (False, True, False)
    assert (plain.mix_of, feel.mix_of, mastering.mix_of) == (
        random_mix,
        random_mix,
        mastered_mix,
    )
    same = plain.songs(Songs(stems), 0)[0]
    np.testing.assert_array_equal(same.bass, stems.bass)
