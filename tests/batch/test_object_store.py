"""Against a server that speaks S3, behind a proxy that may refuse, and one of plain files."""

import http.client
import http.server
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial

import fsspec
import pytest

from bassdiff.batch.patience import StoreUnavailable

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -e '.[s3]'")
pytest.importorskip("moto.server", reason="moto is not installed")

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("plain_decoder"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Proxy(http.server.ThreadingHTTPServer):
    """Hands requests to a server; or, for a time, answers 503.

    Attributes:
      refused: How many were answered so.
    """

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), Forward)
        self.port, self.refused = port, 0
        self._first, self._seconds, self._count = float("inf"), 0.0, 0
        self._until = None

    def refuse(self, after, seconds):
        """Answers 503 for so long, once it has handed on so many more requests."""
        self._count, self._first, self._seconds, self._until = 0, after, seconds, None

    def is_refused(self):
        self._count += 1
        if self._count > self._first and self._until is None:
            self._until = time.monotonic() + self._seconds
        is_down = self._until is not None and time.monotonic() < self._until
        self.refused += is_down
        return is_down


class Forward(http.server.BaseHTTPRequestHandler):
    # Clients ask before they send a body, which older versions do not answer.
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.is_refused():
            self.send_error(503)
            return
        server = http.client.HTTPConnection("127.0.0.1", self.server.port)
        headers = {name: value for name, value in self.headers.items() if name != "Expect"}
        server.request(self.command, self.path, body, headers)
        answer = server.getresponse()
        data = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)
        server.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """A process that speaks S3, and what stands before it."""
    code = (
        "from moto.server import ThreadedMotoServer as Server\n"
        "server = Server(port=0, verbose=False)\nserver.start()\n"
        "print(server.get_host_and_port()[1], flush=True)\ninput()"
    )
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as server:
        with Proxy(int(server.stdout.readline())) as running:
            threading.Thread(target=running.serve_forever, daemon=True).start()
            yield running
            running.shutdown()
        server.kill()


@pytest.fixture
def bucket(monkeypatch, tmp_path, proxy):
    """The file system of a store with an empty bucket, songs."""
    # Tests side by side each have a store, whose folders have the same names.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{proxy.server_port}"),
        # The client's own patience would be mistaken for ours.
        ("AWS_MAX_ATTEMPTS", "1"),
    ):
        monkeypatch.setenv(name, value)
    fs = fsspec.filesystem("s3")
    fs.mkdir("songs")
    proxy.refused = 0
    yield fs
    proxy.refuse(0, 0.0)
    fs.rm("songs", recursive=True)
    type(fs).clear_instance_cache()


def test_mixes_and_results_on_s3(tmp_path, play, songs, contents, bucket):
    for path in songs.iterdir():
        bucket.put_file(str(path), f"songs/in/{path.name}")
    assert play("s3://songs/in", out="s3://songs/out/first").played == 5
    play("s3://songs/in", out=tmp_path / "out")
    for name, data in contents(tmp_path / "out").items():
        assert bucket.cat(f"songs/out/first/{name}") == data
    (journal,) = bucket.glob("songs/out/first/results-*.jsonl")
    assert len(bucket.cat(journal).splitlines()) == 5
    bucket.pipe_file("songs/out/first/song3.bass.wav", b"damaged")
    tally = play("s3://songs/in", out="s3://songs/out/first")
    assert (tally.played, tally.kept) == (1, 4)
    assert len(bucket.ls("songs/out/first", refresh=True)) == 12


@pytest.mark.parametrize("after", [0, 4, 12])
def test_a_bucket_that_answers_503_for_a_while_costs_nothing_but_time(
    play, songs, bucket, proxy, capsys, after
):
    """From the first request on, while mixes are read, and while basses are written."""
    for path in songs.iterdir():
        bucket.put_file(str(path), f"songs/in/{path.name}")
    proxy.refuse(after, 3.0)
    assert play(*(f"s3://songs/in/song{n}.wav" for n in range(5)), out="s3://songs/out").played == 5
    assert proxy.refused > 0
    assert "trying again for 600 s" in capsys.readouterr().err
    proxy.refuse(0, 3.0)
    # Rows that cannot be listed for a while are not taken for missing.
    assert play(songs, out="s3://songs/out", retry_failed=True).played == 5
    proxy.refuse(0, 3.0)
    assert play(songs, out="s3://songs/out").kept == 5
    assert len(bucket.glob("songs/out/*.bass.wav")) == 5


def test_a_bucket_that_answers_503_for_long_is_told_and_the_same_command_goes_on(
    play, songs, bucket, proxy
):
    proxy.refuse(10, 1e9)
    with pytest.raises(StoreUnavailable, match=r"did not answer for 1 s .*; the same command"):
        play(songs, out="s3://songs/out", patience_seconds=1)
    proxy.refuse(0, 0.0)
    tally = play(songs, out="s3://songs/out")
    assert tally.played + tally.kept == 5 and tally.kept < 5
    assert len(bucket.ls("songs/out", refresh=True)) == 10 + len(
        bucket.glob("songs/out/results-*.jsonl")
    )


def test_a_song_by_http(tmp_path, play, songs):
    handler = partial(Quiet, directory=songs)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{files.server_port}"
        tally = play(f"{url}/song0.wav", f"{url}/gone.wav", out=tmp_path / "out")
        files.shutdown()
    assert (tally.played, tally.failed) == (1, 1)
    assert (tmp_path / "out" / "song0.bass.wav").exists()
