"""A bass put into its mix: as loud as the mix was, and with no peak over full scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from bassdiff.audio.channels import ChannelsMeter, in_blocks
from bassdiff.audio.running import running_mean, running_minimum

# Just under full scale, so that a lossy file's overshoot does not clip at once.
CEILING = 10.0 ** (-0.3 / 20.0)
# The gain moves within this time on either side of a peak: slower than a bass's period.
RAMP_SECONDS = 0.05


def mixdown(mix: np.ndarray, bass: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, float]:
    """Adds a bass to a mix, at the loudness of the mix alone, so that both compare by ear.

    Args:
      mix: `[N, channels]`.
      bass: `[N]` at its level in the mix.
      sample_rate_hz: Rate of both.

    Returns:
      `[N, channels]` float32 within full scale, and by how many dB the highest peak was limited.
    """
    blocks, limited_db = mixdown_blocks(lambda: in_blocks(mix), bass, sample_rate_hz)
    together, start = np.empty(mix.shape, np.float32), 0
    for block in blocks:
        together[start : start + len(block)] = block
        start += len(block)
    return together, limited_db


def mixdown_blocks(
    mix: Callable[[], Iterable[np.ndarray]], bass: np.ndarray, sample_rate_hz: int
) -> tuple[Iterator[np.ndarray], float]:
    """`mixdown` of a mix that is read twice: to measure it, and block by block with the bass.

    Args:
      mix: Called for each pass over `[n, channels]` blocks, which have N samples in all.
      bass: `[N]`.
      sample_rate_hz: Rate of both.

    Returns:
      `[n, channels]` float32 blocks, and by how many dB the highest peak was limited.
    """
    before, after, highest = None, None, 0.0
    for block, together in _sums(mix(), bass):
        if before is None or after is None:
            before, after = (ChannelsMeter(sample_rate_hz, block.shape[1]) for _ in range(2))
        before.add(block)
        after.add(together)
        highest = max(highest, float(together.max()), -float(together.min()))
    gain = np.float32(1.0)
    if before is not None and after is not None:
        change_db = before.lufs() - after.lufs()
        if math.isfinite(change_db):
            # Never louder: a bass that cancels a mix is not to be raised out of noise.
            gain = np.float32(10.0 ** (min(0.0, change_db) / 20.0))
    highest *= float(gain)
    scaled = (together * gain for _, together in _sums(mix(), bass))
    if highest <= CEILING:
        return scaled, 0.0
    return limited(scaled, sample_rate_hz), 20.0 * math.log10(highest / CEILING)


def limited(blocks: Iterable[np.ndarray], sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Turns peaks down to just under full scale, looking ahead.

    Args:
      blocks: `[n, channels]` float32, of any lengths.
      sample_rate_hz: Their rate.

    Yields:
      Their samples within full scale, in other blocks.
    """
    reach = 2 * round(RAMP_SECONDS * sample_rate_hz) + 1
    # What each sample needs at most, of those that still count; and samples not yet settled.
    before, waiting = np.empty(0), np.empty((0, 1), np.float32)
    for block, is_last in _with_end(blocks):
        waiting = np.concatenate([waiting, block]) if len(waiting) else block
        settled = len(waiting) if is_last else max(len(waiting) - reach, 0)
        if not settled:
            continue
        peaks = np.abs(waiting[: settled + reach]).max(axis=1)
        needed = np.concatenate([before, np.float32(CEILING) / np.maximum(peaks, CEILING)])
        # A mean over minima that all contain a sample is not above what that sample needs.
        gain = np.minimum(running_mean(running_minimum(needed, reach), reach), needed)
        end = len(before) + settled
        yield waiting[:settled] * gain[len(before) : end, None].astype(np.float32)
        before = needed[max(0, end - reach) : end]
        waiting = waiting[settled:]


def _sums(mix: Iterable[np.ndarray], bass: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of a mix, and the same with the bass."""
    start = 0
    for block in mix:
        part = bass[start : start + len(block), None]
        yield block, np.add(block, part, dtype=np.float32)
        start += len(block)


def _with_end(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """Blocks, and whether each is the last."""
    previous = None
    for block in blocks:
        if previous is not None:
            yield previous, False
        previous = block
    if previous is not None:
        yield previous, True
