"""What strangers would try: files of the server and of others, forged values, and too much."""

import io as streams
import json
import tracemalloc
import wave

import numpy as np
import pytest

from bassdiff.app.serving import Place, users_of
from bassdiff.audio import io
from bassdiff.cli import main as cli
from bassdiff.runtime.errors import InputError

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[app]'")
pytestmark = pytest.mark.filterwarnings("default")


def file_data(path, name="song.wav"):
    return {"path": str(path), "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def told(shown):
    """What a status says, as plain text."""
    return " ".join(str(one) for one in shown)


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=../../../../etc/passwd",
        "gradio_api/file/etc/passwd",
        "file=/etc/passwd",
        "gradio_api/file=http://127.0.0.1:1/",
        "gradio_api/proxy=http://127.0.0.1:1/",
        "static/../../../../../../etc/passwd",
        "static/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "assets/%2e%2e/%2e%2e/routes.py",
        "svelte/..%2f..%2froutes.py",
        "player/code/..%2f..%2fserving.py",
        "player/code/%2e%2e/serving.py",
        "player/files/..%2f..%2f..%2fetc/passwd",
        "player/files/%2fetc/passwd",
        "player/zip/..%2f..",
        "gradio_api/stream/a/b/1/playlist.m3u8",
        "gradio_api/info",
        "gradio_api/runs",
        "gradio_api/vibe-code",
        "monitoring",
        "docs",
        "openapi.json",
    ],
)
def test_nothing_but_the_page_is_served(server, visitors, path):
    one = visitors(server)
    answer = one.http.get(path)
    assert answer.status_code == 404, answer.text[:200]
    assert "root:" not in answer.text and "import " not in answer.text


@pytest.mark.parametrize(
    "path", ["gradio_api/run/0", "gradio_api/call/0", "gradio_api/component_server"]
)
def test_other_ways_to_call_are_closed(server, visitors, path):
    assert visitors(server).http.post(path, json={"data": []}).status_code == 404
    assert visitors(server).http.put(path, json={"data": []}).status_code == 404


def test_a_file_that_was_not_uploaded_is_not_opened(server, visitors, song, tmp_path):
    owner, thief = visitors(server), visitors(server)
    assert "Opened song.wav" in told(owner.open("song.wav", song))
    theirs = next(path for path in server.files() if path.name == "song.wav")
    (tmp_path / "mine.wav").write_bytes(song)
    for path in (
        *("/etc/passwd", "http://127.0.0.1:1/song.wav", "file:///etc/passwd", "song.wav"),
        *(theirs, tmp_path / "mine.wav", server.folder / "uploads" / ".." / theirs.name),
    ):
        assert thief.press("song", [file_data(path)]) == 403, path
    hidden = [{"a": [{"b": file_data("/etc/passwd")}]}]
    assert thief.press("song", hidden) == 403
    assert thief.press("song", [{"path": "/etc/passwd"}]) == 403
    assert thief.state()["song"] is None


def test_files_of_a_session_are_for_its_browser(server, visitors, song):
    owner, thief = visitors(server), visitors(server)
    owner.open("song.wav", song)
    shown = owner.state()["song"]
    path = f"player/files/{shown['id']}/{shown['wave']}?player"
    assert owner.http.get(path).status_code == 200
    assert thief.http.get(path).status_code == 404
    # The name of a session cannot be brought along.
    (folder,) = server.folder.glob(f"session-*/{shown['id']}")
    name = folder.parent.name.removeprefix("session-")
    forged = {"x-bassdiff-session": name}
    assert thief.http.get(path, headers=forged).status_code == 404
    assert thief.http.get(path, headers={"cookie": f"bassdiff={name}"}).status_code == 404
    # What is there and not shown is not fetched either.
    assert owner.http.get(f"player/files/{shown['id']}/song.wav").status_code == 404


def test_uploads_have_a_limit(server, visitors):
    one = visitors(server)
    most = b"x" * 1_000_001
    assert one.upload("big.wav", most + b"y" * 300_000) == 413
    assert one.upload("big.wav", most) in (413, 400)

    def pieces():
        head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
        yield head
        for _ in range(300):
            yield b"x" * 10_000
        yield b"\r\n--b--\r\n"

    # Without a length that can be checked first.
    kind = {"content-type": "multipart/form-data; boundary=b"}
    try:
        answer = one.http.post("/gradio_api/upload", content=pieces(), headers=kind)
        assert answer.status_code >= 400
    except Exception as error:
        assert "disconnected" in str(error) or "closed" in str(error) or "reset" in str(error)
    assert all(path.stat().st_size <= 1_300_000 for path in server.files())
    body = json.dumps({"data": ["x" * 300_000]})
    assert one.http.post("/gradio_api/queue/join", content=body).status_code == 413
    assert one.http.post("/gradio_api/queue/join", content=b"[" * 100_000).status_code == 400


def silence(seconds, rate=44100, channels=2):
    """A small file that unpacks to much."""
    import soundfile

    file = streams.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels, "PCM_16", format="FLAC") as encoder:
        for _ in range(seconds):
            encoder.write(np.zeros((rate, channels), np.int16))
    return file.getvalue()


def test_a_small_file_that_unpacks_to_much_is_refused_and_not_unpacked(server, visitors):
    one = visitors(server)
    bomb = silence(600)
    assert len(bomb) < 700_000
    tracemalloc.start()
    shown = told(one.open("bomb.flac", bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "bomb.flac is longer than 1 minutes" in shown
    # A minute in stereo has 21 MB.
    assert peak < 100e6
    wide = silence(20, 8000, 8)
    assert "Opened" in told(one.open("wide.flac", wide))
    header = streams.BytesIO()
    with wave.open(header, "wb") as file:
        file.setnchannels(1024)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(b"\0" * 2048 * 100)
    shown = told(one.open("many.wav", header.getvalue()))
    assert "channels" in shown and "state error" in shown


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("song.wav", b"this is not sound", "song.wav"),
        ("song.wav", b"", "empty (0 bytes)"),
        ("song.zip", b"PK\x03\x04" + b"\0" * 100, "song.zip"),
        ("<img src=x onerror=alert(1)>.wav", b"nor is this", "img srcx onerroralert(1).wav"),
    ],
)
def test_what_is_not_a_song_gets_a_sentence(server, visitors, name, content, said):
    one = visitors(server)
    shown = told(one.open(name, content))
    assert "state error" in shown and said in shown
    assert "<img" not in shown
    assert str(server.folder) not in shown and "session-" not in shown and "ong-" not in shown
    assert one.state()["song"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": -1}, "less than minimum value 0"),
        ({"seed": "1; rm"}, ""),
        ({"seed": 1e300}, "greater than maximum"),
        ({"variations": 1000}, "greater than maximum value 4"),
        ({"steps": 100_000}, ""),
        ({"guidance": "NaN"}, ""),
        ({"solver": "__import__('os')"}, ""),
        ({"window_seconds": 1.0}, "window_seconds"),
        ({"chords": "/etc/hosts.txt", "follow_chords": True}, "name of a file"),
        ({"chords": "/etc/x.mid", "follow_chords": True}, "name of a file"),
        ({"chords": "|: C :|x99999999", "follow_chords": True}, ""),
        ({"chords": "C " * 3000, "follow_chords": True}, "longer than 4000 letters"),
        ({"bpm": "/etc/x.mid"}, "the tempo is"),
        ({"bpm": "inf"}, "the tempo is"),
        ({"key": "/etc/passwd"}, "key"),
        ({"meter": "4/0"}, ""),
        ({"avoid_below": "../x"}, ""),
        ({"bass_lufs": "5"}, "choose a loudness from -60 to 0"),
        ({"tuning_cents": "a"}, "write a number"),
    ],
)
def test_forged_values_get_a_sentence(server, visitors, song, changes, said):
    one = visitors(server)
    one.open("song.wav", song)
    shown = told(one.press("generate", one.form("generate", **{"steps": 2, **changes})))
    assert "Finished" not in shown and "Traceback" not in shown
    assert said.lower() in shown.lower()
    assert one.state()["takes"] == []
    assert "root:" not in shown and "localhost" not in shown


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("", "no part is chosen"),
        ("5:1", "is invalid"),
        ("100:200", "begins at 100.0 s and the mix lasts"),
        ("nan:inf", "is invalid"),
        ("bar:999999999999-", ""),
        ("1e9:", ""),
    ],
)
def test_forged_parts_get_a_sentence(server, visitors, song, region, said):
    one = visitors(server)
    one.open("song.wav", song)
    assert "generate a bass first" in told(one.press("edit", one.form("edit", region="0:1")))
    assert "Finished" in told(one.press("generate", one.form("generate", steps=2)))
    shown = told(one.press("edit", one.form("edit", region=region, steps=2)))
    assert "state error" in shown and said in shown.lower()
    assert len(one.state()["takes"]) == 1


def test_other_sites_and_other_names_are_refused(server, visitors):
    one = visitors(server)
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        body = {"data": [], "fn_index": one.calls["cancel"], "session_hash": "h"}
        answer = one.http.post("/gradio_api/queue/join", json=body, headers=headers)
        assert answer.status_code == 403
    assert one.http.get("/", headers={"host": "evil.example"}).status_code == 421
    assert one.http.get("/", headers={"host": "localhost:7860"}).status_code == 200
    cookie = one.page.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert "frame-ancestors 'self'" in one.page.headers["content-security-policy"]


def test_users_log_in(serve, visitors, song):
    server = serve(users={"alice": "pass:word", "bob": "x"}, root_path="/bass")
    path = server.url.rstrip("/")
    import httpx

    for auth in (None, ("alice", "x"), ("carol", "pass:word"), ("", ""), ("alice", "")):
        answer = httpx.get(f"{path}/", auth=auth)
        assert answer.status_code == 401 and "Basic" in answer.headers["www-authenticate"]
        assert httpx.get(f"{path}/player/state", auth=auth).status_code == 401
        assert httpx.get(f"{path}/config", auth=auth).status_code == 401
    for header in ("Basic !!!", "Bearer x", "Basic", "Basic /w=="):
        assert httpx.get(f"{path}/", headers={"authorization": header}).status_code == 401
    alice = visitors(server, auth=("alice", "pass:word"))
    assert alice.page.status_code == 200 and "Opened" in told(alice.open("song.wav", song))
    # With the same cookie, another user has nothing.
    bob = visitors(server, auth=("bob", "x"), cookies=dict(alice.http.cookies))
    assert alice.state()["song"]["name"] == "song.wav"
    assert bob.state()["song"] is None
    # A proxy may take its path away, or leave it.
    assert httpx.get(path.replace("/bass", "/"), auth=("bob", "x")).status_code == 200


def test_it_refuses_to_be_reached_by_everybody():
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        with pytest.raises(InputError, match=r"--auth USER:PASSWORD, or --open"):
            Place(host=host)
        Place(host=host, users={"a": "b"})
        Place(host=host, is_open=True)
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert Place(host=host).is_loopback


def test_the_command_line_says_so(capsys, tmp_path, tiny_weights):
    words = ["app", "--weights", str(tiny_weights)]
    for wrong, said in (
        (["--host", "0.0.0.0"], "give --auth USER:PASSWORD"),
        (["--auth", "alice"], "--auth is neither"),
        (["--max-minutes", "0"], "--max-minutes is 0"),
        (["--max-minutes", "nan"], "--max-minutes is nan"),
        (["--root-path", "bass"], "begin it with /"),
        (["--host", "203.0.113.7", "--auth", "a:b"], "choose another --port"),
        (["--port", "99999999"], "choose a port from 0 to 65535"),
    ):
        assert cli.main([*words, *wrong]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "users").write_text("alice:a:b\n\nbob:c\n")
    assert users_of([str(tmp_path / "users"), "carol:d"]) == {
        "alice": "a:b",
        "bob": "c",
        "carol": "d",
    }


def test_samples_are_as_they_were_written(server, visitors, song):
    """The files of the page are those of the command line."""
    one = visitors(server)
    one.open("song.wav", song)
    one.press("generate", one.form("generate", steps=2))
    (take,) = one.state()["takes"]
    fetched = one.http.get(f"player/files/{take['folder']}/{take['files']['bass']}")
    (path,) = server.folder.glob(f"*/{take['folder']}/{take['files']['bass']}")
    assert fetched.content == path.read_bytes()
    assert io.read(path).shape == (44100, 1)
