"""Embeddings by a network in an ONNX file that the user exports once.

The licences of VGGish, CLAP and MERT, some of which forbid commercial use, are between the user
and their owners. To export one with PyTorch, write

    class Network(torch.nn.Module):
        def __init__(self, network, take):
            super().__init__()
            self.network, self.take = network.eval(), take
        def forward(self, x):
            return self.take(self.network, x)

    torch.onnx.export(Network(network, take), (example,), "FILE.onnx", external_data=False)

where

    vggish  network  torch.hub.load("harritaylor/torchvggish", "vggish",
                                    preprocess=False, postprocess=False)
            take     lambda network, x: network(x)
            example  torch.zeros(1, 1, 96, 64)
    clap    network  transformers.ClapAudioModelWithProjection.from_pretrained(
                         "laion/larger_clap_music")
            take     lambda network, x: torch.nn.functional.normalize(
                         network(input_features=x).audio_embeds)
            example  torch.zeros(1, 1, 1001, 64)
    mert    network  transformers.AutoModel.from_pretrained("m-a-p/MERT-v1-95M",
                                                            trust_remote_code=True)
            take     lambda network, x: network(x).last_hidden_state
            example  torch.zeros(1, 142663)

Other exporters work too: a graph needs one input, and its first output is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.metrics.front_ends import FRONT_ENDS, FrontEnd, mixed
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.onnx_graph import open_graph


@dataclass(frozen=True)
class OnnxEmbedder:
    """An embedder that runs a network from an ONNX file.

    Attributes:
      name: Kind, stem of the file and the first 8 hex digits of its SHA-256.
      features: See `FrontEnd`.
      shape: Shape of one window of the graph's input.
      run: Maps `[1, *shape]` float32 to `[1, D]`, or to `[1, frames, D]`, which is averaged.
    """

    name: str
    features: Callable[[np.ndarray], np.ndarray]
    shape: tuple[int, ...]
    run: Callable[[np.ndarray], np.ndarray]

    def sound(self, bass: np.ndarray) -> np.ndarray:
        """See `embedders.Embedder.sound`."""
        # One at a time: a graph exported without dynamic axes takes no other batch.
        windows = self.features(bass).reshape(-1, 1, *self.shape)
        embedded = [np.asarray(self.run(window)) for window in windows]
        return np.concatenate(
            [rows.mean(axis=1) if rows.ndim == 3 else rows for rows in embedded], dtype=np.float32
        )

    def pair(self, mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
        """Embeds the sum of both; see `embedders.Embedder.pair`."""
        return self.sound(mixed(mix, bass))


def open_onnx(kind: str, file: str) -> OnnxEmbedder:
    """Opens an embedder from an ONNX file and tries it on silence.

    Args:
      kind: One of `FRONT_ENDS`.
      file: The file.

    Raises:
      InputError: If the file is missing, unreadable or does not fit, or onnxruntime is not
        installed.
    """
    if not file:
        raise InputError(f"{kind}: needs its network; name it as {kind}:FILE.onnx.")
    path = Path(file)
    digest = _sha256(path)
    # The only provider that gives the same numbers on every machine.
    graph = open_graph(path, kind, "embedders", ["CPUExecutionProvider"])
    front_end, inputs = FRONT_ENDS[kind], graph.inputs
    embedder = OnnxEmbedder(
        name=f"{kind}:{path.stem}-{digest[:8]}",
        features=front_end.features,
        shape=_fitting_shape(path, inputs, front_end),
        run=lambda window: graph.run({inputs[0].name: window})[0],
    )
    try:
        rank = np.ndim(embedder.run(np.zeros((1, *embedder.shape), np.float32)))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: fails on a silent window; export it again for windows of shape "
            f"{[1, *embedder.shape]}."
        ) from error
    if rank not in (2, 3):
        raise InputError(
            f"{path}: its first output has {rank} axes; export it with [n, D] or [n, frames, D]."
        )
    return embedder


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    # Large exports keep their weights in a second file.
    data = Path(f"{path}.data")
    try:
        for part in [path, data] if data.exists() else [path]:
            with part.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    return digest.hexdigest()


def _fitting_shape(path: Path, inputs: list[Any], front_end: FrontEnd) -> tuple[int, ...]:
    """The shape of the front end that matches the graph's input."""
    wanted = " or ".join(str(["n", *shape]) for shape in front_end.shapes).replace("'", "")
    if len(inputs) != 1:
        raise InputError(
            f"{path}: has {len(inputs)} inputs; export it with one, float32 of shape {wanted}."
        )
    has, kind = inputs[0].shape, inputs[0].type
    for shape in front_end.shapes:
        # Dynamic axes have a name or None instead of a number.
        if kind == "tensor(float)" and len(has) == 1 + len(shape):
            if all(not isinstance(a, int) or a == b for a, b in zip(has, (1, *shape), strict=True)):
                return shape
    raise InputError(
        f"{path}: takes {kind} of shape {has}; export it with float32 of shape {wanted}."
    )
