"""Running a convolutional network over any length in pieces of one compiled shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

CHUNK_FRAMES = 256
# Latent frames that a codec may look at on either side.
HALO_FRAMES = 16


def chunked(
    function: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    frame_in: int,
    frame_out: int,
    halo_frames: int,
    chunk_frames: int = CHUNK_FRAMES,
    edge: Literal["constant", "edge"] = "constant",
) -> np.ndarray:
    """Applies `function` chunk by chunk; the result does not depend on the chunk's length.

    Every chunk is extended by a halo at least as wide as the network's receptive field, and the
    halo's output is dropped.

    Args:
      function: Maps `[1, frames * frame_in, ...]` to `[1, frames * frame_out, ...]`.
      values: `[num_frames * frame_in, ...]`.
      frame_in: Input elements per frame.
      frame_out: Output elements per frame.
      halo_frames: Width of the halo on either side.
      chunk_frames: Frames per chunk, the halo excluded.
      edge: What lies outside the signal, as `np.pad` calls it: zeros, or its ends repeated.

    Returns:
      `[num_frames * frame_out, ...]`.
    """
    num_frames = len(values) // frame_in
    num_chunks = max(1, -(-num_frames // chunk_frames))
    after = num_chunks * chunk_frames - num_frames + halo_frames
    padding = [(halo_frames * frame_in, after * frame_in)] + [(0, 0)] * (values.ndim - 1)
    padded = np.pad(values, padding, mode=edge)
    pieces = []
    for chunk in range(num_chunks):
        start = chunk * chunk_frames
        stop = start + chunk_frames + 2 * halo_frames
        out = np.asarray(function(padded[None, start * frame_in : stop * frame_in]))[0]
        pieces.append(out[halo_frames * frame_out : (halo_frames + chunk_frames) * frame_out])
    return np.concatenate(pieces)[: num_frames * frame_out]
