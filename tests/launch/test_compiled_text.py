"""The traffic of programs with HBM, read from their text."""

import jax
import jax.numpy as jnp
import pytest

from launch.compiled_text import instructions

# As the compiler for TPUs writes it: S(1) is the chip's own memory, S(2) its semaphores.
TEXT = """HloModule jit_f

%fused_computation (p: bf16[8,128]) -> f32[8,128] {
  %p = bf16[8,128]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %convert = f32[8,128]{1,0:T(8,128)} convert(%p)
}

%body (p: (f32[8,128])) -> (f32[8,128]) {
  %p = (f32[8,128]{1,0:T(8,128)}) parameter(0)
  %get-tuple-element = f32[8,128]{1,0:T(8,128)} get-tuple-element(%p), index=0
  %negate = f32[8,128]{1,0:T(8,128)} negate(%get-tuple-element), metadata={op_name="jit(f)/neg"}
  ROOT %tuple = (f32[8,128]{1,0:T(8,128)}) tuple(%negate)
}

ENTRY %main (x: bf16[8,128]) -> f32[8,128] {
  %x = bf16[8,128]{1,0:T(8,128)(2,1)} parameter(0)
  %copy-start = (bf16[8,128]{1,0:T(8,128)(2,1)S(1)}, bf16[8,128]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%x)
  %copy-done = bf16[8,128]{1,0:T(8,128)(2,1)S(1)} copy-done(%copy-start)
  %slice-start = ((bf16[8,128]{1,0:T(8,128)(2,1)}), bf16[2,128]{1,0:T(8,128)(2,1)S(1)}, s32[]{:S(2)}) slice-start(%x), slice={[0:2], [0:128]}
  %fusion = (f32[8,128]{1,0:T(8,128)}, f32[8]{0:T(256)S(1)}) fusion(%copy-done, /*index=1*/%x), kind=kLoop, calls=%fused_computation, metadata={op_name="jit(f)/dot_general"}, backend_config={"window_config":{"estimated_cycles":"120"}}
  %get-tuple-element.1 = f32[8,128]{1,0:T(8,128)} get-tuple-element(%fusion), index=0
  %tuple.1 = (f32[8,128]{1,0:T(8,128)}) tuple(%get-tuple-element.1)
  %while = (f32[8,128]{1,0:T(8,128)}) while(%tuple.1), condition=%cond, body=%body
  ROOT %get-tuple-element.2 = f32[8,128]{1,0:T(8,128)} get-tuple-element(%while), index=0
}
"""  # noqa: E501 - as it is written


def test_only_what_is_in_hbm_counts_and_what_is_fused_or_waited_for_does_not():
    found = instructions(TEXT)
    assert [(one.operation, one.hbm_bytes, one.cycles) for one in found] == [
        ("copy-start", 2 * 1024, 0),
        # What arrives, not all of its source.
        ("slice-start", 2 * 256, 0),
        # Its second argument and its first result.
        ("fusion", 2 * 1024 + 4 * 1024, 120),
        # The body of the loop.
        ("negate", 2 * 4 * 1024, 0),
    ]
    assert found[2].source == "jit(f)/dot_general"


def test_of_a_chip_without_such_memory_all_bytes_count():
    a = jnp.ones((256, 128))
    program = jax.jit(lambda a: jnp.matmul(a, a.T)).lower(a).compile()
    total = sum(one.hbm_bytes for one in instructions(program.as_text()))
    assert total == pytest.approx(program.cost_analysis()["bytes accessed"], rel=0.5)
