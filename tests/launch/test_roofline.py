"""Figures of programs for slices that are not at hand."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from launch.chips import CHIPS, Chip
from launch.roofline import program_figures


def figures_of(tmp_path, *words):
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "launch.roofline", *words, "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def product():
    """A product of 256 x 256 matrices: 33.6 MFLOP, and 0.8 MB to move."""
    a = jnp.ones((256, 256))
    return jax.jit(jnp.matmul).lower(a, a).compile()


@pytest.mark.parametrize(
    ("chip", "mfu", "slowest"),
    [
        (Chip(1e9, 1e9, 1e12, 1e9, 1), 1.0, "work"),
        # 3 x 256 x 256 x 4 bytes take twice what 2 x 256^3 operations do.
        (Chip(2 * 256**3, 1e9, 3 * 256**2 * 4 / 2, 1e9, 1), 0.5, "traffic"),
    ],
)
def test_a_program_is_as_slow_as_its_slowest_part(product, chip, mfu, slowest):
    figures = program_figures(product, 2.0 * 256**3, chip)
    parts = figures["roofline_milliseconds"]
    assert max(parts, key=parts.get) == slowest
    assert figures["roofline_mfu"] == pytest.approx(mfu, rel=0.02)
    assert figures["fits"]


def test_what_does_not_fit_is_said(product):
    assert not program_figures(product, 1.0, Chip(1e9, 1e3, 1e9, 1e9, 1))["fits"]


def test_a_training_step_splits_its_optimiser_over_all_devices(tmp_path):
    words = ("--config", "configs/diffusion.py:tiny", "--topology", "cpu:8")
    figures = figures_of(tmp_path, "train", *words)
    assert figures["mesh"] == "data=8, fsdp=1"
    assert figures["collectives"]["all-reduce"]["count"] >= 1
    # Forward and backward passes of one of eight rows.
    assert figures["gflop_per_device"] > figures["model_gflop_per_device"] * 0.5 > 0.0
    assert "roofline_mfu" not in figures


def test_songs_are_generated_without_any_communication(tmp_path):
    words = ("--config", "configs/diffusion.py:tiny", "--topology", "cpu:4")
    figures = figures_of(tmp_path, "generate", *words, "--minutes", "0.4", "--rows", "2")
    assert figures["collectives"] == {}
    assert (figures["rows_per_device"], figures["frames"]) == (2, 648)


def test_chips_have_all_their_figures():
    assert set(CHIPS) == {"v5e", "v5p", "v6e"}
