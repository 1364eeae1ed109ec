"""Figures of single blocks, compiled for the CPU: the compiler for TPUs is not there."""

import jax
import pytest

from bassdiff.cli.configs import read_config
from launch import block_roofline


@pytest.fixture
def blocks():
    return block_roofline.blocks(read_config("configs/diffusion.py:small", []), rows=2)


def test_every_level_has_its_blocks(blocks):
    names = [f"{way}_{level}" for level in range(4) for way in ("down", "up")]
    assert set(blocks) == {*names, "attention_2", "attention_3"}
    module, inputs = blocks["up_1"]
    # Half the frames, and twice the channels: those of a skip beside its own.
    assert module.width == 192 and inputs[0] == ((2, 256, 384), "float32")


def test_work_is_that_of_three_passes_and_traffic_that_of_all_arrays(blocks, monkeypatch):
    monkeypatch.setattr(block_roofline, "devices_of", lambda _: jax.devices())
    figures = block_roofline.block_figures(*blocks["down_0"], "v5e:2x2")
    # Two convolutions, to each of which three frames contribute.
    products = 3 * 2 * (2 * 512 * 3 * 128 * 128 * 2) / 1e9
    assert figures["model_gflop"] == pytest.approx(products, rel=0.1)
    assert 0.5 * figures["counted_mb"] < figures["hbm_mb"] < 1.5 * figures["counted_mb"]
    assert figures["mfu_by_cycles"] is None
