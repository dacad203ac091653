"""Sum and activation in one pass: the end of a residual block.

Computes   out = activation(a + b), the activation geometry.op names
Arrays     a, b, out of one shape and dtype (f16/bf16/f32/f64), any strides; out may be a or b
Grid       (ceil(elements / BLOCK),): each program BLOCK elements in the order in which `out` lies
Tiling     no reuse: BLOCK / (32 num_warps) elements a thread, 16-byte accesses where all are dense
Traffic    a and b read once, out written once: 3 b bytes and a few FLOPs an element; bandwidth
Numerics   halves are widened to f32; the sum is not rounded before the activation, out once
Refuses    nothing
Source     He et al. 2015, arXiv:1512.03385, section 3.2
"""

import triton
import triton.language as tl

from ..array import Array
from ..geometry import ElementwiseGeometry
from .activation import activate
from .launch import launch
from .numbers import accumulator
from .strided import collapse, offset, strides


@triton.jit
def _direct(
    a, b, out, elements, sizes, a_steps, b_steps, out_steps,
    AXES: tl.constexpr, ACTIVATION: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < elements
    left = tl.load(a + offset(i, sizes, a_steps, AXES), mask=inside, other=0.0).to(ACC)
    right = tl.load(b + offset(i, sizes, b_steps, AXES), mask=inside, other=0.0).to(ACC)
    y = activate(left + right, ACTIVATION)
    tl.store(out + offset(i, sizes, out_steps, AXES), y.to(out.dtype.element_ty), mask=inside)


def add_activation_direct(
    a: Array, b: Array, *, out: Array, geometry: ElementwiseGeometry, epilogue: None = None
) -> None:
    sizes, (out_steps, a_steps, b_steps) = collapse(out.shape, strides(out), strides(a), strides(b))
    block = 1024
    launch(
        _direct, (triton.cdiv(out.size, block),),
        a, b, out, out.size, sizes, a_steps, b_steps, out_steps,
        AXES=len(sizes), ACTIVATION=geometry.op, ACC=accumulator(out.dtype), BLOCK=block,
    )  # fmt: skip
