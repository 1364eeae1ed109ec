"""The autoencoders, by the name that their files hold."""

from __future__ import annotations

from typing import TypeAlias

from bassdiff.models.bass_codec import BassCodec
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.spectrogram_codec import SpectrogramCodec

CodecModel: TypeAlias = BassCodec | MixCodec | SpectrogramCodec
CODECS: dict[str, type[CodecModel]] = {
    model.kind: model for model in (BassCodec, MixCodec, SpectrogramCodec)
}
