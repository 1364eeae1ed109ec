"""Wrong settings and names are refused before anything takes time: no weights are loaded."""

import numpy as np
import pytest
import soundfile

from bassdiff.batch import job
from bassdiff.cli import main as cli
from bassdiff.evaluation.tasks import run as evaluation
from bassdiff.inference import generator
from bassdiff.pretrained import features, release
from bassdiff.runtime.errors import InputError

RATE = 22050
SOLVER = ("--solver", "magic")
UNKNOWN = "unknown solver 'magic'"


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """The sentence that a command is refused with."""
    noise = np.random.default_rng(0).normal(0.0, 0.1, 2 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "mix.wav", noise, RATE)
    soundfile.write(tmp_path / "bass.wav", noise, RATE)
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)

    def load(*arguments):
        pytest.fail("weights are loaded")

    for module, name in (
        (generator, "load_weights"),
        (evaluation, "load_weights"),
        (job, "load_weights"),
        (release, "load_codecs"),
        (features, "load_codecs"),
    ):
        monkeypatch.setattr(module, name, load)

    def run(*words):
        before = sorted(tmp_path.iterdir())
        assert cli.main(list(words)) == 2
        assert sorted(tmp_path.iterdir()) == before
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


STYLES = [("--style", "bass.wav", "--style-from", str(start / 10)) for start in range(9)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (SOLVER, UNKNOWN),
        (("--steps", "1"), "steps is 1"),
        (("--guidance", "nan"), "guidance is nan"),
        (("--window-seconds", "5"), "window_seconds is 5.0"),
        (("--style", "gone.wav"), "gone.wav: there is no such file"),
        (("--style", "text.wav"), "text.wav: is not audio"),
        (("--vary", "gone.wav"), "gone.wav: there is no such file"),
        (("--edit", "bass.wav", "--region", "5:6"), "begins at 5.0 s and the mix lasts 2.0 s"),
        (("--style", "bass.wav", "--style-from", "3"), "takes over at 3 s and the mix lasts 2.0 s"),
        (sum(STYLES, ()), "9 styles take turns; name 8 at most"),
        (
            (*STYLES[0], *STYLES[1], "--grounding", "replacement"),
            "take turns need --grounding mean or moments",
        ),
        (("--out", ""), "out is empty"),
        (("--out", "."), ".: names no file"),
        (("--out", "/"), "/: names no file"),
        (("--out", "x" * 250 + ".wav"), "file name too long"),
        (("--chords", "gone.lab"), "gone.lab"),
    ],
)
def test_generate(refused, words, sentence):
    assert sentence in refused("generate", "mix.wav", *words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("batch", "mix.wav", "--out", "out", *SOLVER), UNKNOWN),
        (("gallery", "--out", "out", *SOLVER), UNKNOWN),
        (("gallery", "--out", "file"), "file: cannot be made a folder"),
        (("gallery", "--data", "midi:gone"), "gone: there is no such folder"),
        (("evaluate", "music", *SOLVER), UNKNOWN),
        (("evaluate", "music", "--data", "midi:gone"), "gone: there is no such folder"),
        (("evaluate", "music", "--data", "composed:9", "--out", "file"), "cannot be made a folder"),
        (("encode", "--data", "midi:gone", "--out", "out"), "gone: there is no such folder"),
        (("encode", "--data", "composed:9", "--out", "file"), "cannot be made a folder"),
        (
            ("encode", "--data", "composed:9", "--out", "out", "--features", "x"),
            "unknown features 'x'",
        ),
    ],
)
def test_other_verbs(refused, words, sentence):
    words = (*words, "--data", "composed:9") if words == ("evaluate", "music", *SOLVER) else words
    assert sentence in refused(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("gallery", "--clips", "1000000000"),
        ("gallery", "--clip-seconds", "1e300"),
        ("encode", "--data", "composed:9", "--out", "out", "--copies", "9" * 20),
        ("batch", "mix.wav", "--out", "out", "--workers", "100000"),
    ],
)
def test_numbers_that_no_machine_can_serve(capsys, words):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bassdiff: argument")


def test_an_adapter_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(release, "load_codecs", lambda *_: pytest.fail("weights are loaded"))
    with pytest.raises(InputError, match=r"gone\.safetensors does not exist"):
        release.load_weights("small", tmp_path / "gone.safetensors")
