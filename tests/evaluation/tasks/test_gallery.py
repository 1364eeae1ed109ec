"""A page of examples, played by untrained weights."""

import dataclasses
import re

import pytest

from bassdiff.cli import main as cli
from bassdiff.data.sources import open_source
from bassdiff.evaluation.clips import choose, chords_of
from bassdiff.evaluation.tasks.gallery import gallery
from bassdiff.inference.generator import load
from bassdiff.runtime.errors import InputError

pytestmark = pytest.mark.filterwarnings("default:the bass came out")


@pytest.fixture(scope="module")
def clips():
    source = open_source("composed:2", "validation", max_seconds=4.0)
    return choose(source, 2, 3.0).clips


@pytest.fixture(scope="module")
def generator(tiny_weights):
    return load(str(tiny_weights))


def test_each_example_has_all_its_sounds_and_a_picture(generator, clips, tmp_path):
    path = gallery(
        generator,
        clips,
        tmp_path / "page",
        "facts & figures",
        overrides={"steps": 2},
        before=generator,
    )
    page = path.read_text()
    assert path == tmp_path / "page" / "index.html"
    assert "facts &amp; figures" in page
    labels = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert labels[::10] == ["mix", "mix"]
    # Each in the sound of the other.
    assert [label.split(": ")[1] for label in labels[3::10]] == [c.song for c in reversed(clips)]
    for label, clip in zip(labels[6::10], clips, strict=True):
        assert label.startswith(f"bass to the chords {chords_of(clip)[0][2]}")
    assert labels[8::10] == ["bass of the weights before"] * 2
    rank, hnr = (
        r"harmony rank of 12 \d+ \(1\)",
        r"harmonic-to-noise ratio (?:-?\d+ dB|unknown) \(\d+ dB\)",
    )
    assert re.search(rank, page) and len(re.findall(hnr, page)) == 2
    sounds = re.findall(r'src="(data:audio/mpeg;base64,[^"]+)"', page)
    assert len(sounds) == len(labels) == 20
    # Nothing sounds the same as anything else.
    assert len(set(sounds)) == 20
    assert page.count("data:image/webp") == 2


def test_nothing_is_written_where_something_is_wrong(generator, clips, tmp_path):
    out = tmp_path / "page"
    with pytest.raises(InputError, match="unknown setting 'loud'"):
        gallery(generator, clips, out, "", overrides={"loud": 1})
    unknown = [dataclasses.replace(clip, bass=None) for clip in clips]
    with pytest.raises(InputError, match=r"the true bass of .* is not known"):
        gallery(generator, unknown, out, "")
    assert not (out / "index.html").exists()


def test_one_command_writes_it(tiny_weights, tmp_path):
    words = ["--clips", "2", "--clip-seconds", "3", "--max-seconds", "4", "--steps", "2"]
    out = tmp_path / "gallery"
    assert cli.main(["gallery", "--weights", str(tiny_weights), "--out", str(out), *words]) == 0
    assert "composed:20, validation" in (out / "index.html").read_text()
    assert cli.main(["gallery", "--clips", "2", "--out", str(out), "--data", "nothing"]) == 2
