from bassdiff.audio.folders import AUDIO_SUFFIXES, visible_files


def test_what_systems_leave_behind_is_no_audio(tmp_path):
    for name in ("b.WAV", "a.m4a", "c.opus", "._b.WAV", ".DS_Store", ".a.m4a.swp", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "d.flac").touch()
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "e.flac").touch()
    names = [path.name for path in visible_files(tmp_path, AUDIO_SUFFIXES)]
    assert names == ["a.m4a", "b.WAV", "c.opus"]
    deep = [path.name for path in visible_files(tmp_path, AUDIO_SUFFIXES, deep=True)]
    assert deep == ["a.m4a", "d.flac", "b.WAV", "c.opus"]
