import copy

import pytest

from bassdiff.data.manifest import manifest_fault

GOOD = {
    "names": ["a", "b"],
    "num_frames": [8, 9],
    "places": [{"bass": [0, 1]}, {"bass": [64, 1]}],
    "fields": {"bass": {"dtype": "float16"}},
    "statistics": {"bass": {"mean": [0.0, 1.0], "std": [1.0, 2.0]}},
}


def changed(key, value):
    manifest = copy.deepcopy(GOOD)
    manifest[key] = value
    return manifest


def test_a_manifest_that_can_be():
    assert manifest_fault(GOOD) is None


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("names", ["a"], "its num_frames are not a list with one entry per song"),
        ("names", {"a": 1, "b": 2}, "its names are not a list"),
        ("names", ["a", 2], "its names are not texts"),
        ("num_frames", [8, -9], "its num_frames are not lengths"),
        ("num_frames", [8, 1e9], "its num_frames are not lengths"),
        ("num_frames", [8, 10**12], "its num_frames are not lengths"),
        ("fields", [], "its fields are not valid"),
        ("places", [{"bass": [0, 1]}, {"drums": [0, 1]}], "a song has an unknown field"),
        ("places", [{"bass": [0, 1]}, {"bass": [-1, 1]}], "a place of a song is not valid"),
        ("statistics", None, "it has no statistics"),
        ("statistics", {"bass": {"mean": [0.0]}}, "the statistics of bass are not valid"),
        (
            "statistics",
            {"bass": {"mean": [0.0], "std": [-1.0]}},
            "the statistics of bass are not valid",
        ),
    ],
)
def test_a_manifest_that_cannot_be(key, value, fault):
    assert fault in manifest_fault(changed(key, value))
