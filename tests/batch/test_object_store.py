"""Against a server that speaks S3, and one of plain files by HTTP."""

import http.server
import threading
from functools import partial

import fsspec
import pytest

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -e '.[s3]'")
server = pytest.importorskip("moto.server", reason="moto is not installed")

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("plain_decoder"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def bucket(monkeypatch):
    """The URL of an empty bucket."""
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}"),
    ):
        monkeypatch.setenv(name, value)
    fs = fsspec.filesystem("s3")
    fs.mkdir("songs")
    yield fs
    running.stop()
    type(fs).clear_instance_cache()


def test_mixes_and_results_on_s3(tmp_path, play, songs, contents, bucket, rows):
    for path in songs.iterdir():
        bucket.put_file(str(path), f"songs/in/{path.name}")
    assert play("s3://songs/in", out="s3://songs/out/first").played == 5
    play(songs, out=tmp_path / "out")
    for name, data in contents(tmp_path / "out").items():
        assert bucket.cat(f"songs/out/first/{name}") == data
    (journal,) = bucket.glob("songs/out/first/results-*.jsonl")
    assert len(bucket.cat(journal).splitlines()) == 5
    bucket.pipe_file("songs/out/first/song3.bass.wav", b"damaged")
    tally = play("s3://songs/in", out="s3://songs/out/first")
    assert (tally.played, tally.kept) == (1, 4)
    assert len(bucket.ls("songs/out/first", refresh=True)) == 7


def test_a_song_by_http(tmp_path, play, songs):
    handler = partial(Quiet, directory=songs)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{files.server_port}"
        tally = play(f"{url}/song0.wav", f"{url}/gone.wav", out=tmp_path / "out")
        files.shutdown()
    assert (tally.played, tally.failed) == (1, 1)
    assert (tmp_path / "out" / "song0.bass.wav").exists()
