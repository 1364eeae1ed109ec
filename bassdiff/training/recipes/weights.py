"""Checks that weights fit the model of a config."""

from __future__ import annotations

from ml_collections import ConfigDict

from bassdiff.models.codecs import CodecModel
from bassdiff.models.unet import UNet
from bassdiff.runtime.errors import InputError


def check_model(name: str, model: CodecModel | UNet, wanted: ConfigDict) -> None:
    """Checks that weights have the sizes that a config gives; missing keys match anything."""
    for key, value in wanted.items():
        # Settings of memory are not part of the model.
        if key not in ("remat", "keep_products") and getattr(model, key) != value:
            raise InputError(
                f"config.model.{key} is {value} and {name} has {getattr(model, key)}; describe "
                "the model of the weights that the run starts from"
            )
