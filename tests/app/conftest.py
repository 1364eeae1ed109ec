"""A server of the page, and those who visit it without a browser."""

import contextlib
import json
import socket
import threading
import time

import numpy as np
import pytest

from bassdiff.app.serving import Place, application
from bassdiff.audio import io


@pytest.fixture(scope="session")
def serve(player, tiny_weights, tmp_path_factory):
    """Starts servers of the page; gives address, folder and studio of each."""
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[app]'")
    import uvicorn

    running = []

    def start(**place):
        folder = tmp_path_factory.mktemp("app")
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        place = Place(port=listener.getsockname()[1], **place)
        app = application(player, {"weights": str(tiny_weights)}, place, folder)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.05)
        running.append((server, thread))
        return Server(f"http://127.0.0.1:{place.port}{place.root_path}/", folder)

    yield start
    for server, _ in running:
        server.should_exit = True
    for _, thread in running:
        thread.join(20)


class Server:
    """Where a server is, and where it keeps its files."""

    def __init__(self, url, folder):
        self.url, self.folder = url, folder

    def files(self):
        """All files of sessions."""
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="session")
def server(serve):
    """A server whose songs last a minute and whose files have a megabyte."""
    return serve(max_minutes=1.0, max_megabytes=1.0)


class Visitor:
    """One who speaks to the server as the page does, and may send what the page would not."""

    def __init__(self, url, **options):
        import httpx

        self.http = httpx.Client(base_url=url, timeout=120, **options)
        self.page = self.http.get("/")
        self.hash = f"hash{id(self)}"
        if self.page.status_code == 200:
            config = self.http.get("/config").json()
            names = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
            self.calls, self.fields = {}, {}
            for call in config["dependencies"]:
                for target, event in call["targets"]:
                    self.calls[names.get(target) or event] = call["id"]
                    self.fields[names.get(target) or event] = call["inputs"]
            self.names = names
            self.values = {one["id"]: one["props"].get("value") for one in config["components"]}

    def form(self, button, **changes):
        """The values that a button sends, some of them changed."""
        values = {self.names[one]: self.values[one] for one in self.fields[button]}
        assert set(changes) <= set(values)
        return list({**values, **changes}.values())

    def press(self, button, data=()):
        """Presses a button; gives what is shown last of all, or the refusal's status."""
        body = {"data": list(data), "fn_index": self.calls[button], "session_hash": self.hash}
        joined = self.http.post("/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            return joined.status_code
        event = joined.json()["event_id"]
        shown = None
        url = f"/gradio_api/queue/data?session_hash={self.hash}"
        with self.http.stream("GET", url) as lines:
            for line in lines.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message.get("event_id") not in (event, None):
                    continue
                if message["msg"] in ("process_generating", "process_completed"):
                    output = message["output"]
                    if "data" in output and message["msg"] == "process_generating":
                        shown = merged(shown, output["data"])
                    elif output.get("data"):
                        shown = output["data"] if shown is None else shown
                    if output.get("error"):
                        shown = [output["error"]]
                if message["msg"] in ("process_completed", "close_stream", "unexpected_error"):
                    break
        return shown

    def upload(self, name, content):
        """Uploads a file; gives its place, or the refusal's status."""
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content)})
        return answer.json()[0] if answer.status_code == 200 else answer.status_code

    def open(self, name, content):
        """Uploads a song and opens it."""
        return self.press("song", [file_data(self.upload(name, content), name)])

    def state(self):
        """What the player would show."""
        return self.http.get("/player/state").json()


def file_data(path, name="song.wav"):
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def merged(shown, data):
    """Gradio sends first values and then differences."""
    if shown is None or not any(isinstance(one, list) for one in data):
        return data
    return [
        patched(old, change) if isinstance(change, list) else change
        for old, change in zip(shown, data, strict=True)
    ]


def patched(old, changes):
    for kind, path, value in changes:
        if not path:
            old = old + value if kind == "append" else value
    return old


@pytest.fixture
def visitors():
    """Makes visitors of a server."""
    made = []

    def make(server, **options):
        made.append(Visitor(server.url.rstrip("/"), **options))
        return made[-1]

    yield make
    for visitor in made:
        with contextlib.suppress(Exception):
            visitor.http.close()


@pytest.fixture(scope="session")
def song(tmp_path_factory):
    """Bytes of a song of two seconds in stereo, of an odd rate."""
    rate = 22050
    time_ = np.arange(2 * rate) / rate
    beat = np.exp(-8 * (time_ * 4 % 1))
    wave = 0.3 * np.sin(2 * np.pi * 220 * time_) * beat
    path = tmp_path_factory.mktemp("song") / "song.wav"
    io.write(path, np.stack([wave, 0.5 * wave], axis=1), rate)
    return path.read_bytes()
