"""Running a convolutional network over any lengths in batches of chunks of one compiled shape."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import numpy as np

CHUNK_FRAMES = 256
# Latent frames that a codec may look at on either side.
HALO_FRAMES = 16
# Chunks in one call: 48 s of audio.
CHUNKS_PER_CALL = 4
# Calls that are under way at once: the device never waits, and memory stays bounded.
_CALLS_AHEAD = 2


def chunked(
    function: Callable[..., Any],
    signals: Sequence[np.ndarray],
    frame_in: int,
    frame_out: int,
    halo_frames: int,
    chunk_frames: int = CHUNK_FRAMES,
    edge: Literal["constant", "edge"] = "constant",
    extras: Callable[[int, int], tuple[np.ndarray, ...]] = lambda signal, chunk: (),
) -> list[np.ndarray]:
    """Applies `function` to chunks of signals; no result depends on the chunks' length.

    Every chunk is extended by a halo at least as wide as the network's receptive field, and the
    halo's output is dropped. The chunks of all signals share calls.

    Args:
      function: Maps `[G, frames * frame_in, ...]` to `[G, frames * frame_out, ...]`.
      signals: `[num_frames * frame_in, ...]` each.
      frame_in: Input elements per frame.
      frame_out: Output elements per frame.
      halo_frames: Width of the halo on either side.
      chunk_frames: Frames per chunk, the halo excluded.
      edge: What lies outside a signal, as `np.pad` calls it: zeros, or its ends repeated.
      extras: Further arguments of `function` by the numbers of a signal and of its chunk; each
        has a row per chunk.

    Returns:
      `[num_frames * frame_out, ...]` each.
    """
    counts = [max(1, -(-len(signal) // (frame_in * chunk_frames))) for signal in signals]
    outputs: list[list[np.ndarray]] = [[] for _ in signals]

    def pieces() -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
        for number, (signal, count) in enumerate(zip(signals, counts, strict=True)):
            after = count * chunk_frames - len(signal) // frame_in + halo_frames
            padding = [(halo_frames * frame_in, after * frame_in)] + [(0, 0)] * (signal.ndim - 1)
            padded = np.pad(signal, padding, mode=edge)
            for chunk in range(count):
                start = chunk * chunk_frames
                stop = start + chunk_frames + 2 * halo_frames
                piece = padded[start * frame_in : stop * frame_in]
                yield number, (piece, *extras(number, chunk))

    under_way: collections.deque[tuple[list[int], Any]] = collections.deque()

    def fetch() -> None:
        owners, results = under_way.popleft()
        for owner, result in zip(owners, np.asarray(results), strict=False):
            real = slice(halo_frames * frame_out, (halo_frames + chunk_frames) * frame_out)
            outputs[owner].append(result[real])

    def call(group: list[tuple[int, tuple[np.ndarray, ...]]]) -> None:
        owners = [owner for owner, _ in group]
        # One program for all calls: a group that is not full is filled up.
        filled = [arguments for _, arguments in group]
        filled += [filled[-1]] * (CHUNKS_PER_CALL - len(filled))
        under_way.append((owners, function(*jax.tree.map(lambda *rows: np.stack(rows), *filled))))
        if len(under_way) > _CALLS_AHEAD:
            fetch()

    group: list[tuple[int, tuple[np.ndarray, ...]]] = []
    for piece in pieces():
        group.append(piece)
        if len(group) == CHUNKS_PER_CALL:
            call(group)
            group = []
    if group:
        call(group)
    while under_way:
        fetch()
    return [
        np.concatenate(parts)[: len(signal) // frame_in * frame_out]
        for parts, signal in zip(outputs, signals, strict=True)
    ]
