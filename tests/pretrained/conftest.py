import jax
import numpy as np
import pytest

from bassdiff.diffusion.types import Cond
from bassdiff.models.bass_codec import NUM_PITCH_CHANNELS
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.unet import UNet
from bassdiff.pretrained.weights import save_codec, save_unet

MEAN = np.linspace(-0.5, 0.5, NUM_PITCH_CHANNELS + 4).astype(np.float32)


@pytest.fixture(scope="session")
def unet_shapes():
    """A U-Net for a tiny bass codec and a mix codec of 6, and its noise parameters."""
    model = UNet(len(MEAN), widths=(8, 8), num_blocks=1, attention_levels=(1,), num_heads=2)
    x, mix, one = np.zeros((1, 4, len(MEAN))), np.zeros((1, 4, 6)), np.ones(1)
    cond = Cond(mix, one, np.full(1, 4, np.int32))
    return model, jax.eval_shape(model.init, jax.random.key(0), x, one, cond)["params"]


@pytest.fixture(scope="session")
def mix_codec(randomised):
    model = MixCodec(6, 8, 4, 4)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 8 * 2048)))
    return model, randomised(shapes["params"], seed=3)


@pytest.fixture
def run_folders(tmp_path, tiny_autoencoder, mix_codec, unet_shapes, randomised):
    """The weights that finished runs leave: a folder of codecs and a U-Net bound to them."""
    codecs, unet = tmp_path / "codecs", tmp_path / "unet" / "unet.safetensors"
    bass = save_codec(codecs / "bass_codec.safetensors", *tiny_autoencoder, MEAN, 1.5, {"steps": 7})
    mix = save_codec(codecs / "mix_codec.safetensors", *mix_codec, MEAN[:6], 0.8, {})
    model, shapes = unet_shapes
    bindings = {"mix_codec": mix, "bass_codec": bass, "sampling": {"steps": 4}}
    save_unet(unet, model, randomised(shapes), bindings, {"steps": 9})
    return codecs, unet
