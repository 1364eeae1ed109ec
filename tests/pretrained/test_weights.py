import json
import struct

import jax
import numpy as np
import pytest
from safetensors.numpy import save

from bassdiff.models.bass_codec import NUM_PITCH_CHANNELS
from bassdiff.pretrained.weights import load_codec, load_unet, save_codec
from bassdiff.runtime.errors import InputError

MEAN = np.linspace(-0.5, 0.5, NUM_PITCH_CHANNELS + 4).astype(np.float32)


@pytest.fixture
def codecs(run_folders):
    folder, _ = run_folders
    return tuple(load_codec(folder / f"{kind}_codec.safetensors") for kind in ("mix", "bass"))


def changed(params, half):
    """Parameters with the first leaf of one half moved."""
    leaves, structure = jax.tree.flatten(params[half])
    return {**params, half: jax.tree.unflatten(structure, [leaves[0] + 0.5, *leaves[1:]])}


def test_a_codec_comes_back_in_half_precision(tmp_path, tiny_autoencoder):
    model, params = tiny_autoencoder
    path = tmp_path / "new" / "codec.safetensors"
    fingerprint = save_codec(path, model, params, MEAN, 1.5, {"steps": 7, "data": "songs"})
    codec = load_codec(path)
    assert codec.model == model
    assert codec.fingerprint == fingerprint
    assert codec.training == {"steps": 7, "data": "songs"}
    assert codec.std == 1.5
    np.testing.assert_allclose(codec.mean, MEAN, atol=1e-3)
    assert jax.tree.structure(codec.params) == jax.tree.structure(params)
    for loaded, saved in zip(jax.tree.leaves(codec.params), jax.tree.leaves(params), strict=True):
        assert loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, saved.astype(np.float16))
    assert [item.name for item in path.parent.iterdir()] == ["codec.safetensors"]


def test_what_was_loaded_saves_to_the_same_bytes(tmp_path, run_folders):
    path = run_folders[0] / "bass_codec.safetensors"
    codec = load_codec(path)
    again = tmp_path / "again.safetensors"
    save_codec(again, codec.model, codec.params, codec.mean, codec.std, codec.training)
    assert again.read_bytes() == path.read_bytes()


def test_a_unet_comes_back_with_its_bindings(run_folders, codecs, unet_shapes, randomised):
    unet = load_unet(run_folders[1], *codecs)
    assert unet.model == unet_shapes[0]
    assert unet.bindings["sampling"] == {"steps": 4}
    assert unet.training == {"steps": 9}
    expected = jax.tree.leaves(randomised(unet_shapes[1]))
    for loaded, saved in zip(jax.tree.leaves(unet.params), expected, strict=True):
        np.testing.assert_array_equal(loaded, saved.astype(np.float16))


def test_the_fingerprint_is_that_of_the_latent_space(tmp_path, tiny_autoencoder):
    model, params = tiny_autoencoder

    def fingerprint(params, mean=MEAN, std=1.5, training=None):
        return save_codec(tmp_path / "c.safetensors", model, params, mean, std, training or {})

    original = fingerprint(params)
    assert fingerprint(changed(params, "decoder")) == original
    assert fingerprint({"encoder": params["encoder"]}) == original
    assert fingerprint(params, training={"steps": 10}) == original
    assert fingerprint(changed(params, "encoder")) != original
    assert fingerprint(params, mean=MEAN + 0.1) != original
    assert fingerprint(params, std=1.6) != original


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_a_unet_refuses_codecs_it_was_not_trained_with(tmp_path, run_folders, codecs, half):
    mix, bass = codecs
    path = tmp_path / "other.safetensors"
    save_codec(path, bass.model, changed(bass.params, half), bass.mean, bass.std, {})
    other = load_codec(path)
    if half == "decoder":
        load_unet(run_folders[1], mix, other)
    else:
        with pytest.raises(InputError, match=f"not on those of {other.fingerprint}"):
            load_unet(run_folders[1], mix, other)
    with pytest.raises(InputError, match="latents of mix codec"):
        load_unet(run_folders[1], bass, mix)


@pytest.mark.parametrize("kind", ["codec", "unet"])
def test_no_flipped_bit_passes(tmp_path, run_folders, codecs, kind):
    """Whatever bit flips, in names, sizes, fields or numbers: refused, or nothing was lost."""
    folder, unet = run_folders
    original = (unet if kind == "unet" else folder / "bass_codec.safetensors").read_bytes()
    path = tmp_path / "flipped.safetensors"

    def load():
        loaded = load_unet(path, *codecs) if kind == "unet" else load_codec(path)
        about = loaded.bindings if kind == "unet" else (loaded.fingerprint, loaded.std)
        return loaded.params, (loaded.model, loaded.training, about)

    path.write_bytes(original)
    params, about = load()
    header = 8 + struct.unpack("<Q", original[:8])[0]
    rng = np.random.default_rng(0)
    places = [*range(0, header, 5), *rng.integers(header, len(original), 150)]
    refused = 0
    for place in places:
        flipped = bytearray(original)
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            damaged, damaged_about = load()
        except InputError as error:
            assert "flipped.safetensors" in str(error)
            refused += 1
        else:
            assert damaged_about == about
            for a, b in zip(jax.tree.leaves(damaged), jax.tree.leaves(params), strict=True):
                np.testing.assert_array_equal(a, b)
    assert refused > 0.95 * len(places)


def test_the_checksum_tells_decoders_apart_too(tmp_path, tiny_autoencoder):
    model, params = tiny_autoencoder
    codecs = []
    for name, saved in (("a", params), ("b", params), ("c", changed(params, "decoder"))):
        save_codec(tmp_path / name, model, saved, MEAN, 1.5, {})
        codecs.append(load_codec(tmp_path / name))
    assert codecs[0].checksum == codecs[1].checksum != codecs[2].checksum
    assert codecs[0].fingerprint == codecs[2].fingerprint


def test_the_fingerprint_tells_latent_spaces_apart(tmp_path, tiny_autoencoder):
    """By the encoder, by the statistics and by the fields that decide what an encoder does."""
    model, params = tiny_autoencoder

    def fingerprint(changed_params=params, mean=MEAN, **fields):
        path = tmp_path / "codec.safetensors"
        return save_codec(path, model.clone(**fields), changed_params, mean, 1.0, {})

    def moved(half):
        bias = jax.tree.leaves(params[half])[0]
        return jax.tree.map(lambda leaf: leaf + 0.5 if leaf is bias else leaf, params)

    same = fingerprint()
    assert same == fingerprint(moved("decoder")) == fingerprint(decoder_width=99)
    others = [fingerprint(moved("encoder")), fingerprint(mean=MEAN + 1.0)]
    others.append(fingerprint(num_spectrum_channels=9))
    assert len({same, *others}) == 4


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", save({})]
    + [save({"a": np.zeros(3)}, {"bassdiff": about}) for about in ("[]", "{}", "1", "no json")],
)  # fmt: skip
def test_files_of_other_kinds_are_refused(tmp_path, content):
    path = tmp_path / "codec.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"codec.safetensors is damaged or holds other weights"):
        load_codec(path)


def test_a_missing_file_and_a_truncated_one_are_named(tmp_path, run_folders):
    with pytest.raises(InputError, match=r"none.safetensors does not exist"):
        load_codec(tmp_path / "none.safetensors")
    path = run_folders[0] / "bass_codec.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"bass_codec.safetensors is damaged"):
        load_codec(path)


def test_a_codec_is_no_unet_and_the_other_way_round(run_folders, codecs):
    folder, unet = run_folders
    with pytest.raises(InputError, match="holds other weights"):
        load_codec(unet)
    with pytest.raises(InputError, match="holds other weights"):
        load_unet(folder / "mix_codec.safetensors", *codecs)


def test_a_later_format_is_refused(tmp_path):
    path = tmp_path / "new.safetensors"
    path.write_bytes(
        save({}, {"bassdiff": json.dumps({"format": 99, "fingerprint": "", "checksum": ""})})
    )
    with pytest.raises(InputError, match="has format 99 and this bassdiff reads"):
        load_codec(path)


def test_what_half_precision_cannot_hold_is_never_written(tmp_path, tiny_autoencoder):
    model, params = tiny_autoencoder
    path = tmp_path / "codec.safetensors"
    for mean in (MEAN * 1e6, MEAN * np.nan):
        with pytest.raises(InputError, match=r"latents/mean of .* is not finite in float16"):
            save_codec(path, model, params, mean, 1.0, {})
    assert list(tmp_path.iterdir()) == []
