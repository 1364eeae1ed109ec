import numpy as np
import pytest
import soundfile

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.score import Chord
from bassdiff.synthesis.stems import StemFolder, Stems, read_stems, song_folders


def tone(seconds, level=0.5):
    time = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (level * np.sin(2.0 * np.pi * 110.0 * time)).astype(np.float32)


def write_song(folder, **stems):
    folder.mkdir(parents=True)
    for name, samples in stems.items():
        soundfile.write(folder / f"{name}.wav", samples, SAMPLE_RATE_HZ)
    return folder


def test_mix_sums_the_chosen_stems_with_their_gains():
    ones = np.ones(4, np.float32)
    stems = Stems("song", ones, {"drums": ones, "keys": 2 * ones}, SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(stems.mix(), 3 * ones)
    np.testing.assert_array_equal(stems.mix(["keys"]), 2 * ones)
    np.testing.assert_allclose(stems.mix(gains_db={"drums": 20.0}), 12 * ones, rtol=1e-6)
    assert not np.any(stems.mix([]))
    np.testing.assert_array_equal(stems.others["drums"], ones)
    with pytest.raises(InputError, match="song: no stem is called 'vocals'"):
        stems.mix(["vocals"])


def test_folder_reads_stems_at_one_length_without_the_mixture(tmp_path):
    write_song(
        tmp_path / "one", bass=tone(1.0), drums=tone(0.5), mixture=tone(1.0), other=tone(1.0)
    )
    (song,) = list(map(StemFolder(tmp_path).__getitem__, range(1)))
    assert song.name == "one"
    assert set(song.others) == {"drums", "other"}
    assert {len(samples) for samples in (song.bass, *song.others.values())} == {SAMPLE_RATE_HZ}
    assert not np.any(song.others["drums"][SAMPLE_RATE_HZ // 2 :])
    np.testing.assert_allclose(song.bass, tone(1.0), atol=1e-4)
    assert song.padded_samples == {"drums": SAMPLE_RATE_HZ // 2}


def test_an_annotation_beside_the_stems_is_read(tmp_path):
    folder = write_song(tmp_path / "one", bass=tone(1.0), drums=tone(1.0))
    assert read_stems(folder).annotation == Annotation()
    known = Annotation((0.1, 0.6), (Chord(0.0, 0.5, 9, "min7", 0),))
    (folder / "annotation.json").write_text(known.to_json())
    assert read_stems(folder).annotation == known


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not an annotation of beats and chords"),
        ('{"beats": [0.5]}', "not an annotation"),
        ('["beat_seconds"]', "not an annotation"),
        ('{"beat_seconds": [], "chords": [[0, 1, 2]]}', "not an annotation"),
        ('{"beat_seconds": [], "chords": [[0, 1, Infinity, "major", 0]]}', "not an annotation"),
        ('{"beat_seconds": [NaN], "chords": []}', "not an annotation"),
        ('{"beat_seconds": [1e300], "chords": []}', "not an annotation"),
        ("[" * 100_000, "not an annotation"),
        ('{"beat_seconds": [2, 1], "chords": []}', "not an annotation"),
        ('{"beat_seconds": [], "chords": [[2, 1, 2, "maj", 2]]}', "not an annotation"),
        ('{"beat_seconds": [], "chords": [[0, 1, 12, "maj", 2]]}', "not an annotation"),
        (
            '{"beat_seconds": [], "chords": [[0, 1, 2, "mayor", 2]]}',
            "'mayor' is not a chord quality",
        ),
    ],
)
def test_a_bad_annotation_is_named(tmp_path, text, complaint):
    folder = write_song(tmp_path / "one", bass=tone(1.0), drums=tone(1.0))
    (folder / "annotation.json").write_text(text)
    with pytest.raises(InputError, match=rf"annotation\.json: .*{complaint}"):
        read_stems(folder)


def test_a_recording_in_another_key_keeps_its_drums_and_length(tmp_path):
    folder = write_song(tmp_path / "one", bass=tone(1.0), drums=tone(1.0), keys=tone(1.0))
    (folder / "annotation.json").write_text(Annotation((), (Chord(0, 1, 9, "min", 9),)).to_json())
    source = StemFolder(tmp_path)
    own, higher = source[0], source.transposed(0, 5)
    np.testing.assert_array_equal(own.others["drums"], higher.others["drums"])
    assert higher.annotation.chords == (Chord(0.0, 1.0, 2, "min", 2),)
    for samples in (higher.bass, higher.others["keys"]):
        assert len(samples) == SAMPLE_RATE_HZ
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        assert np.argmax(spectrum) == pytest.approx(110 * 2 ** (5 / 12), abs=1.5)
    np.testing.assert_array_equal(source.transposed(0, 0).bass, own.bass)


def test_only_folders_with_bass_and_another_stem_are_songs(tmp_path):
    write_song(tmp_path / "b", bass=tone(0.2), vocals=tone(0.2))
    write_song(tmp_path / "a", bass=tone(0.2), drums=tone(0.2))
    write_song(tmp_path / "no bass", drums=tone(0.2), vocals=tone(0.2))
    lonely = write_song(tmp_path / "lonely", bass=tone(0.2), mixture=tone(0.2))
    (tmp_path / "notes.txt").write_text("not a song")
    source = StemFolder(tmp_path)
    assert source.names == ["a", "b"]
    assert len(source) == 2
    with pytest.raises(InputError, match="lonely: a song needs"):
        read_stems(lonely)


def test_stereo_and_other_rates_become_mono_at_ours(tmp_path):
    folder = tmp_path / "song"
    folder.mkdir()
    soundfile.write(folder / "bass.flac", np.stack([tone(1.0), -tone(1.0)], 1), SAMPLE_RATE_HZ)
    soundfile.write(folder / "drums.wav", np.zeros(22050, np.float32), 22050)
    song = read_stems(folder)
    assert song.bass.shape == song.others["drums"].shape == (SAMPLE_RATE_HZ,)
    # Opposite halves are heard, and do not cancel.
    np.testing.assert_allclose(song.bass, tone(1.0), atol=1e-4)


def test_names_of_whole_songs_are_no_stems(tmp_path):
    names = ("Mixture (1)", "full mix", "MASTER_v2", "song-mixdown")
    parts = ("bass", "other", "drum mix", "masters of drums")
    folder = write_song(tmp_path / "one", **dict.fromkeys((*names, *parts), tone(0.2)))
    assert set(read_stems(folder).others) == set(parts) - {"bass"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_annotation_with_a_mark_of_the_byte_order_is_read(tmp_path, encoding):
    folder = write_song(tmp_path / "one", bass=tone(0.2), drums=tone(0.2))
    known = Annotation((0.1, 0.6), (Chord(0.0, 0.5, 9, "min7", 0),))
    (folder / "annotation.json").write_text(known.to_json(), encoding=encoding)
    assert read_stems(folder).annotation == known
    # Either part may be unknown.
    (folder / "annotation.json").write_text('{"beat_seconds": [0.0, 0.5]}', encoding=encoding)
    assert read_stems(folder).annotation == Annotation((0.0, 0.5))
    (folder / "annotation.json").write_bytes("Ä".encode("latin1"))
    with pytest.raises(InputError, match=r"annotation\.json: is not text in UTF-8"):
        read_stems(folder)


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="gone: there is no such folder"):
        song_folders(tmp_path / "gone")
    with pytest.raises(InputError, match="no sub-folder holds a bass"):
        StemFolder(tmp_path)
