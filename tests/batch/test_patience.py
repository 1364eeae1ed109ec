"""Stores that do not answer: waiting, going on, or saying so."""

from typing import ClassVar

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from bassdiff.batch import patience
from bassdiff.batch.patience import Patience, StoreUnavailable, may_pass
from bassdiff.runtime.errors import exit_code

pytestmark = pytest.mark.filterwarnings("default:the bass came out", "default:no pitch is heard")


class Status(Exception):
    def __init__(self, status):
        super().__init__(f"HTTP {status}")
        self.status = status


class Flaky(MemoryFileSystem):
    """A store that answers some of the requests with 503."""

    protocol = "flaky"
    store, pseudo_dirs = {}, [""]
    answers: ClassVar[list[bool]] = []
    listings: ClassVar[list[bool]] = []

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("flaky://", "memory://", 1))

    def _answer(self):
        if self.answers and not self.answers.pop(0):
            raise Status(503)

    def ls(self, *arguments, **options):
        self._list()
        return super().ls(*arguments, **options)

    def info(self, *arguments, **options):
        self._list()
        return super().info(*arguments, **options)

    # What many file systems inherit: whatever goes wrong, the file is not there.
    exists = AbstractFileSystem.exists
    isdir = AbstractFileSystem.isdir

    def _list(self):
        if self.listings and not self.listings.pop(0):
            raise OSError("SlowDown")

    def put_file(self, *arguments, **options):
        self._answer()
        return super().put_file(*arguments, **options)

    def pipe_file(self, *arguments, **options):
        self._answer()
        return super().pipe_file(*arguments, **options)

    def get_file(self, *arguments, **options):
        self._answer()
        return super().get_file(*arguments, **options)


@pytest.fixture
def flaky(monkeypatch):
    monkeypatch.setattr(patience, "_FIRST_SECONDS", 0.01)
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky.store.clear()
    yield Flaky
    Flaky.answers, Flaky.listings = [], []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Status(503), True),
        (Status(429), True),
        (Status(403), False),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (OSError("SlowDown"), True),
        (FileNotFoundError(), False),
        (PermissionError(), False),
    ],
)
def test_what_may_pass(error, expected):
    assert may_pass(error) is expected


def test_trying_again_ends_with_what_was_wanted(flaky, capsys):
    answers = [Status(503), TimeoutError(), "data"]

    def call():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Patience(10.0)("s3://b/x", call) == "data"
    assert "s3://b/x: Status: HTTP 503; trying again for 10 s" in capsys.readouterr().err


def test_patience_ends(flaky):
    def call():
        raise Status(503)

    with pytest.raises(StoreUnavailable, match=r"did not answer for 0.1 s .*continues") as caught:
        Patience(0.1)("x", call)
    assert exit_code(caught.value) == 42


@pytest.mark.usefixtures("plain_decoder")
def test_a_store_that_answers_503_for_a_while_costs_nothing_but_time(play, songs, flaky, contents):
    data = {f"/in/{path.name}": path.read_bytes() for path in songs.iterdir()}
    fsspec.filesystem("flaky").pipe(data)
    flaky.answers = [False] * 3 + [True] * 7 + [False] * 4
    assert play("flaky://in", out="flaky://out").played == 5
    assert flaky.answers == []
    names = [name for name in flaky.store if name.startswith("/out/")]
    assert sum(name.endswith(".bass.wav") for name in names) == 5 and len(names) == 11


@pytest.mark.usefixtures("plain_decoder")
def test_a_store_that_cannot_be_listed_is_not_taken_for_an_empty_one(play, songs, flaky):
    fsspec.filesystem("flaky").pipe({f"/in/{p.name}": p.read_bytes() for p in songs.iterdir()})
    flaky.listings = [False] * 2
    assert play("flaky://in", out="flaky://out").played == 5
    for refused in range(1, 4):
        flaky.listings = [True] * (refused - 1) + [False] * 2
        tally = play("flaky://in", out="flaky://out")
        assert flaky.listings == [] and (tally.played, tally.kept) == (0, 5)


@pytest.mark.usefixtures("plain_decoder")
def test_a_store_that_is_gone_ends_the_job_to_be_begun_again(play, songs, flaky):
    flaky.answers = [True] * 3 + [False] * 1000
    with pytest.raises(StoreUnavailable):
        play(songs, out="flaky://out", num_workers=1, patience_seconds=0.2)
    flaky.answers = []
    tally = play(songs, out="flaky://out")
    assert tally.played + tally.kept == 5 and tally.kept >= 1


@pytest.mark.usefixtures("plain_decoder")
def test_a_mix_that_cannot_be_fetched_fails_alone(tmp_path, play, songs, flaky, rows):
    fsspec.filesystem("flaky").pipe({"/in/a.wav": b"x"})
    flaky.answers = [False] * 1000
    tally = play("flaky://in/a.wav", f"{songs}/song0.wav", out=tmp_path, patience_seconds=0.2)
    assert (tally.played, tally.failed) == (1, 1)
    assert {row["id"]: bool(row["error"]) for row in rows(tmp_path)} == {"a": True, "song0": False}
