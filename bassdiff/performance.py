"""One performance: reads a mix, plays the bass, writes what a musician wants to have."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bassdiff.audio.io import probe, read_mono, write
from bassdiff.bassist import MAX_SECONDS, MIN_SECONDS, load
from bassdiff.evaluation.picture import draw
from bassdiff.examples import example_mix
from bassdiff.types import InputError


def perform(arguments: argparse.Namespace) -> None:
    """Does what `bassdiff generate` was asked to.

    All that can be wrong with the request is checked before the model is loaded, and the
    files are written only when all the playing is done.

    Raises:
      InputError: If the request, the mix, the style or an output cannot be used.
    """
    path = Path(arguments.mix) if arguments.mix else example_mix()
    if arguments.variations < 1:
        raise InputError(f"--variations is {arguments.variations}; ask for at least 1")
    outputs = [_Output.of(arguments, number) for number in range(arguments.variations)]
    for output in outputs:
        output.check(path)
    info = probe(path)
    seconds = info.num_samples / info.sample_rate_hz
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise InputError(
            f"{path} is {seconds:.2f} s long; give a mix of {MIN_SECONDS:.0f} s to "
            f"{MAX_SECONDS / 60:.0f} min"
        )
    mix = read_mono(path, info.sample_rate_hz)
    bassist = load(arguments.weights)
    knobs = {
        name: value
        for name in ("guidance", "rescale", "steps", "solver", "style_strength")
        if (value := getattr(arguments, name)) is not None
    }
    basses = []
    for number in range(arguments.variations):
        label = "playing" if len(outputs) == 1 else f"playing {number + 1}/{len(outputs)}"
        with tqdm(desc=label, unit="step", total=1, leave=False) as bar:

            def show(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            basses.append(
                bassist.generate(
                    mix,
                    info.sample_rate_hz,
                    style=arguments.style,
                    seed=arguments.seed + number,
                    progress=show,
                    **knobs,
                )
            )
    for output, bass in zip(outputs, basses, strict=True):
        output.write(mix, bass, info.sample_rate_hz)


class _Output:
    """The files of one variation."""

    def __init__(self, bass: Path, mixdown: Path, picture: Path | None) -> None:
        self.bass, self.mixdown, self.picture = bass, mixdown, picture

    @classmethod
    def of(cls, arguments: argparse.Namespace, number: int) -> _Output:
        tail = f"-{number + 1}" if arguments.variations > 1 else ""
        bass = _renamed(Path(arguments.out), tail)
        if arguments.mixdown:
            mixdown = _renamed(Path(arguments.mixdown), tail)
        else:
            mixdown = _renamed(bass, "-mixdown")
        return cls(bass, mixdown, bass.with_suffix(".png") if arguments.plot else None)

    def check(self, mix: Path) -> None:
        for path in filter(None, (self.bass, self.mixdown, self.picture)):
            if not path.parent.is_dir():
                raise InputError(f"{path.parent} is not a folder; create it or choose another")
            if path.exists() and mix.exists() and path.samefile(mix):
                raise InputError(f"{path} is the mix itself; choose another --out")

    def write(self, mix: np.ndarray, bass: np.ndarray, sample_rate_hz: int) -> None:
        write(self.bass, bass, sample_rate_hz)
        write(self.mixdown, mix + bass, sample_rate_hz)
        if self.picture:
            draw(mix, bass, sample_rate_hz, self.picture)
        names = ", ".join(str(p) for p in (self.bass, self.mixdown, self.picture) if p)
        print(f"wrote {names}", file=sys.stderr)


def _renamed(path: Path, tail: str) -> Path:
    return path.with_name(f"{path.stem}{tail}{path.suffix}")
