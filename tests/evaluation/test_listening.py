import base64
import io
import json
import re

import numpy as np
import pytest
import soundfile

from bassdiff.audio.loudness import loudness_lufs
from bassdiff.evaluation import listening
from bassdiff.runtime.errors import InputError

SYSTEMS = ["model", "true", "codec"]


def study_of(path):
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="study">(.*?)</script>', text)
    return json.loads(found[1])


def names_of(study):
    return json.loads(base64.b64decode(study["names"]))


def samples_of(uri):
    head, _, data = uri.partition(",")
    assert head == "data:audio/mpeg;base64"
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


@pytest.fixture(scope="module")
def path(evaluation_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("listening")
    return listening.write_listening_page(evaluation_folder, out, SYSTEMS, num_clips=4)


def test_every_clip_has_a_reference_and_every_system(path):
    study = study_of(path)
    names = names_of(study)
    assert study["kind"] == "mushra" and len(study["clips"]) == 4
    for clip in study["clips"]:
        assert sorted(names[key] for key in clip["stimuli"]) == sorted(SYSTEMS)
    assert len(names) == 4 * len(SYSTEMS)


def test_sounds_of_a_clip_are_equally_loud_and_long(path):
    for clip in study_of(path)["clips"]:
        sounds = [samples_of(uri) for uri in (clip["reference"], *clip["stimuli"].values())]
        assert len({len(samples) for samples, _ in sounds}) == 1
        assert max(np.abs(samples).max() for samples, _ in sounds) < 1
        loudness = [loudness_lufs(*sound) for sound in sounds]
        assert max(loudness) - min(loudness) < 0.5


def test_a_stimulus_is_its_system_s_bass_in_the_mix(evaluation_folder, path):
    study = study_of(path)
    names, clip = names_of(study), study["clips"][0]
    folder = evaluation_folder / "clips" / clip["clip"]
    mix, _ = soundfile.read(folder / "mix.flac")
    for key, uri in clip["stimuli"].items():
        bass, _ = soundfile.read(folder / f"{names[key]}.flac")
        samples, _ = samples_of(uri)
        assert np.corrcoef(samples, mix + bass)[0, 1] > 0.97


def test_the_page_is_blind(path):
    text = re.sub(r"data:audio[^\"]*", "", path.read_text(encoding="utf-8"))
    assert not re.search(r"\bmodel\b|\bcodec\b|follower|Song \d", text)
    study = study_of(path)
    orders = {tuple(names_of(study)[key] for key in clip["stimuli"]) for clip in study["clips"]}
    assert len(orders) > 1  # the order in the file does not give the systems away either


def test_the_page_may_load_nothing(path):
    text = path.read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    for rule in (
        "default-src 'none'",
        "media-src data:",
        "img-src data:",
        "style-src 'unsafe-inline'",
        "script-src 'unsafe-inline'",
    ):
        assert rule in policy
    assert "http://" not in text and "https://" not in text and "url(" not in text
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|sendBeacon|import)\s*\(", text)
    assert path.stat().st_size < 2e6


def test_the_seed_chooses_the_clips_and_makes_the_same_page(evaluation_folder, tmp_path):
    def made(name, seed):
        out = tmp_path / name
        return study_of(
            listening.write_listening_page(
                evaluation_folder, out, SYSTEMS[:2], "ab", num_clips=3, seed=seed
            )
        )

    first, again, other = made("a", 1), made("b", 1), made("c", 2)
    assert first == again and first["kind"] == "ab"
    assert first["page"] != other["page"]
    assert [c["clip"] for c in first["clips"]] != [c["clip"] for c in other["clips"]]


@pytest.mark.parametrize(
    ("systems", "options", "message"),
    [
        (["model", "nobody"], {}, "no basses by nobody; choose from codec, follower, model, true"),
        (["model", "mix"], {}, "no basses by mix"),
        (["model"], {}, "two or more"),
        (["model", "model"], {}, "two or more"),
        ([], {}, "two or more"),
        (["model", "true"], {"num_clips": 9}, "holds 8 clips.*ask for 1 to 8"),
        (["model", "true"], {"num_clips": 0}, "ask for 1 to 8"),
        (["model", "true"], {"kind": "abx"}, "not a kind of listening test; choose mushra or ab"),
    ],
)
def test_impossible_tests_are_explained(evaluation_folder, tmp_path, systems, options, message):
    with pytest.raises(InputError, match=message):
        listening.write_listening_page(evaluation_folder, tmp_path / "out", systems, **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_clips_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no clips.json.*bassdiff evaluate music --out DIR"):
        listening.write_listening_page(tmp_path, tmp_path / "out", SYSTEMS)


def answers(tmp_path, listener, trials, kind="mushra", page="p"):
    path = tmp_path / f"{listener}.json"
    made = {"page": page, "kind": kind, "listener": listener, "trials": trials}
    path.write_text(json.dumps(made))
    return path


def rated(**ratings):
    return {"stimuli": [{"system": name, "rating": value} for name, value in ratings.items()]}


def preferred(first, second, preference):
    return {"stimuli": [{"system": first}, {"system": second}], "preference": preference}


def test_ratings_are_averaged_over_listeners(tmp_path):
    results = [
        answers(tmp_path, "a", [rated(x=10, y=90), rated(x=30, y=90)]),
        answers(tmp_path, "b", [rated(x=40, y=90), rated(x=40, y=90)]),
        answers(tmp_path, "c", [rated(x=60, y=90), rated(x=60, y=90)]),
    ]
    summary = listening.summarise(results)
    assert (summary["kind"], summary["page"], summary["listeners"]) == ("mushra", "p", 3)
    x, y = summary["systems"]["x"], summary["systems"]["y"]
    # Means 20, 40, 60: standard error 20 / sqrt(3); Student's quantile for 2 degrees is 4.3027.
    assert x["mean"] == pytest.approx(40) and x["n"] == 6
    assert x["high"] == round(40 + 4.302653 * 20 / 3**0.5, 2)
    assert x["low"] == 0  # the scale's end: 40 - 49.68 is below it
    assert y == {"mean": 90, "low": 90, "high": 90, "n": 6}


def test_a_single_listener_s_clips_stand_in(tmp_path):
    path = answers(tmp_path, "a", [rated(x=10), rated(x=30)])
    x = listening.summarise([path])["systems"]["x"]
    # Standard error 10; the quantile for 1 degree is tan(0.475 pi).
    assert x["mean"] == 20 and x["high"] == 100 and x["low"] == 0
    path = answers(tmp_path, "c", [rated(x=19), rated(x=21)])
    x = listening.summarise([path])["systems"]["x"]
    assert x["high"] == round(20 + np.tan(0.475 * np.pi), 2)
    once = answers(tmp_path, "b", [rated(x=10)])
    expected = {"mean": 10, "low": None, "high": None, "n": 1}
    assert listening.summarise([once])["systems"]["x"] == expected


def test_preferences_are_shares(tmp_path):
    results = [
        answers(tmp_path, "a", [preferred("x", "y", "x"), preferred("y", "x", "x")], "ab"),
        answers(tmp_path, "b", [preferred("x", "y", None), preferred("y", "x", "y")], "ab"),
    ]
    summary = listening.summarise(results)
    assert summary["pairs"] == [
        {
            "systems": ["x", "y"],
            "preferred": {"x": 0.5, "y": 0.25},
            "no_preference": 0.25,
            "n": 4,
        }
    ]
    # Listeners' shares of x: 1 and 1/4.
    x, y = summary["systems"]["x"], summary["systems"]["y"]
    assert (x["mean"], x["low"], x["high"]) == (0.62, 0, 1) and y["mean"] == 0.38


def test_results_that_do_not_belong_together_are_named(tmp_path):
    mine = answers(tmp_path, "a", [rated(x=1)])
    other = answers(tmp_path, "b", [rated(x=1)], page="q")
    with pytest.raises(InputError, match=r"b\.json: belongs to page q"):
        listening.summarise([mine, other])
    with pytest.raises(InputError, match="same listener"):
        listening.summarise([mine, mine])
    pairwise = answers(tmp_path, "c", [preferred("x", "y", "x")], "ab")
    with pytest.raises(InputError, match=r"c\.json: belongs to a test of kind ab"):
        listening.summarise([mine, pairwise])
    with pytest.raises(InputError, match="no results"):
        listening.summarise([])


@pytest.mark.parametrize(
    "content",
    [
        "nonsense",
        "{}",
        "[]",
        json.dumps({"page": "p", "kind": "abx", "listener": "a", "trials": [rated(x=1)]}),
        json.dumps({"page": "p", "kind": "mushra", "listener": "a", "trials": []}),
        json.dumps({"page": "p", "kind": "mushra", "listener": "a", "trials": [rated(x=None)]}),
        json.dumps({"page": "p", "kind": "mushra", "listener": "a", "trials": [rated(x=101)]}),
        json.dumps({"page": "p", "kind": "mushra", "listener": "a", "trials": [rated(x="50")]}),
        json.dumps({"page": "p", "kind": "mushra", "listener": "a", "trials": [rated()]}),
        json.dumps({"page": "p", "kind": "mushra", "listener": "a", "trials": {"1": rated(x=1)}}),
        json.dumps(
            {
                "page": "p",
                "kind": "mushra",
                "listener": "a",
                "trials": [{"stimuli": [{"system": ["x"], "rating": 5}]}],
            }
        ),
        json.dumps({"page": "p", "kind": "ab", "listener": "a", "trials": [rated(x=1)]}),
        json.dumps(
            {"page": "p", "kind": "ab", "listener": "a", "trials": [preferred("x", "y", "z")]}
        ),
    ],
)
def test_what_no_page_downloaded_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.json: is not a result of a listening page"):
        listening.summarise([path])
    with pytest.raises(InputError, match="cannot be read"):
        listening.summarise([tmp_path / "missing.json"])
