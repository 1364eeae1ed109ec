"""The first station of a song: is it done already, and if not, what is there to hear?"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from bassdiff.audio.io import probe, read
from bassdiff.batch.fetching import local_copy
from bassdiff.batch.item import Item, control_files
from bassdiff.batch.journal import Known
from bassdiff.batch.order import Order
from bassdiff.batch.patience import Patience, StoreUnavailable
from bassdiff.batch.storage import Storage
from bassdiff.batch.workers import Budget, Clock, Share
from bassdiff.diffusion.settings import Sampling
from bassdiff.inference.control import Control
from bassdiff.inference.hearing import Heard
from bassdiff.inference.inputs import MAX_SECONDS, Style, Task, check_length
from bassdiff.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Kept:
    """A song that needs nothing any more.

    Attributes:
      is_ok: Whether it was played; if not, it failed before.
    """

    is_ok: bool


@dataclasses.dataclass(frozen=True)
class Read:
    """A song that is to be played.

    Attributes:
      heard: Its mix.
      share: Of the budget for waveforms; to be given back when the waveform is let go.
    """

    heard: Heard
    share: Share


class Reader:
    """Reads songs; what it does to one may be done to several at once."""

    def __init__(
        self,
        order: Order,
        known: Mapping[str, Known],
        storage: Storage,
        patience: Patience,
        budget: Budget,
        defaults: Sampling,
        hear: Callable[[Task], Heard],
        retry_failed: bool = False,
    ) -> None:
        """Gathers what is needed.

        Args:
          order: What is wanted of every song.
          known: What the journal says.
          storage: Where results are.
          patience: For stores with mixes that do not answer.
          budget: Seconds of waveforms in memory.
          defaults: Settings of the weights.
          hear: Hears a task; see `Hearing`.
          retry_failed: Whether what failed before is tried again.
        """
        self._order, self._known, self._storage = order, known, storage
        self._patience, self._budget = patience, budget
        self._defaults, self._hear = defaults, hear
        self._retry_failed = retry_failed

    def __call__(self, item: Item, clock: Clock) -> Kept | Read:
        """What to do with a song.

        Raises:
          InputError: It cannot be read or heard.
          StoreUnavailable: The store of the results did not answer for long.
        """
        known = self._known.get(item.id)
        if known is not None and known.is_of(self._order.fingerprint(item)):
            if known.is_ok and self._is_published(item, known):
                return Kept(True)
            if not known.is_ok and not self._retry_failed:
                return Kept(False)
        sampling = dataclasses.replace(self._defaults, **self._order.settings_of(item))
        with contextlib.ExitStack() as stack:

            def local(name: str) -> Path:
                copy = local_copy(name, self._storage.scratch, self._patience)
                try:
                    return stack.enter_context(copy)
                except StoreUnavailable as error:
                    # It concerns this song, and not the results.
                    raise InputError(str(error)) from error

            mix = local(item.mix)
            info = probe(mix)
            name = item.mix
            if info.num_samples:
                check_length(name, info.num_samples, info.sample_rate_hz)
            # A header that does not say is trusted with the longest there may be.
            seconds = info.num_samples / info.sample_rate_hz or MAX_SECONDS
            with clock.paused():
                (share,) = self._budget.take(seconds)
            clock.if_late.append(share.give_back)
            try:
                samples = read(mix, max_samples=round(MAX_SECONDS * info.sample_rate_hz))
                check_length(name, len(samples), info.sample_rate_hz)
                styles = [Style(local(style)) for style in item.styles]
                control = dict(item.control)
                for given in control_files(control):
                    control[given] = str(local(control[given]))
                heard = self._hear(
                    Task(
                        samples,
                        info.sample_rate_hz,
                        styles or None,
                        seed=self._order.seed_of(item),
                        sampling=sampling,
                        control=Control(**control) if control else None,
                    )
                )
            except BaseException:
                share.give_back()
                raise
        return Read(heard, share)

    def _is_published(self, item: Item, known: Known) -> bool:
        """Whether a song's files are there, with the hashes of its row."""
        digests = [self._storage.digest(name) for name in self._order.files_of(item).values()]
        found = b"".join(bytes.fromhex(digest or "") for digest in digests)
        return None not in digests and found == known.digests
