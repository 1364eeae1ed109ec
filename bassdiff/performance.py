"""One performance: reads a mix, plays the bass, writes what a musician wants to have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bassdiff.audio.io import check_target, probe, read, write
from bassdiff.bassist import Bassist, check_length, load
from bassdiff.evaluation.picture import draw
from bassdiff.types import InputError


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The files of one bass: itself, the mix with it, and a picture of both (or None)."""

    bass: Path
    mixdown: Path
    picture: Path | None

    def check(self, mix: Path) -> None:
        """Checks that the files can be written without harm.

        Raises:
          InputError: If a file cannot be written or would replace the mix.
        """
        for path in (self.bass, self.mixdown):
            check_target(path)
            if path.exists() and path.samefile(mix):
                raise InputError(f"{path} is the mix itself; choose another name")


def name_outputs(bass: Path, mixdown: Path | None, plot: bool, variations: int) -> list[Outputs]:
    """The files of every variation: numbered from 1 if there are several.

    Raises:
      InputError: If `variations` is not positive.
    """
    if variations < 1:
        raise InputError(f"{variations} variations cannot be played; ask for at least 1")
    outputs = []
    for number in range(1, variations + 1):
        tail = f"-{number}" if variations > 1 else ""
        own = _renamed(bass, tail)
        mixed = _renamed(mixdown, tail) if mixdown else _renamed(own, "-mixdown")
        outputs.append(Outputs(own, mixed, own.with_suffix(".png") if plot else None))
    return outputs


def perform(
    mix_path: Path,
    outputs: list[Outputs],
    weights: str,
    style: str | None,
    seed: int,
    knobs: Mapping[str, Any],
) -> None:
    """Plays one bass per element of `outputs`, with seeds `seed`, `seed + 1`, ...

    Everything that can be wrong with the request is checked first, and files are written
    only when all the playing is done.

    Raises:
      InputError: If the mix, the style, the weights, a setting or an output cannot be used.
    """
    info = probe(mix_path)
    for output in outputs:
        output.check(mix_path)
    check_length(str(mix_path), info.num_samples, info.sample_rate_hz)
    mix = read(mix_path)
    check_length(str(mix_path), len(mix), info.sample_rate_hz)
    bassist = load(weights)
    basses = [
        _play(bassist, mix, info.sample_rate_hz, style, seed + number, knobs, label)
        for number, label in enumerate(_labels(len(outputs)))
    ]
    for output, bass in zip(outputs, basses, strict=True):
        write(output.bass, bass, info.sample_rate_hz)
        write(output.mixdown, mix + bass[:, None], info.sample_rate_hz)
        if output.picture:
            draw(mix.mean(axis=1), bass, info.sample_rate_hz, output.picture)


def _play(
    bassist: Bassist,
    mix: np.ndarray,
    sample_rate_hz: int,
    style: str | None,
    seed: int,
    knobs: Mapping[str, Any],
    label: str,
) -> np.ndarray:
    with tqdm(desc=label, unit="step", total=1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return bassist.generate(mix, sample_rate_hz, style=style, seed=seed, progress=show, **knobs)


def _labels(count: int) -> list[str]:
    return ["playing"] if count == 1 else [f"playing {i + 1} of {count}" for i in range(count)]


def _renamed(path: Path, tail: str) -> Path:
    return path.with_name(f"{path.stem}{tail}{path.suffix}")
