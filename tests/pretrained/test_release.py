import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.sampling import noise_levels
from bassdiff.diffusion.settings import Sampling
from bassdiff.models.matching import MatchingModel
from bassdiff.pretrained import release
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.weights import (
    load_codec,
    load_matching,
    save_adapter,
    save_codec,
    save_matching,
    save_unet,
)
from bassdiff.runtime.errors import InputError


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


def test_an_encoder_without_its_decoder_encodes_the_same(run_folders, tmp_path, rng):
    codec, _ = release.load_codecs(run_folders[0])
    path = tmp_path / "mix_codec.safetensors"
    alone = {"encoder": codec.params["encoder"]}
    save_codec(path, codec.model, alone, codec.mean, codec.std, codec.training)
    audio = rng.normal(size=5 * 2048).astype(np.float32)
    encoded = [Codec(weights).encode(audio) for weights in (codec, load_codec(path))]
    np.testing.assert_array_equal(*encoded)


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
    for name in ("mix_codec.safetensors", "bass_codec.safetensors"):
        assert (folder / name).read_bytes() == (run_folders[0] / name).read_bytes()


def test_networks_are_averaged_and_settings_become_defaults(run_folders, tmp_path):
    own = release.load_weights(released(run_folders, tmp_path / "own"))
    doubled = jax.tree.map(lambda leaf: 2.0 * leaf, own.unet.params)
    (tmp_path / "other").mkdir()
    unet = tmp_path / "other" / "unet.safetensors"
    save_unet(unet, own.unet.model, doubled, own.unet.bindings, {})
    release.release(
        *run_folders, tmp_path / "both", average=(tmp_path / "other", 0.25), settings={"steps": 7}
    )
    both = release.load_weights(tmp_path / "both").unet
    jax.tree.map(
        lambda leaf, mean: np.testing.assert_allclose(mean, 1.25 * leaf, rtol=2e-3, atol=1e-6),
        own.unet.params,
        both.params,
    )
    assert both.bindings["sampling"]["steps"] == 7
    assert both.training["average"]["share"] == 0.25


@pytest.mark.parametrize(
    ("share", "settings", "words"),
    [(1.5, {}, "not a share"), (0.5, {"steps": 1}, "steps is 1"), (0.5, {"pace": 1}, "unknown")],
)
def test_a_bad_average_or_setting_writes_nothing(run_folders, tmp_path, share, settings, words):
    own = released(run_folders, tmp_path / "own")
    with pytest.raises(InputError, match=words):
        release.release(*run_folders, tmp_path / "out", average=(own, share), settings=settings)
    assert not (tmp_path / "out").exists()


def released(run_folders, folder):
    release.release(*run_folders, folder)
    return folder


def save_judge(path, origin):
    """A small matching model."""
    model = MatchingModel(
        width=8, num_blocks=1, num_heads=2, reach_frames=8, embedding_size=8, window_frames=16
    )
    side, frames = jnp.zeros((1, 16, 3)), jnp.full(1, 16, jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), side, side, frames)["params"]
    params = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), shapes)
    mean, std = (dict.fromkeys(("mix", "bass"), np.full(3, x, np.float32)) for x in (0, 1))
    save_matching(path, model, params, mean, std, {"features": origin}, {"steps": 5})
    return path


def test_matching_models_are_released_by_what_they_read(run_folders, tmp_path):
    codecs = release.load_codecs(run_folders[0])
    origins = {
        "latents": {"mix": codecs[0].fingerprint, "bass": codecs[1].fingerprint},
        "spectrum": {"mix": "spectrum", "bass": "spectrum"},
    }
    made = [save_judge(tmp_path / f"{kind}.made", origin) for kind, origin in origins.items()]
    release.release(*run_folders, tmp_path / "released", made)
    for kind, path in zip(origins, made, strict=True):
        released = tmp_path / "released" / f"matching_{kind}.safetensors"
        assert released.read_bytes() == path.read_bytes()
        assert load_matching(released).model.width == 8


def test_a_matching_model_of_other_codecs_is_not_released(run_folders, tmp_path):
    path = save_judge(tmp_path / "other.safetensors", {"mix": "a", "bass": "b"})
    with pytest.raises(InputError, match="trained on the latents of other codecs"):
        release.release(*run_folders, tmp_path / "released", [path])
    assert not (tmp_path / "released").exists()


def test_the_folder_of_a_unet_means_its_file(run_folders, tmp_path):
    release.release(run_folders[0], run_folders[1].parent, tmp_path / "released")
    assert (tmp_path / "released" / "unet.safetensors").is_file()


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


@pytest.mark.parametrize("name", release.released())
def test_what_is_released_loads_and_knows_how_to_sample(name):
    weights = release.load_weights(name)
    assert noise_levels(Sampling.of_weights(weights.unet.bindings))[0] == pytest.approx(80.0)


def correction(unet, value):
    """An adapter of rank 2 that adds 2 value^2 to every weight of the first convolution."""
    kernel = unet.params["Conv_0"]["kernel"]
    sides = {"down": (kernel.size // kernel.shape[-1], 2), "up": (2, kernel.shape[-1])}
    return {"Conv_0": {"kernel": {name: np.full(s, value) for name, s in sides.items()}}}


@pytest.fixture
def distilled(folder):
    """A folder whose adapter plays the released network in few steps."""
    unet = release.load_weights(folder).unet
    bindings = {"base": str(folder), "unet": unet.checksum, "sampling": {"steps": 2}}
    path = folder.parent / "distilled"
    save_adapter(path / release.ADAPTER, correction(unet, 1.0), bindings, {})
    return path


def test_adapters_of_one_network_add_up(folder, distilled, tmp_path):
    """A sound on distilled weights, in either order; not twice, and not on other weights."""
    small, fast = (release.load_weights(path) for path in (folder, distilled))
    bindings = {"base": str(folder), "unet": small.unet.checksum}
    sound = tmp_path / "sound"
    save_adapter(sound / release.ADAPTER, correction(small.unet, 0.5), bindings, {})
    for weights in (release.load_weights(distilled, sound), release.load_weights(sound, distilled)):
        found = weights.unet.params["Conv_0"]["kernel"]
        np.testing.assert_allclose(found, fast.unet.params["Conv_0"]["kernel"] + 0.5, atol=1e-6)
        assert weights.unet.bindings == fast.unet.bindings
        assert set(weights.unet.checksum.split("+")) == set(weights.unet.parts[1:])
    alone = release.load_weights(folder, sound)
    assert alone.unet.bindings == small.unet.bindings
    with pytest.raises(InputError, match=r"is part of the weights .* already"):
        release.load_weights(sound, sound)
    with pytest.raises(InputError, match="was trained on other weights"):
        release.load_weights("small", sound)


def test_distilled_weights_correct_those_they_are_of(folder, distilled):
    small, fast = (release.load_weights(path) for path in (folder, distilled))
    assert small.unet.checksum != fast.unet.checksum
    kernels = [weights.unet.params["Conv_0"]["kernel"] for weights in (small, fast)]
    np.testing.assert_allclose(kernels[1] - kernels[0], 2.0, atol=1e-5)
    assert Sampling.of_weights(fast.unet.bindings).steps == 2
