import pytest

from bassdiff.batch.grouping import Groups, rows_of
from bassdiff.diffusion.generation import FRAME_BUCKETS


def test_songs_wait_for_their_kind():
    groups = Groups()
    assert groups.add("a", 2, 1) == []
    assert groups.add("b", 2, 2) == []
    assert groups.add("a", 2, 3) == [1, 3]
    assert len(groups) == 1
    assert (groups.next(), groups.next()) == ([2], [])


def test_however_many_kinds_few_songs_wait():
    groups = Groups(max_waiting=5)
    played = [song for song in range(20) for song in groups.add(song, 4, song)]
    assert played == list(range(15))
    assert len(groups) == 5


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_longer_songs_have_no_more_company(platform):
    rows = [rows_of(frames, platform) for frames in FRAME_BUCKETS]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] > 1 and rows[-1] == 1
