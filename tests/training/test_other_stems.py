"""A model of drums, from codecs to what is played, by the commands of the documentation."""

import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.audio.io import read, write
from bassdiff.cli.main import main
from bassdiff.models.spectrogram_codec import SpectrogramCodec
from bassdiff.pretrained.features import Features, open_features, spectrum, target_for
from bassdiff.pretrained.release import load_codecs, load_weights
from bassdiff.pretrained.weights import save_codec
from bassdiff.runtime.errors import InputError

RATE_HZ = 44100
SECONDS = 3.0
FIRST_STEPS = [
    *("--config.num_steps=2", "--config.warmup_steps=1", "--config.checkpoint_every=2"),
    "--config.validate_every=2",
]


def noises(rng, num_samples, every):
    """Bursts of noise, one every so many seconds."""
    age = np.arange(num_samples) / RATE_HZ % every
    return (0.3 * np.exp(-20.0 * age) * rng.normal(size=num_samples)).astype(np.float32)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(2)
    names = [f"song{i}" for i in range(100)]
    held_out = [name for name in names if zlib.crc32(name.encode()) % 10 == 0]
    others = [name for name in names if name not in held_out]
    for name in (*others[:3], *held_out[:2]):
        (root / name).mkdir()
        num_samples = round(SECONDS * RATE_HZ)
        tone = np.sin(2 * np.pi * rng.uniform(50, 80) * np.arange(num_samples) / RATE_HZ)
        write(root / name / "bass.wav", 0.2 * tone.astype(np.float32), RATE_HZ)
        write(root / name / "drums.wav", noises(rng, num_samples, 0.5), RATE_HZ)
        write(root / name / "piano.wav", noises(rng, num_samples, 0.75), RATE_HZ)
    return root


@pytest.fixture(scope="module")
def weights(songs, tmp_path_factory):
    """The folder of a model of drums that was trained for two steps; one codec is for all."""
    root = tmp_path_factory.mktemp("runs")
    source = f"--config.data.source=stems:{songs}"
    run = (
        *("train", "autoencoder", "--config", "autoencoder:tiny,paper,both"),
        *(source, "--config.data.target=drums", "--config.crop_samples=16384"),
        *("--config.adversarial_from_step=1", "--config.num_fit_clips=2"),
    )
    assert main([*run, *FIRST_STEPS, "--workdir", str(root / "codecs")]) == 0
    codecs, stores = root / "codecs" / "weights", []
    for split in ("train", "validation"):
        stores.append(str(root / split))
        words = ["encode", "--data", f"stems:{songs}", "--split", split, "--mixes", "2"]
        words += ["--target", "drums", "--weights", str(codecs), "--out", stores[-1]]
        assert main(words) == 0
    run = (
        *("train", "diffusion", "--config", "diffusion:tiny"),
        *(f"--config.data.latents={stores[0]}", f"--config.data.validation_latents={stores[1]}"),
        *(f"--config.data.codecs={codecs}", "--config.num_fit_crops=2"),
        "--config.evaluate_every=0",
    )
    assert main([*run, *FIRST_STEPS, "--workdir", str(root / "unet")]) == 0
    words = ["release", "--codecs", str(codecs), "--unet", str(root / "unet" / "weights")]
    assert main([*words, "--out", str(root / "drums")]) == 0
    return root / "drums"


def test_one_codec_serves_both_sides(weights):
    mix, bass = load_codecs(weights)
    assert mix.fingerprint == bass.fingerprint
    assert bass.training["side"] == "both" and bass.training["target"] == "drums"
    assert load_weights(weights).target == "drums"


def test_they_play(weights, songs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mix = next(songs.glob("*/piano.wav"))
    words = ["generate", str(mix), "--weights", str(weights), "--steps", "2", "--out", "drums.wav"]
    assert main(words) == 0
    assert len(read(tmp_path / "drums.wav")) == round(SECONDS * RATE_HZ)


def test_they_have_no_pitch_to_put_chords_in(weights, songs, tmp_path, capsys):
    mix = next(songs.glob("*/piano.wav"))
    words = ["generate", str(mix), "--weights", str(weights), "--out", str(tmp_path / "x.wav")]
    assert main([*words, "--chords", "Am | F", "--bpm", "120"]) == 2
    assert "no pitch channels to follow chords" in capsys.readouterr().err


def test_they_are_evaluated_on_drums(weights, songs, tmp_path):
    words = ["evaluate", "music", "--data", f"stems:{songs}", "--weights", str(weights)]
    words += ["--clips", "2", "--clip-seconds", "2", "--out", str(tmp_path), "--steps", "2"]
    assert main([*words, "--judge", "none"]) == 0
    table = json.loads((tmp_path / "music.json").read_text())
    assert table["about"]["target"] == "drums"
    assert {"harmony_top1", "chord_tone_share", "hnr_db"} <= set(table["about"]["left_out"])
    shown = {column["name"] for column in table["columns"]}
    assert {"rhythm_correlation", "onset_f1_true"} <= shown
    assert not shown & set(table["about"]["left_out"])
    for row in table["rows"]:
        assert not set(row["scores"]) & set(table["about"]["left_out"])
    rows = {row["name"]: row["scores"]["onset_f1_true"]["value"] for row in table["rows"]}
    assert rows["true"] == 1.0 > rows["late"]


def test_codecs_are_evaluated_alone(weights, songs, tmp_path):
    for side in ("mix", "bass"):
        name = f"{side}_codec.safetensors"
        (tmp_path / name).write_bytes((weights / name).read_bytes())
    words = ["evaluate", "codec", "--data", f"stems:{songs}", "--weights", str(tmp_path)]
    words += ["--clips", "2", "--clip-seconds", "2", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    table = json.loads((tmp_path / "out" / "codec.json").read_text())
    assert table["about"]["target"] == "drums"
    rows = {row["name"]: row["scores"] for row in table["rows"]}
    assert rows["codec"]["log_mel"]["value"] > rows["opus"]["log_mel"]["value"] > 0.0


@pytest.mark.filterwarnings("default:left out")
def test_a_target_that_no_song_has_is_refused(songs, weights, tmp_path, capsys):
    words = ["encode", "--data", f"stems:{songs}", "--target", "vocals", "--weights", str(weights)]
    assert main([*words, "--out", str(tmp_path / "latents")]) == 2
    message = capsys.readouterr().err
    assert "no song can be stored; the first:" in message
    assert "has no vocals; its stems are bass, drums, piano" in message


@pytest.mark.parametrize(
    ("trained_on", "wanted", "expected"),
    [
        ("drums", None, "drums"),
        ("drums", "drums", "drums"),
        (None, "keys", "keys"),
        (None, None, "bass"),
        ("bass", "drums", "the bass's codec of runs was trained on bass, not on drums"),
        ("drums", "bass", "the bass's codec of runs was trained on drums, not on bass"),
        (None, "drums+", "names no target"),
    ],
)
def test_songs_are_encoded_for_what_their_codec_was_trained_on(trained_on, wanted, expected):
    features = Features(spectrum, spectrum, {}, trained_on)
    try:
        assert target_for(wanted, features, "runs") == expected
    except InputError as error:
        assert expected in str(error)


def test_frames_of_another_length_are_for_codecs_alone(tmp_path):
    model = SpectrogramCodec(4, (4, 4, 4, 4, 4))
    params = model.init(jax.random.key(0), jnp.zeros((1, model.hop)))["params"]
    for side in ("mix", "bass"):
        path = tmp_path / f"{side}_codec.safetensors"
        save_codec(path, model, params, np.zeros(4, np.float32), 1.0, {})
    with pytest.raises(InputError, match="is 4096 samples; diffusion and matching models work wi"):
        open_features("latents", tmp_path)


def test_the_codec_of_basses_is_refused_for_other_stems(songs, tmp_path, capsys):
    words = ["train", "autoencoder", "--config", "autoencoder:tiny", "--workdir", str(tmp_path)]
    words += [f"--config.data.source=stems:{songs}", "--config.data.target=drums"]
    assert main(words) == 2
    assert "the codec of basses needs one low voice" in capsys.readouterr().err
