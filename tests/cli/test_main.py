"""The command line: bad input gets one sentence and exit code 2, good input its files."""

import errno

import numpy as np
import pretty_midi
import pytest
import soundfile

from bassdiff.audio import io, loudness
from bassdiff.cli import main as cli
from bassdiff.cli.configs import read_config
from bassdiff.pretrained import weights
from bassdiff.pretrained.release import load_weights
from bassdiff.runtime.errors import InputError

# Untrained weights may play louder than full scale.
pytestmark = pytest.mark.filterwarnings(
    "default:.* dB softer than it was played",
    "default:the bass came out",
    "default:.* had peaks of",
    "default:.* and the mix .* the bass is silent",
)
RATE = 22050


def tone(seconds: float, channels: int = 1) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * 220 * time) * (1 + np.sign(np.sin(2 * np.pi * 2 * time)))
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def test_generate_writes_bass_mixdown_and_picture(inside, mix):
    assert inside("generate", mix, "--steps", "2") == 0
    info = soundfile.info("mix-bass.wav")
    assert (info.frames, info.samplerate, info.channels) == (2 * RATE, RATE, 1)
    assert soundfile.info("mix-bass-mixdown.wav").channels == 2
    assert mix.with_name("mix-bass.png").read_bytes().startswith(b"\x89PNG")


def test_same_seed_same_file_and_variations_differ(inside, mix, tmp_path):
    words = ("generate", mix, "--steps", "2", "--no-plot")
    assert inside(*words, "--out", "a.wav", "--seed", "3") == 0
    assert inside(*words, "--out", "b.wav", "--seed", "3") == 0
    assert inside(*words, "--out", "v.wav", "--seed", "3", "--variations", "2") == 0
    first, again, varied, other = (
        io.read(tmp_path / f"{name}.wav") for name in ("a", "b", "v-1", "v-2")
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, varied)
    assert np.any(first != other)
    assert not list(tmp_path.glob("*.png"))


def test_style_changes_the_bass(inside, mix, tmp_path):
    io.write(tmp_path / "style.wav", tone(1.5), RATE)
    words = ("generate", mix, "--steps", "2", "--no-plot")
    assert inside(*words, "--out", "plain.wav") == 0
    assert inside(*words, "--out", "off.wav", "--style", "style.wav", "--style-strength", "0") == 0
    assert inside(*words, "--out", "styled.wav", "--style", "style.wav") == 0
    plain, off, styled = (io.read(tmp_path / f"{name}.wav") for name in ("plain", "off", "styled"))
    np.testing.assert_array_equal(plain, off)
    assert np.any(plain != styled)


@pytest.mark.filterwarnings("default")
def test_silent_mix_is_played_over_with_a_warning(inside, tmp_path, capsys):
    io.write(tmp_path / "silence.wav", np.zeros(2 * RATE), RATE)
    assert inside("generate", "silence.wav", "--steps", "2", "--no-plot") == 0
    assert "the mix is silent" in capsys.readouterr().err
    assert np.isfinite(io.read_mono(tmp_path / "silence-bass.wav")).all()


def bad_inputs(folder):
    io.write(folder / "short.wav", tone(0.5), RATE)
    io.write(folder / "one.wav", np.ones(1), RATE)
    io.write(folder / "good.wav", tone(1.5), RATE)
    io.write(folder / "silence.wav", np.zeros(RATE), RATE)
    io.write(folder / "bass.wav", tone(1.5), RATE)
    io.write(folder / "fast.wav", tone(3.0), 96000)
    io.write(folder / "blip.wav", tone(0.1), RATE)
    (folder / "folder.png").mkdir()
    (folder / "folder").mkdir()
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("no audio, " * 100)
    whole = (folder / "good.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    nan = tone(1.5)
    nan[100] = np.nan
    soundfile.write(folder / "nan.wav", nan, RATE, "FLOAT")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["missing.wav"], "missing.wav"),
        (["."], "is a folder"),
        (["empty.wav"], "empty.wav"),
        (["text.wav"], "text.wav"),
        (["cut.wav"], "truncated"),
        (["nan.wav"], "NaN"),
        (["one.wav"], "one.wav is 0.000 s long"),
        (["short.wav"], "short.wav is 0.500 s long"),
        (["good.wav", "--style", "silence.wav"], "silence.wav has no sound"),
        (["good.wav", "--style", "missing.wav"], "missing.wav"),
        (["good.wav", "--solver", "magic"], "unknown solver 'magic'; choose among euler"),
        (["good.wav", "--steps", "1"], "steps is 1"),
        (["good.wav", "--guidance", "nan"], "guidance is nan"),
        (["good.wav", "--rescale", "1.5"], "rescale is 1.5"),
        (["good.wav", "--style-strength", "-1"], "style_strength is -1.0"),
        (["good.wav", "--variations", "0"], "0 variations"),
        (["good.wav", "--variations", "1000000000"], "ask for 1 to 1000"),
        (["good.wav", "--seed", "-1"], "seed"),
        (["good.wav", "--out", "nowhere/bass.wav"], "bass.wav: cannot be written"),
        (["good.wav", "--out", "bass.xyz"], "bass.xyz"),
        (["good.wav", "--out", "folder"], "folder: is a folder; name a file inside it"),
        (["good.wav", "--out", "/proc/bass.wav"], "no file can be made there"),
        (["good.wav", "--style", "blip.wav"], "blip.wav is 0.100 s long; give a style reference"),
        (["good.wav", "--out", "good.wav"], "is an input"),
        (["good.wav", "--style", "bass.wav", "--out", "bass.wav"], "bass.wav is an input"),
        (["good.wav", "--out", "x.wav", "--mixdown", "x.wav"], "x.wav would be two files"),
        (["good.wav", "--out", "folder.wav"], "folder.png: is a folder"),
        (["good.wav", "--style", "text.wav", "--style-weight", "-1"], "choose a positive one"),
        (["good.wav", "--style-from", "3"], "1 values of --style-from and 0 of --style"),
        (
            [
                *("good.wav", "--style", "text.wav", "--style-weight", "2", "--style-from", "0"),
                *("--style", "text.wav", "--style-weight", "2", "--style-from", "1"),
            ],
            "these take turns; leave it out",
        ),
        (["good.wav", "--edit", "bass.wav"], "need each other"),
        (["good.wav", "--edit", "x.wav", "--region", "3:2"], "a region from 3 to 2 s is invalid"),
        (
            ["good.wav", "--edit", "bass.wav", "--region", "0:1", "--out", "bass.wav"],
            "bass.wav is an input",
        ),
        (["good.wav", "--out", "bass.wav"], "bass.wav is there already; give --overwrite, or"),
        (["good.wav", "--out", "new.wav", "--mixdown", "bass.wav"], "bass.wav is there already"),
        (["good.wav", "--vary", "blip.wav", "--strength", "2"], "choose a value from 0 to 1"),
        (["good.wav", "--strength", "0.5"], "--strength needs --vary or --retimbre"),
        (["good.wav", "--continue", "missing.wav"], "missing.wav"),
        (["good.wav", "--guidance-kind", "magic"], "unknown guidance_kind 'magic'"),
        (["fast.wav", "--out", "bass.mp3"], "MP3 does not take 1 channels at 96000 Hz"),
        (["good.wav", "--seed", "4294967295", "--variations", "2"], "the seed is 4294967296"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(inside, tmp_path, capsys, words, expected):
    bad_inputs(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert inside("generate", *words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bassdiff:")]
    assert len(lines) == 1
    assert expected in lines[0]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "words", [["--seed", "x"], ["--steps", "3.5"], ["--no-such-thing"], ["--region", "5"]]
)
def test_a_misspelt_command_is_one_sentence_too(inside, capsys, words):
    with pytest.raises(SystemExit) as exit_:
        inside("generate", *words)
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bassdiff: ")
    assert line.endswith("--help")
    assert words[0] in line


def test_a_mixdown_is_as_loud_as_its_mix_and_does_not_clip(inside, tmp_path, capsys):
    loud = np.clip(50 * tone(1.5), -1, 1)
    soundfile.write(tmp_path / "loud.wav", 1.5 * loud, RATE, "FLOAT")
    assert inside("generate", "loud.wav", "--steps", "2", "--no-plot") == 0
    together, _ = soundfile.read(tmp_path / "loud-bass-mixdown.wav")
    assert 0.9 < np.abs(together).max() <= 1.0
    soundfile.write(tmp_path / "quiet.wav", 0.05 * loud, RATE, "FLOAT")
    assert inside("generate", "quiet.wav", "--steps", "2", "--no-plot") == 0
    together = io.read_mono(tmp_path / "quiet-bass-mixdown.wav", RATE)
    alone = io.read_mono(tmp_path / "quiet.wav", RATE)
    levels = [loudness.loudness_lufs(wave, RATE) for wave in (together, alone)]
    assert levels[0] == pytest.approx(levels[1], abs=0.1)


def test_a_bass_can_be_edited_continued_varied_and_given_another_sound(inside, mix, tmp_path):
    io.write(tmp_path / "draft.wav", tone(1.5), RATE)
    words = ("generate", mix, "--steps", "2", "--no-plot")
    assert inside(*words, "--vary", "draft.wav", "--strength", "0", "--out", "same.wav") == 0
    assert inside(*words, "--edit", "draft.wav", "--region", "0.5:1", "--out", "edit.wav") == 0
    assert inside(*words, "--continue", "draft.wav", "--out", "on.wav") == 0
    assert inside(*words, "--vary", "draft.wav", "--out", "varied.wav") == 0
    assert inside(*words, "--retimbre", "draft.wav", "--style", mix, "--out", "sound.wav") == 0
    same, edited, on = (
        io.read_mono(tmp_path / name, RATE) for name in ("same.wav", "edit.wav", "on.wav")
    )
    half = RATE // 2
    scale = np.abs(same).max()
    given = io.read_mono(tmp_path / "draft.wav", RATE)
    for changed, kept in ((same, 3 * half), (edited, half), (on, 3 * half)):
        # To the sample, as 24 bits hold it.
        np.testing.assert_allclose(changed[:kept], given[:kept], atol=3e-7)
    assert np.abs(edited[half + 999 : 2 * half - 999] - same[half + 999 : 2 * half - 999]).max() > (
        1e-2 * scale
    )


@pytest.fixture
def save_adapter(tiny_weights, tmp_path):
    """Writes an adapter of the tiny weights, or of others, and returns its path."""

    def save(**bindings):
        base = load_weights(tiny_weights).unet
        kernel = base.params["Conv_0"]["kernel"]
        sides = {"down": (kernel.size // kernel.shape[-1], 2), "up": (2, kernel.shape[-1])}
        adapter = {"Conv_0": {"kernel": {name: 0.1 * np.ones(s) for name, s in sides.items()}}}
        path = tmp_path / "adapter.safetensors"
        weights.save_adapter(
            path, adapter, {"base": "small", "unet": base.checksum, **bindings}, {}
        )
        return path

    return save


def test_an_adapter_changes_what_is_played(inside, mix, tmp_path, save_adapter):
    words = ("generate", mix, "--steps", "2", "--no-plot")
    adapter = save_adapter()
    assert inside(*words, "--out", "plain.wav") == 0
    assert inside(*words, "--out", "file.wav", "--adapter", adapter) == 0
    assert inside(*words, "--out", "folder.wav", "--adapter", tmp_path) == 0
    plain, file, folder = (
        io.read(tmp_path / f"{name}.wav") for name in ("plain", "file", "folder")
    )
    assert np.any(plain != file)
    np.testing.assert_array_equal(file, folder)


@pytest.mark.parametrize("verb", ["generate", "evaluate"])
def test_an_adapter_that_does_not_belong_is_refused(
    inside, mix, tmp_path, capsys, save_adapter, tiny_weights, verb
):
    words = ("generate", mix) if verb == "generate" else ("evaluate", "music", "--data=composed:1")
    other = save_adapter(unet="of another")
    before = sorted(tmp_path.iterdir())
    for adapter, expected in (
        (other, "was trained on other weights than"),
        (tmp_path / "missing", "missing does not exist"),
        (tiny_weights / "unet.safetensors", "holds no adapter"),
        (mix, "is damaged or holds other weights"),
    ):
        assert inside(*words, "--adapter", adapter) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("files_that_fit", [0, 1, 2])
def test_full_disk_leaves_nothing_behind(
    inside, mix, tmp_path, capsys, monkeypatch, files_that_fit
):
    synced = []

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) > files_that_fit:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    before = sorted(tmp_path.iterdir())
    assert inside("generate", mix, "--steps", "2") == 2
    assert "no space left on device" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_unknown_weights_name_the_known_ones(capsys, mix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["generate", str(mix), "--weights", "huge"]) == 2
    assert "huge is neither a folder nor released weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--config", "nothing.py:small"], "nothing.py"),
        (["--config", "configs/diffusion.py:huge"], "there is no size or key 'huge'"),
        (["--config", "configs/autoencoder.py:tiny"], "configures autoencoder"),
        (["--config", "configs/diffusion.py:tiny", "--config.wrong=1"], "wrong"),
        (
            ["--config", "configs/diffusion.py:tiny", "--config.mesh.fsdp=3"],
            "fsdp=3 does not cover",
        ),
        (["--config", "configs/diffusion.py:tiny", "--wrong=1"], "wrong"),
        (["--config", "configs/diffusion.py:tiny"], "config.data.latents is empty"),
        (
            ["--config", "configs/diffusion.py:tiny", "--config.evaluate_every=9"],
            "config.evaluate_every is 9; choose a multiple of config.validate_every, 8",
        ),
        (
            ["--config", "configs/diffusion.py:tiny", "--profile", "steps=5:100"],
            "asks for step 100 of a run of 8 steps",
        ),
        (["--config", "configs/finetuning.py:tiny"], "no weights for this run to adapt; name some"),
        (
            ["--config", "configs/diffusion.py:tiny", "--init", "small"],
            "config.model.attention_levels is (1,) and small has (2, 3); describe the model",
        ),
        (["--config", "configs/diffusion.py:tiny", "--init", "nowhere"], "nowhere is neither"),
    ],
)
def test_bad_configurations_are_one_sentence(capsys, tmp_path, words, expected):
    assert cli.main(["train", "diffusion", *words, "--workdir", str(tmp_path / "run")]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_training_does_not_start_from_a_correction(capsys, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "adapter.safetensors").touch()
    words = ["--config", "configs/diffusion.py:tiny", "--init", str(tmp_path / "mine")]
    assert cli.main(["train", "diffusion", *words, "--workdir", str(tmp_path / "run")]) == 2
    assert "mine only corrects a U-Net and has none to start from" in capsys.readouterr().err


def test_an_old_name_of_a_key_works_with_a_warning():
    with pytest.warns(
        UserWarning, match=r"config\.denoised_share is called config\.sampled_share now"
    ):
        config = read_config("autoencoder:tiny", ["--config.denoised_share=0.25"])
    assert config.sampled_share == 0.25


def test_our_configs_are_known_by_name():
    config = read_config("diffusion:tiny", ["--config.num_steps=7"])
    assert config.objective == "diffusion" and config.num_steps == 7
    with pytest.raises(InputError, match="one of the package: autoencoder, diffusion"):
        read_config("diffuse:tiny", [])


def test_the_notes_of_a_bass_become_midi(inside, mix, tmp_path, capsys):
    halves = np.concatenate([tone(0.7), 0.0 * tone(0.2), tone(0.6)])
    io.write(tmp_path / "line.wav", halves, RATE)
    assert cli.main(["transcribe", "line.wav"]) == 0
    assert "wrote line.mid with 4 notes" in capsys.readouterr().err
    (track,) = pretty_midi.PrettyMIDI(str(tmp_path / "line.mid")).instruments
    assert track.program == 33
    starts = [note.start for note in track.notes]
    np.testing.assert_allclose(starts, [0.0, 0.5, 0.9, 1.4], atol=0.05)
    assert inside("generate", mix, "--steps", "2", "--no-plot", "--midi") == 0
    assert (tmp_path / "mix-bass.mid").stat().st_size > 0
    assert cli.main(["transcribe", "nowhere.wav"]) == 2
    assert cli.main(["transcribe", "line.wav", "--out", "no/folder/line.mid"]) == 2
