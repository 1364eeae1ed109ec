"""Estimates from the mix for choices that the musician left open."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
from tqdm import tqdm

from bassdiff.audio.channels import to_mono
from bassdiff.audio.io import SAMPLE_RATE_HZ, resample
from bassdiff.inference.control import Control


def listened(control: Control, mix: np.ndarray, sample_rate_hz: int) -> Control:
    """The same with the mix's tuning, estimated and shown, where none was given.

    Args:
      control: What is decided.
      mix: `[N, channels]` float32.
      sample_rate_hz: Its rate.
    """
    if control.tuning_cents is not None:
        return control
    # It brings scipy, which takes longer to import than bad input to be refused.
    from bassdiff.audio.tuning import tuning_cents

    cents = round(tuning_cents(resample(to_mono(mix), sample_rate_hz, SAMPLE_RATE_HZ)), 1)
    if cents:
        what = "sharp" if cents > 0 else "flat"
        hz = 440.0 * 2.0 ** (cents / 1200.0)
        tqdm.write(f"the mix is {abs(cents):.0f} cents {what}: A = {hz:.1f} Hz", file=sys.stderr)
    return dataclasses.replace(control, tuning_cents=cents)
