"""What is wanted of every song of a job, and what decides the bytes of its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bassdiff.batch.item import Item
from bassdiff.diffusion.settings import Sampling
from bassdiff.pretrained.release import Weights, described


@dataclasses.dataclass(frozen=True)
class Order:
    """What holds for all songs of a job.

    Attributes:
      weights: Name or folder of the weights.
      adapter: File of an adapter of them.
      about_weights: What records say of them, with their fingerprints; see `of`.
      settings: Fields of `Sampling` that are the same for all songs; a song's own win.
      seed: From which, with a song's id, its own follows.
      format: The suffix of audio files.
      mixdown: Whether to write the mix with the bass, too.
      midi: Whether to write the notes, too.
      candidates: How many basses are played to a song, of which the one that fits best is kept.
      judges: Name or folder of the weights whose matching models decide that; of no account for
        one candidate.
    """

    weights: str = "small"
    adapter: str | None = None
    about_weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seed: int = 0
    format: str = "wav"
    mixdown: bool = False
    midi: bool = False
    candidates: int = 1
    judges: str = ""

    def of(self, weights: Weights) -> Order:
        """The same of weights that were read."""
        return dataclasses.replace(
            self,
            about_weights=described(self.weights, weights.fingerprints),
            judges=self.judges if self.candidates > 1 else "",
        )

    def defaults(self, weights: Weights) -> Sampling:
        """The settings of the weights, of which those of songs are changes.

        Raises:
          InputError: What holds for all songs is refused at once, and not once for every song.
        """
        defaults = Sampling.of_weights(weights.unet.bindings)
        dataclasses.replace(defaults, **self.settings)
        return defaults

    def seed_of(self, item: Item) -> int:
        """The seed of a song, whatever the songs around it."""
        if item.seed is not None:
            return item.seed
        digest = hashlib.sha256(f"{self.seed}:{item.id}".encode()).digest()
        return int.from_bytes(digest[:4], "big")

    def settings_of(self, item: Item) -> dict[str, Any]:
        """The settings of a song that are not the weights' defaults."""
        return {**self.settings, **item.settings}

    def words_of(self, item: Item) -> dict[str, Any]:
        """The options of `bassdiff generate` that play a song, but for its seed."""
        control = dict(item.control)
        if "notes_region" in control:
            control["notes_region"] = ":".join(f"{moment:g}" for moment in control["notes_region"])
        return {
            "mix": item.mix,
            **({"style": list(item.styles)} if item.styles else {}),
            **self.settings_of(item),
            **control,
            "weights": self.weights,
            **({"adapter": self.adapter} if self.adapter else {}),
        }

    def files_of(self, item: Item) -> dict[str, str]:
        """The files of a song by what they hold, below the folder of all."""
        files = {"bass": f"{item.id}.bass.{self.format}", "record": f"{item.id}.bass.json"}
        if self.mixdown:
            files["mixdown"] = f"{item.id}.mixdown.{self.format}"
        if self.midi:
            files["midi"] = f"{item.id}.mid"
        return files

    def fingerprint(self, item: Item) -> str:
        """Identifies all that decides a song's files, but for what is inside the mix and styles.

        A file that was made for another fingerprint is made anew.
        """
        asked = (
            *(item.mix, item.styles, self.seed_of(item), self.settings_of(item), item.control),
            *(self.files_of(item), self.about_weights, self.candidates, self.judges),
        )
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
