"""Whether weights are of the model that a config describes."""

from __future__ import annotations

from ml_collections import ConfigDict

from bassdiff.models.bass_codec import BassCodec
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.unet import UNet
from bassdiff.runtime.errors import InputError


def check_model(name: str, model: BassCodec | MixCodec | UNet, wanted: ConfigDict) -> None:
    """Checks that weights are of the model that a config describes; what it leaves out fits."""
    for key, value in wanted.items():
        # How its memory is used is no part of a model.
        if key not in ("remat", "keep_products") and getattr(model, key) != value:
            raise InputError(
                f"config.model.{key} is {value} and {name} has {getattr(model, key)}; describe "
                "the model of the weights that the run starts from"
            )
