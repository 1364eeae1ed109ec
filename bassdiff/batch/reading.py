"""The first station of a song: is it done already, and if not, what is there to hear?

Readers have no share in the accelerator, and with Ray they are on machines of their own: so styles
and lines are encoded on a CPU everywhere, which rounds alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from bassdiff.audio.channels import mono_and_level
from bassdiff.audio.io import SAMPLE_RATE_HZ, probe
from bassdiff.audio.resampling import resample
from bassdiff.audio.source import AudioSource
from bassdiff.batch.fetching import local_copy
from bassdiff.batch.item import Item, control_files
from bassdiff.batch.journal import Known
from bassdiff.batch.order import Order
from bassdiff.batch.patience import Patience, StoreUnavailable
from bassdiff.batch.storage import Storage
from bassdiff.batch.workers import Budget, Clock, Share
from bassdiff.inference.analysis import Estimates, estimated, resolved
from bassdiff.inference.conditioning import Preparation
from bassdiff.inference.control import Control
from bassdiff.inference.grid import Grid
from bassdiff.inference.hearing import Heard, hear
from bassdiff.inference.inputs import MAX_SECONDS, Style, Task, check_length
from bassdiff.inference.record import file_hash
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import Weights
from bassdiff.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Kept:
    """A song that needs nothing any more.

    Attributes:
      is_ok: Whether it was played; if not, it failed before.
    """

    is_ok: bool


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the files of a song say of how it was made.

    Attributes:
      files: SHA-256 of what was read, by path or URL.
      heard: Choices and estimates.
      grid: Beats and bars of the mix, if they are known.
    """

    files: Mapping[str, str]
    heard: Mapping[str, Any]
    grid: Grid | None


@dataclasses.dataclass(frozen=True)
class Read:
    """A song that is to be played.

    Attributes:
      heard: Its mix.
      facts: What is known of it.
      share: Of the budget for waveforms; to be given back when the waveform is let go.
    """

    heard: Heard
    facts: Facts
    share: Share


class Reader:
    """Reads songs; what it does to one may be done to several at once."""

    def __init__(
        self,
        order: Order,
        weights: Weights,
        known: Mapping[str, Known],
        storage: Storage,
        patience: Patience,
        budget: Budget,
        retry_failed: bool = False,
    ) -> None:
        """Puts the bass codec on a CPU.

        Args:
          order: What is wanted of every song.
          weights: Whose settings and codec.
          known: What the journal says.
          storage: Where results are.
          patience: For stores with mixes that do not answer.
          budget: Seconds of waveforms in memory.
          retry_failed: Whether what failed before is tried again.

        Raises:
          InputError: JAX may use no CPU, or what holds for all songs cannot be used.
        """
        self._order, self._known, self._storage = order, known, storage
        self._patience, self._budget, self._retry_failed = patience, budget, retry_failed
        self._defaults = order.defaults(weights)
        try:
            self._device = jax.local_devices(backend="cpu")[0]
        except RuntimeError as error:
            raise InputError(
                "JAX_PLATFORMS leaves out the CPU, by which songs are read; add it, as in cuda,cpu"
            ) from error
        with jax.default_device(self._device):
            self._preparation = Preparation(Codec(weights.bass_codec))

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
        with contextlib.ExitStack() as stack:
            files: dict[str, str] = {}

            def local(name: str) -> Path:
                copy = local_copy(name, self._storage.scratch, self._patience)
                try:
                    path = stack.enter_context(copy)
                except StoreUnavailable as error:
                    # It concerns this song, and not the results.
                    raise InputError(str(error)) from error
                # What is not there is told by what reads it, in its own words.
                if path.is_file():
                    files[name] = file_hash(path)
                return path

            mix = local(item.mix)
            info = probe(mix)
            if info.num_samples:
                check_length(item.mix, info.num_samples, info.sample_rate_hz)
            # A header that does not say is trusted with the longest there may be.
            seconds = info.num_samples / info.sample_rate_hz or MAX_SECONDS
            with clock.paused():
                (share,) = self._budget.take(seconds)
            clock.if_late.append(share.give_back)
            try:
                longest = round(MAX_SECONDS * info.sample_rate_hz)
                # Of an hour, channels would take more memory than all that is made of them.
                mono, level_lufs = mono_and_level(AudioSource(mix, longest))
                check_length(item.mix, len(mono), info.sample_rate_hz)
                styles = [Style(local(style)) for style in item.styles]
                control = dict(item.control)
                for given in control_files(control):
                    control[given] = str(local(control[given]))
                wanted = Control(**control)
                wave = resample(mono, info.sample_rate_hz, SAMPLE_RATE_HZ)
                chosen = resolved(wanted, wave)
                # They cost a tenth of playing, and MIDI needs them for its bars.
                found = Estimates([], None)
                if self._order.midi:
                    found = estimated(wanted, chosen, wave)
                del wave
                task = Task(
                    mono,
                    info.sample_rate_hz,
                    styles or None,
                    seed=self._order.seed_of(item),
                    sampling=self._defaults.changed(**self._order.settings_of(item)),
                    control=chosen,
                    level_lufs=level_lufs,
                    takes_over=True,
                )
                with jax.default_device(self._device):
                    heard = hear(task, self._defaults, self._preparation)
                about = {**chosen.described(), **found.described()}
            except BaseException:
                share.give_back()
                raise
        return Read(heard, Facts(files, about, chosen.grid or found.grid), share)

    def _is_published(self, item: Item, known: Known) -> bool:
        """Whether a song's files are there, with the hashes of its row."""
        digests = [self._storage.digest(name) for name in self._order.files_of(item).values()]
        found = b"".join(bytes.fromhex(digest or "") for digest in digests)
        return None not in digests and found == known.digests
