"""A job on a Ray cluster of two machines, one of which is lost while it plays."""

import signal
import time

import pytest

NUM_SONGS = 16
WORDS = ("--steps", "3", "--mixdown", "--midi")
ON_RAY = ("--engine", "ray", "--accelerator", "tpu", "--stall-seconds", "60")
pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("default")]
pytest.importorskip("ray", reason="ray is not installed: pip install -e '.[ray]'")


@pytest.fixture
def cluster(environment, monkeypatch):
    """Two machines of one accelerator each, as far as Ray can tell."""
    from ray.cluster_utils import Cluster

    for name, value in {**environment, "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    machine = {"num_cpus": 2, "resources": {"TPU": 1}, "object_store_memory": 100 << 20}
    running = Cluster(initialize_head=True, head_node_args=machine)
    running.add_node(**machine)
    yield running
    running.shutdown()


@pytest.fixture(scope="module")
def songs(write_catalogue, tmp_path_factory):
    """A manifest of songs of several lengths and a bad file."""
    lengths = [1.5 + 0.5 * (number % 6) for number in range(NUM_SONGS - 1)]
    return write_catalogue(tmp_path_factory.mktemp("catalogue"), lengths)


@pytest.fixture
def begin(songs, start, cluster):
    """Starts a job, in one process or on Ray."""

    def run(out, on_ray):
        if not on_ray:
            return start(songs, out, *WORDS)
        return start(songs, out, *WORDS, *ON_RAY, RAY_ADDRESS=cluster.address)

    return run


@pytest.fixture
def whole(tmp_path, begin, finish):
    """The folder of an uninterrupted job in one process."""
    finish(begin(tmp_path / "whole", on_ray=False), NUM_SONGS)
    return tmp_path / "whole"


def by_id(rows):
    """The rows by id; every song has one."""
    assert len(rows) == len({row["id"] for row in rows}) == NUM_SONGS
    return {row["id"]: row for row in rows}


def test_a_machine_is_lost_and_every_song_arrives_once(
    tmp_path, begin, finish, whole, cluster, contents, rows
):
    """One of two machines is killed at work."""
    out, lost = tmp_path / "out", next(iter(cluster.worker_nodes))
    process = begin(out, on_ray=True)
    while not list(out.rglob("*.bass.wav")):
        assert process.poll() is None and time.sleep(0.05) is None
    cluster.remove_node(lost, allow_graceful=False)
    finish(process, NUM_SONGS)
    assert contents(out) == contents(whole)
    assert [path.name for path in out.rglob(".*")] == []
    assert by_id(rows(out)) == by_id(rows(whole))
    # What is there is checked by the readers, and not played again.
    assert "songs are played again" not in finish(begin(out, on_ray=True), NUM_SONGS)
    assert by_id(rows(out)) == by_id(rows(whole))


def test_a_killed_job_goes_on_and_a_torn_file_is_made_anew(
    tmp_path, begin, finish, whole, contents
):
    """On Ray and in one process again: the engines know each other's rows."""
    out = tmp_path / "out"
    process = begin(out, on_ray=True)
    while len(list(out.rglob("*.bass.wav"))) < 3:
        assert process.poll() is None and time.sleep(0.02) is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Its workers end with it, if not at once.
    time.sleep(5)
    torn = sorted(out.rglob("*.bass.wav"))[0]
    torn.write_bytes(torn.read_bytes()[:-100])
    finish(begin(out, on_ray=True), NUM_SONGS)
    finish(begin(out, on_ray=False), NUM_SONGS)
    assert contents(out) == contents(whole)
    assert [path.name for path in out.rglob(".*")] == []
