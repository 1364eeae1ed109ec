"""Files that are well signed, and hold what cannot be: anyone can sign them."""

import json

import numpy as np
import pytest

from bassdiff.models.adapter import init_adapter
from bassdiff.pretrained import weight_file
from bassdiff.pretrained.release import load_weights
from bassdiff.pretrained.weights import load_codec, load_unet, save_adapter
from bassdiff.runtime.errors import InputError

STRANGE = "is damaged or holds other weights than these"


def forge(path, change):
    """Changes a file's tensors and metadata, and signs it again."""
    essential = "bindings" if path.name in ("unet.safetensors", "adapter.safetensors") else "fields"
    tensors, metadata = weight_file.read_file(path, essential)
    metadata.pop("format")
    fields = metadata.pop("fields")
    change(tensors, fields, metadata)
    if "fingerprint" in metadata:
        metadata["fingerprint"] = weight_file.latent_fingerprint(tensors, fields)
    weight_file.write_file(path, tensors, fields, **metadata)


def without(name):
    return lambda tensors, fields, metadata: tensors.pop(
        next(key for key in sorted(tensors) if name in key)
    )


def with_tensor(name, value):
    return lambda tensors, fields, metadata: tensors.update({name: np.float16(value)})


def with_field(name, value):
    return lambda tensors, fields, metadata: fields.update({name: value})


CHANGES = [
    (without("encoder/"), "no encoder/"),
    (without("decoder/"), "no decoder/"),
    (without("latents/std"), "no codec"),
    (with_tensor("decoder/more", np.zeros(3)), "an unknown decoder/more"),
    (with_tensor("latents/std", [0.0]), "a standard deviation of 0"),
    (with_tensor("latents/std", [-1.0]), "a standard deviation of 0"),
    (with_tensor("latents/mean", np.zeros(3)), "statistics of shapes"),
    (with_field("kind", "guitar"), "no codec"),
    (with_field("strings", 4), "a field 'strings'"),
    (with_field("decoder_width", 10**9), "decoder_width=1000000000"),
    (with_field("decoder_width", -8), "decoder_width=-8"),
    (with_field("decoder_width", "8"), "decoder_width=8"),
    (with_field("decoder_blocks", 60000), "decoder_blocks=60000"),
    (with_field("decoder_width", 16), "of shape"),
    (with_field("num_spectrum_channels", 4), "statistics of shapes"),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_codec_that_cannot_be_is_refused(run_folders, number):
    change, words = CHANGES[number]
    path = run_folders[0] / "bass_codec.safetensors"
    forge(path, change)
    with pytest.raises(InputError, match=STRANGE) as caught:
        load_codec(path)
    assert words in str(caught.value)


UNET_CHANGES = [
    (without("/"), "no "),
    (with_tensor("more", np.zeros(3)), "an unknown more"),
    (with_field("reach_frames", 10**9), "reach_frames=1000000000"),
    (with_field("reach_frames", 1.5), "reach_frames=1.5"),
    (with_field("widths", []), "is damaged"),
    (with_field("widths", [8] * 99), "widths="),
    (with_field("widths", 8), "widths=8"),
    (with_field("remat", 1), "remat=1"),
    (with_field("num_heads", 0), "fields that do not describe a network"),
    (with_field("num_channels", 5), "5 channels"),
]


@pytest.mark.parametrize("number", range(len(UNET_CHANGES)))
def test_a_network_that_cannot_be_is_refused(run_folders, number):
    change, words = UNET_CHANGES[number]
    folder, path = run_folders
    codecs = [load_codec(folder / f"{kind}_codec.safetensors") for kind in ("mix", "bass")]
    forge(path, change)
    with pytest.raises(InputError, match=STRANGE) as caught:
        load_unet(path, *codecs)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"format":' + "[" * 100_000, "nested too deeply"),
        (" " * (1 << 21), "bytes of metadata"),
        ("[]", "not an object"),
        (json.dumps({"format": 3, "fields": [], "training": {}}), "fields that is not a dict"),
        (json.dumps({"format": 3, "training": 1}), "training that is not a dict"),
    ],
)
def test_metadata_that_cannot_be_is_refused(tmp_path, text, words):
    from safetensors.numpy import save

    path = tmp_path / "codec.safetensors"
    path.write_bytes(save({"a": np.zeros(3, np.float16)}, {"bassdiff": text}))
    with pytest.raises(InputError, match=STRANGE) as caught:
        load_codec(path)
    assert words in str(caught.value)


@pytest.fixture
def folder(tmp_path, run_folders):
    """Whole weights, and an adapter of them."""
    codecs, unet = run_folders
    unet.rename(codecs / "unet.safetensors")
    return codecs


def adapter_of(folder, path, base, change=lambda params: None):
    import jax
    from flax.traverse_util import flatten_dict, unflatten_dict

    loaded = load_weights(folder)
    params = flatten_dict(init_adapter(jax.random.key(0), loaded.unet.params, 2), sep="/")
    change(params)
    bindings = {"unet": loaded.unet.checksum, "base": str(base)}
    save_adapter(path, unflatten_dict(params, sep="/"), bindings, {})


def test_an_adapter_corrects_layers_that_are_there(folder, tmp_path):
    path = tmp_path / "adapter.safetensors"
    adapter_of(folder, path, folder)
    assert len(load_weights(folder, path).unet.parts) == 2

    def more(params):
        params["nowhere/down"] = params["nowhere/up"] = np.zeros((2, 2))

    def half(params):
        params.pop(next(name for name in sorted(params) if name.endswith("/up")))

    def other(params):
        name = next(name for name in sorted(params) if name.endswith("/down"))
        params[name] = params[name][:-1]

    for change, words in ((more, "of no layer"), (half, "of no layer"), (other, "another shape")):
        adapter_of(folder, path, folder, change)
        with pytest.raises(InputError, match=words):
            load_weights(folder, path)


def test_the_base_of_an_adapter_is_no_adapter(folder, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    adapter_of(folder, own / "adapter.safetensors", folder)
    assert len(load_weights(own).unet.parts) == 2
    for base in (own, tmp_path / "nowhere"):
        adapter_of(folder, own / "adapter.safetensors", base)
        with pytest.raises(InputError, match=r"which is an adapter too|neither a folder nor"):
            load_weights(own)


BINDINGS = [
    (lambda bindings: bindings.pop("sampling"), "settings of sampling"),
    (lambda bindings: bindings.update(sampling=[1]), "settings of sampling"),
    (lambda bindings: bindings.update(sampling={"magic": 1}), "settings of sampling"),
    (lambda bindings: bindings.update(sampling={"steps": "4"}), "steps is '4'"),
    (lambda bindings: bindings.update(sampling={"solver": ["euler"]}), "unknown solver"),
    (lambda bindings: bindings.update(sampling={"levels": 3}), "settings of sampling"),
    (lambda bindings: bindings.update(sampling={"levels": [1, 2]}), "levels are"),
    (lambda bindings: bindings.update(sampling={"levels": [10**400]}), "levels are"),
]


@pytest.mark.parametrize("number", range(len(BINDINGS)))
def test_bindings_that_cannot_be_are_refused(run_folders, number):
    change, words = BINDINGS[number]
    folder, path = run_folders
    codecs = [load_codec(folder / f"{kind}_codec.safetensors") for kind in ("mix", "bass")]
    forge(path, lambda tensors, fields, metadata: change(metadata["bindings"]))
    with pytest.raises(InputError, match=STRANGE) as caught:
        load_unet(path, *codecs)
    assert words in str(caught.value)


def test_bindings_of_an_adapter_are_names(folder, tmp_path):
    path = tmp_path / "adapter.safetensors"
    adapter_of(folder, path, folder)
    for change in ({"base": 3}, {"unet": None}, {"unet": ["x"]}):
        forge(path, lambda tensors, fields, metadata, new=change: metadata["bindings"].update(new))
        with pytest.raises(InputError, match="holds no adapter"):
            load_weights(folder, path)
        adapter_of(folder, path, folder)
    forge(path, lambda tensors, fields, metadata: metadata["bindings"].update(sampling={"a": 1}))
    with pytest.raises(InputError, match="settings of sampling"):
        load_weights(folder, path)
