"""Reading leaves the process as it was, whatever decodes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from bassdiff.audio.io import read_mono
from tests.audio.odd_files import libsndfile, song

READ = "from bassdiff.audio.io import read_mono\nimport sys\nprint(len(read_mono(sys.argv[1])))"


def _file(tmp_path):
    path = tmp_path / "a.mp3"
    # Twice: decoders have something to say about it.
    path.write_bytes(libsndfile("MP3") + libsndfile("MP3"))
    return path


def test_stderr_is_as_before_when_threads_read(tmp_path):
    path = _file(tmp_path)
    before = os.fstat(2)
    with ThreadPoolExecutor(4) as threads:
        lengths = set(threads.map(lambda _: len(read_mono(path)), range(80)))
    assert lengths == {2 * len(song())}
    assert os.fstat(2) == before


def test_a_good_file_is_read_without_a_stderr_and_in_silence(tmp_path):
    path = _file(tmp_path)
    words = [sys.executable, "-c", READ, str(path)]
    closed = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "-", *words], capture_output=True)
    assert closed.stdout.split() == [str(2 * len(song())).encode()]
    ended = subprocess.run(words, capture_output=True)
    assert ended.returncode == 0 and ended.stderr == b""


def test_a_name_need_not_be_text(tmp_path):
    path = os.fsdecode(bytes(tmp_path) + b"/caf\xe9")
    for suffix, container in ((".wav", "WAV"), (".mp3", "MP3"), (".flac", "FLAC")):
        with open(path + suffix, "wb") as file:
            file.write(libsndfile(container))
        assert len(read_mono(path + suffix)) == len(song())
