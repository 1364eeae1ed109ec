"""A job that is killed again and again ends as if it had not been."""

import functools
import random
import shutil
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.faults
WORDS = ("--steps", "4", "--mixdown", "--midi")
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


@pytest.fixture(scope="module")
def begin(write_catalogue, start, tmp_path_factory):
    """Starts a job of 24 songs in two folders, among them one of two minutes and a bad file."""
    lengths = [120.0 if number == 4 else 1.5 + 0.5 * (number % 11) for number in range(23)]
    songs = write_catalogue(tmp_path_factory.mktemp("catalogue"), lengths)
    return lambda out, *words, **how: start(songs, out, *WORDS, *words, **TWO_DEVICES, **how)


@pytest.fixture(scope="module")
def whole(begin, finish, tmp_path_factory):
    """The folder of an uninterrupted job, and how long it took with its programs compiled."""
    folder = tmp_path_factory.mktemp("whole")
    finish(begin(folder / "first"), 24)
    begun = time.monotonic()
    finish(begin(folder / "out"), 24)
    seconds = time.monotonic() - begun
    shutil.rmtree(folder / "first")
    return folder / "out", seconds


def basses(out):
    return sorted(out.rglob("*.bass.wav"))


def cut_one(out):
    """Cuts a bass, as a disk may leave it when the machine goes down; returns its song."""
    torn = basses(out)[0]
    torn.write_bytes(torn.read_bytes()[:-100])
    return str(torn.relative_to(out)).removesuffix(".bass.wav")


@pytest.fixture
def check_same(contents, rows):
    """Compares what a job has left with what an uninterrupted one did."""

    def check(out, expected, torn):
        assert contents(out) == contents(expected)
        assert [path.name for path in out.rglob(".*")] == []
        found, wanted = rows(out), {row["id"]: row for row in rows(expected)}
        # Every song has one row, but for the one whose file was damaged after its row was written.
        once = [row["id"] for row in found if row["id"] != torn]
        assert len(once) == len(set(once))
        assert {row["id"]: row for row in found} == wanted

    return check


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    tmp_path, begin, finish, whole, check_same
):
    out, (expected, seconds) = tmp_path / "out", whole
    chance, kills, torn = random.Random(0), 0, None
    for turn in range(6):
        before, wait = len(basses(out)), 0.3 * seconds
        process = begin(out)
        if turn % 2:
            # Most of the time is the start's: only what has written something is in the middle.
            while process.poll() is None and len(basses(out)) == before:
                time.sleep(0.01)
            wait = 0.05 * seconds
        try:
            process.communicate(timeout=chance.uniform(0.0, wait))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        if basses(out) and torn is None:
            torn = cut_one(out)
    assert kills >= 2 and torn is not None
    finish(begin(out), 24)
    check_same(out, expected, torn)


def test_killed_while_it_plays_to_an_hour(tmp_path, write_catalogue, start, finish, check_same):
    """One of 24 songs lasts an hour; the job is killed before that is played, twice."""
    (tmp_path / "songs").mkdir()
    lengths = [3600.0 if number == 8 else 1.5 + 0.5 * (number % 3) for number in range(23)]
    songs = write_catalogue(tmp_path / "songs", lengths, rate_hz=8000)
    begin = functools.partial(start, songs, **TWO_DEVICES)
    finish(begin(tmp_path / "whole", "--steps", "2"), 24, 1500)
    out, torn, chance = tmp_path / "out", None, random.Random(0)
    for _ in range(2):
        before = len(basses(out))
        process = begin(out, "--steps", "2")
        while len(basses(out)) == before:
            assert process.poll() is None and time.sleep(0.01) is None
        time.sleep(chance.uniform(0.0, 5.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (out / "album0" / "8.bass.wav").exists()
        torn = torn or cut_one(out)
    finish(begin(out, "--steps", "2"), 24, 1500)
    assert (out / "album0" / "8.bass.wav").stat().st_size > 3600 * 8000 * 3
    check_same(out, tmp_path / "whole", torn)


def test_asked_to_end_it_leaves_nothing_half_done_and_goes_on(
    tmp_path, begin, finish, whole, contents
):
    out = tmp_path / "out"
    process = begin(out)
    while not list(out.glob("results-*")):
        assert process.poll() is None and time.sleep(0.01) is None
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 42, errors
    assert "the same command continues" in errors
    assert [path.name for path in out.rglob(".*")] == []
    finish(begin(out), 24)
    assert contents(out) == contents(whole[0])


def test_a_full_disk_is_told_and_the_same_command_goes_on(tmp_path, begin, finish, whole, contents):
    out = tmp_path / "out"
    # A file cannot grow beyond this many bytes, of which the long song's needs more.
    limit = ("bash", "-c", 'ulimit -f 600; trap "" XFSZ; exec "$@"', "limited")
    process = begin(out, prefix=limit)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 2, errors
    assert "cannot be written (file too large); free some space" in errors
    assert [path.name for path in out.rglob(".*")] == []
    finish(begin(out), 24)
    assert contents(out) == contents(whole[0])
