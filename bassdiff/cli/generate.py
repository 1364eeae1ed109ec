"""The verb `generate`: a bass to one mix."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bassdiff.cli.arguments import generate_words, sampling_overrides
from bassdiff.cli.control import control_of, region_seconds
from bassdiff.cli.recall import recalled, words_of
from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from bassdiff.inference.inputs import Draft, Style


def generate(arguments: argparse.Namespace) -> None:
    """Plays a bass to a mix and writes it, a mixdown and a picture."""
    from bassdiff.examples import example_mix
    from bassdiff.inference.outputs import name_outputs
    from bassdiff.inference.performance import perform

    defaults = _defaults()
    expected_weights = rows = None
    if arguments.like:
        arguments = recalled(arguments, defaults)
        expected_weights, rows = arguments.expected_weights, arguments.rows
        del arguments.expected_weights, arguments.rows
    mix = Path(arguments.mix) if arguments.mix else example_mix()
    name = f"{mix.stem if arguments.mix else 'example'}-bass.wav"
    outputs = name_outputs(
        Path(arguments.out or name),
        Path(arguments.mixdown) if arguments.mixdown else None,
        arguments.plot,
        arguments.variations,
        arguments.midi,
    )
    perform(
        mix,
        outputs,
        arguments.weights,
        arguments.adapter,
        _styles(arguments),
        _draft(arguments),
        control_of(arguments),
        arguments.seed,
        sampling_overrides(arguments),
        words_of(arguments, defaults),
        arguments.overwrite,
        expected_weights,
        arguments.loop,
        rows=rows,
    )
    for number, output in enumerate(outputs):
        print("wrote", *output.paths(), f"(seed {arguments.seed + number})", file=sys.stderr)


def _styles(arguments: argparse.Namespace) -> list[Style]:
    from bassdiff.inference.inputs import Style

    options = {"weight": arguments.style_weight, "start_seconds": arguments.style_from}
    for name, values in zip(("--style-weight", "--style-from"), options.values(), strict=True):
        if values and len(values) != len(arguments.style):
            raise InputError(
                f"{len(values)} values of {name} and {len(arguments.style)} of --style do not pair "
                "up; give one for each or none"
            )
    if arguments.style_weight and len(set(arguments.style_from)) == len(arguments.style) > 1:
        raise InputError(
            "--style-weight blends styles that begin together, and these take turns; leave it out"
        )
    return [
        Style(path, **{name: values[i] for name, values in options.items() if values})
        for i, path in enumerate(arguments.style)
    ]


def _draft(arguments: argparse.Namespace) -> Draft | None:
    from bassdiff.inference import inputs

    has_region, bass = arguments.region is not None, arguments.edit or arguments.continuing
    if has_region != bool(arguments.edit) and not (has_region and bass):
        raise InputError("--edit BASS and --region need each other; give both")
    if arguments.strength is not None and not (arguments.vary or arguments.retimbre):
        raise InputError("--strength needs --vary or --retimbre; give one of them")
    if has_region:
        return inputs.edit(bass, *region_seconds(arguments.region, arguments))
    if arguments.continuing:
        return inputs.continuation(arguments.continuing)
    strength = {} if arguments.strength is None else {"strength": arguments.strength}
    if arguments.vary:
        return inputs.variation(arguments.vary, **strength)
    if arguments.retimbre:
        return inputs.retimbre(arguments.retimbre, **strength)
    return None


def _defaults() -> argparse.Namespace:
    """The options where none are given."""
    sub = argparse.ArgumentParser()
    generate_words(sub)
    return sub.parse_args([])
