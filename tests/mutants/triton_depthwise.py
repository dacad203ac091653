"""Faults in the Triton kernels of depthwise and grouped convolution, normalisation, resampling."""

from __future__ import annotations

from .harness import Mutant

PATCHES = "kernels/patches.py"
DEPTHWISE = "kernels/conv2d_depthwise.py"
GROUPED = "kernels/conv2d_grouped.py"
SUMS = "kernels/partial_sums.py"
RESPONSE = "kernels/local_response_norm.py"
RESIZE = "kernels/resize2d.py"

MUTANTS = [
    Mutant(
        PATCHES,
        "return r if rest == 0 and r < axis.taps else -1",
        "return r if r < axis.taps else -1",
        killer="conv2d_fprop-depthwise_dilated",
    ),
    Mutant(
        PATCHES,
        "rest // columns, rest % columns",
        "rest % columns, rest // columns",
        killer="conv2d_wgrad-depthwise",
    ),
    Mutant(
        DEPTHWISE,
        "(c // SHARE * EACH).to(tl.int64) * source_steps[1], c * (EACH * w_steps[0])",
        "(c * EACH).to(tl.int64) * source_steps[1], c * (EACH * w_steps[0])",
        killer="conv2d_fprop-depthwise_multiplier",
    ),
    Mutant(
        DEPTHWISE,
        "            there = inside & (h < height) & (q < width)\n            at = r_at",
        "            there = inside & (h < height)\n            at = r_at",
        killer="conv2d_dgrad-depthwise",
    ),
    Mutant(
        DEPTHWISE,
        "(t // S * steps[2] + t % S * steps[3])",
        "(t % S * steps[2] + t // S * steps[3])",
        killer="conv2d_fprop-depthwise_dilated",
    ),
    Mutant(
        DEPTHWISE,
        "first_r * DILATION_H + reached(H, i)",
        "first_r + reached(H, i)",
        killer="conv2d_wgrad-depthwise_4x6_uneven",
    ),
    Mutant(
        GROUPED,
        "    diagonal = (deep // DEEP)[:, None] == (wide // WIDE)[None, :]\n"
        "    diagonal = diagonal & deep_inside",
        "    diagonal = (deep // DEEP)[:, None] >= (wide // WIDE)[None, :]\n"
        "    diagonal = diagonal & deep_inside",
        killer="conv2d_fprop-grouped",
    ),
    Mutant(
        GROUPED,
        "t // columns * h_stride, first_s",
        "t // columns, first_s",
        killer="conv2d_dgrad-grouped_stride_2",
    ),
    Mutant(
        SUMS,
        "(slice < slices)[:, None] & inside[None, :]",
        "(slice <= slices)[:, None] & inside[None, :]",
        killer="conv2d_wgrad-depthwise_multiplier",
    ),
    Mutant(
        RESPONSE,
        "SIZE, j - (SIZE - 1) // 2, ACC,",
        "SIZE, j - SIZE // 2, ACC,",
        killer="local_response_norm_dgrad-even_window",
    ),
    Mutant(
        RESIZE,
        "source, counts = _source(table, table_steps, p, t, p < height)",
        "source, counts = _source(table, table_steps, p, 0, p < height)",
        killer="resize2d_fprop-bilinear_antialiased",
    ),
    Mutant(
        RESIZE,
        "mask=inside, other=0) != 0)",
        "mask=inside, other=0) == 0)",
        killer="resize2d_dgrad-nearest_uneven",
    ),
]
