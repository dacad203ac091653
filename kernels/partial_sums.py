"""The second half of a sum that was split over programs: partial results, added in a fixed order.

Computes   out[e] = sum over the slices i of partial[i, e]
Arrays     partial (slices, *out.shape) dense, in the accumulation dtype; out of any strides
Grid       (ceil(elements / BLOCK),)
Tiling     BLOCK elements x SLICES slices at a time, in registers; one reduction at the end
Traffic    partial read once: slices * elements * 4 bytes, written shortly before: from the L2 cache
Numerics   slices in order, SLICES running sums, then a tree: deterministic, no atomics
Refuses    nothing
Source     the split sums of CUTLASS ("split-K, parallel reduction")
"""

import triton
import triton.language as tl

from ..array import Array
from .launch import launch
from .numbers import accumulator
from .strided import offset, strides

SLICES = 8  # how many slices a program adds side by side


@triton.jit
def _add(
    partial, out, elements, slices, sizes, steps,
    AXES: tl.constexpr, ACC: tl.constexpr, SLICES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    e = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = e < elements
    acc = tl.zeros((SLICES, BLOCK), ACC)
    for first in range(0, slices, SLICES):
        slice = first + tl.arange(0, SLICES)
        at = slice[:, None] * elements + e[None, :]
        there = (slice < slices)[:, None] & inside[None, :]
        acc += tl.load(partial + at, mask=there, other=0.0)
    y = tl.sum(acc, axis=0)
    tl.store(out + offset(e, sizes, steps, AXES), y.to(out.dtype.element_ty), mask=inside)


def add_slices(partial: Array, out: Array) -> None:
    """out = partial summed over its first axis, the slices."""
    block = 128 if out.size > 512 else 512
    launch(
        _add, (triton.cdiv(out.size, block),),
        partial, out, out.size, partial.shape[0], out.shape, strides(out),
        AXES=out.ndim, ACC=accumulator(out.dtype), SLICES=SLICES, BLOCK=block,
    )  # fmt: skip
