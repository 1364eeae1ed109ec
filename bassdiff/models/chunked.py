"""Running a convolutional network over any lengths in batches of chunks of one compiled shape."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import numpy as np

# With its halo a chunk is 224 frames, and a call of four chunks 36 s of audio: a shorter one would
# be mostly halo, and of a longer one short songs would leave much unused.
CHUNK_FRAMES = 192
# Latent frames that a codec may look at on either side.
HALO_FRAMES = 16
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
      signals: `[num_frames * frame_in, ...]` each; the last frame is filled up with zeros.
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
    lengths = [-(-len(signal) // frame_in) for signal in signals]
    # Made when the first result tells their shape.
    outputs: list[np.ndarray | None] = [None] * len(signals)

    def pieces() -> Iterator[tuple[tuple[int, int], tuple[np.ndarray, ...]]]:
        for number, (signal, length) in enumerate(zip(signals, lengths, strict=True)):
            for chunk in range(max(1, -(-length // chunk_frames))):
                start = (chunk * chunk_frames - halo_frames) * frame_in
                stop = start + (chunk_frames + 2 * halo_frames) * frame_in
                yield (number, chunk), (_cut(signal, start, stop, edge), *extras(number, chunk))

    under_way: collections.deque[tuple[list[tuple[int, int]], Any]] = collections.deque()

    def fetch() -> None:
        places, results = under_way.popleft()
        for (number, chunk), result in zip(places, np.asarray(results), strict=False):
            first, last = chunk * chunk_frames, min((chunk + 1) * chunk_frames, lengths[number])
            output = outputs[number]
            if output is None:
                shape = (lengths[number] * frame_out, *result.shape[1:])
                output = outputs[number] = np.empty(shape, result.dtype)
            real = result[halo_frames * frame_out :][: (last - first) * frame_out]
            output[first * frame_out : last * frame_out] = real

    def call(group: list[tuple[tuple[int, int], tuple[np.ndarray, ...]]]) -> None:
        places = [place for place, _ in group]
        # One program for all calls: a group that is not full is filled up.
        filled = [arguments for _, arguments in group]
        filled += [filled[-1]] * (CHUNKS_PER_CALL - len(filled))
        under_way.append((places, function(*jax.tree.map(lambda *rows: np.stack(rows), *filled))))
        if len(under_way) > _CALLS_AHEAD:
            fetch()

    group: list[tuple[tuple[int, int], tuple[np.ndarray, ...]]] = []
    for piece in pieces():
        group.append(piece)
        if len(group) == CHUNKS_PER_CALL:
            call(group)
            group = []
    if group:
        call(group)
    while under_way:
        fetch()
    return [output for output in outputs if output is not None]


def _cut(
    signal: np.ndarray, start: int, stop: int, edge: Literal["constant", "edge"]
) -> np.ndarray:
    """A piece of a signal from `start` to `stop`, which may lie outside of it."""
    inside = signal[max(start, 0) : max(stop, 0)]
    missing = max(0, -start), stop - start - max(0, -start) - len(inside)
    return np.pad(inside, [missing] + [(0, 0)] * (signal.ndim - 1), mode=edge)
