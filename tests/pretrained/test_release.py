import jax
import numpy as np
import pytest

from bassdiff.errors import InputError
from bassdiff.pretrained import release
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.weights import load_codec, save_codec


@pytest.fixture
def folder(run_folders, tmp_path):
    release.release(*run_folders, tmp_path / "released")
    return tmp_path / "released"


def test_a_release_is_complete_and_belongs_together(folder, run_folders):
    weights = release.load_weights(folder)
    assert weights.bass_codec.training == {"steps": 7}
    assert weights.unet.bindings["bass_codec"] == weights.bass_codec.fingerprint
    assert weights.unet.bindings["mix_codec"] == weights.mix_codec.fingerprint
    assert {path.name for path in folder.iterdir()} == {
        "mix_codec.safetensors", "bass_codec.safetensors", "unet.safetensors",
    }  # fmt: skip


def test_the_mixs_decoder_stays_behind(folder, run_folders):
    released, _ = release.load_codecs(folder)
    original, _ = release.load_codecs(run_folders[0])
    assert set(original.params) == {"encoder", "decoder"}
    assert set(released.params) == {"encoder"}
    assert released.fingerprint == original.fingerprint
    size = (folder / "mix_codec.safetensors").stat().st_size
    assert size < (run_folders[0] / "mix_codec.safetensors").stat().st_size


def test_an_encoder_without_its_decoder_encodes_the_same(folder, run_folders, rng):
    audio = rng.normal(size=5 * 2048).astype(np.float32)
    latents = [Codec(release.load_codecs(f)[0]).encode(audio) for f in (folder, run_folders[0])]
    np.testing.assert_array_equal(*latents)


def test_weights_that_do_not_belong_together_are_not_released(run_folders, tmp_path):
    codecs, unet = run_folders
    path = codecs / "bass_codec.safetensors"
    bass = load_codec(path)
    moved = jax.tree.map(lambda leaf: leaf + 0.5, bass.params)
    save_codec(path, bass.model, moved, bass.mean, bass.std, {})
    with pytest.raises(InputError, match="use the codec it was released with"):
        release.release(codecs, unet, tmp_path / "released")
    assert not (tmp_path / "released").exists()


def test_releasing_loses_nothing(folder, run_folders):
    assert (folder / "unet.safetensors").read_bytes() == run_folders[1].read_bytes()
    name = "bass_codec.safetensors"
    assert (folder / name).read_bytes() == (run_folders[0] / name).read_bytes()


def test_a_folder_with_a_piece_missing_is_refused(folder):
    (folder / "unet.safetensors").unlink()
    with pytest.raises(InputError, match=r"unet.safetensors does not exist"):
        release.load_weights(folder)


def test_unknown_names_are_refused_with_the_known_ones(folder, monkeypatch):
    package = folder.parent / "package"
    package.mkdir()
    folder = folder.rename(package / "released")
    monkeypatch.setattr(release.resources, "files", lambda name: package)
    assert release.released() == ["released"]
    assert release.find("released") == folder
    assert release.find(folder) == folder
    with pytest.raises(InputError, match=r"nothing is neither .* choose among released"):
        release.find("nothing")
