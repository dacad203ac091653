"""Faults in the Triton kernels of pooling, unpooling, concat, softmax and cross entropy."""

from __future__ import annotations

from .harness import Mutant

WINDOWS = "kernels/pool2d_windows.py"
MAX = "kernels/max_pool2d.py"
AVERAGE = "kernels/avg_pool2d.py"
UNPOOL = "kernels/max_unpool2d.py"
CONCAT = "kernels/concat.py"
SOFTMAX = "kernels/softmax.py"
CROSS_ENTROPY = "kernels/softmax_cross_entropy.py"
ORDER = "tests/kernels/test_max_unpool2d_order.py"

MUTANTS = [
    Mutant(MAX, "better = (value > best)", "better = (value >= best)", "max_pool2d_fprop-2x2"),
    Mutant(MAX, " | (value != value)", "", "max_pool2d_fprop-NaN"),
    Mutant(
        MAX, "taken == (r * S + s)[:, None]", "taken == (r + s)[:, None]",
        "max_pool2d_dgrad-2x2_stride_2",
    ),
    Mutant(
        WINDOWS, "tl.maximum(0 - start, 0) + axis[5] - 1", "tl.maximum(0 - start, 0)",
        "max_pool2d_fprop-all_of_them",
    ),
    Mutant(
        WINDOWS, "(tap < taps) & (reach % dilation == 0)", "(tap < taps)",
        "max_pool2d_dgrad-uneven_dilated",
    ),
    Mutant(
        WINDOWS, "return outputs // size + (2 if", "return outputs // size + (1 if",
        "avg_pool2d_dgrad-adaptive_uneven",
    ),
    Mutant(
        AVERAGE, "top, bottom = tl.maximum(top, 0), tl.minimum(bottom, rows[0])\n            left",
        "bottom = tl.minimum(bottom, rows[0])\n            left",
        "avg_pool2d_fprop-pad_not_counted",
    ),
    Mutant(
        AVERAGE, "tap // width * x_steps[2] + tap % width", "tap // width * x_steps[2] + tap",
        "avg_pool2d_fprop-adaptive_global",
    ),
    Mutant(UNPOOL, "order[None, :] > order[:, None]", "order[None, :] < order[:, None]", ORDER),
    Mutant(UNPOOL, "if missing > 0:", "if missing < 0:", f"{ORDER} -k repaired"),
    Mutant(UNPOOL, "BITS, bitcast=True) !=", "BITS) !=", f"{ORDER} -k repaired"),
    Mutant(CONCAT, "        program -= tiles\n", "", "concat-channels"),
    Mutant(
        CONCAT, "tl.cdiv(rows[k], ROWS) * blocks", "tl.cdiv(rows[k], ROWS)", "split-past_a_block",
    ),
    Mutant(
        SOFTMAX, "total * tl.exp(top - base) +", "total +", "softmax_fprop-a_long_row",
    ),
    Mutant(
        SOFTMAX, "gradient if LOG else gradient * value", "gradient", "softmax_dgrad-rows",
    ),
    Mutant(
        CROSS_ENTROPY, "counts = t != ignore", "counts = t != -1",
        "softmax_cross_entropy_fprop-ignored",
    ),
    Mutant(
        CROSS_ENTROPY, "share * (p * tl.sum(weights, 0) - w[None, :])",
        "share * (p - w[None, :])", "softmax_cross_entropy_dgrad-weights_and_smoothing",
    ),
]  # fmt: skip
