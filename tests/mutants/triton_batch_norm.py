"""Faults in the Triton batch normalisation: parts merged wrongly, edges of tiles and slabs."""

from __future__ import annotations

from .harness import Mutant

SUMS = "kernels/batch_norm_sums.py"
APPLY = "kernels/batch_norm.py"
WALK = "kernels/batch_norm_walk.py"

MUTANTS = [
    Mutant(
        SUMS,
        "tl.sum(m2, 1) + tl.sum(count[None, :] * away * away, 1)",
        "tl.sum(m2, 1) + tl.sum(away * away, 1)",
        killer="batch_norm_stats-rows_in_several_blocks",
    ),
    Mutant(
        SUMS,
        "deviation = tl.where(inside, value - mean, 0.0)",
        "deviation = value - mean",
        killer="batch_norm_stats-more_than_a_block",
    ),
    Mutant(
        SUMS,
        "(1.0 / (tile - first + 1).to(ACC))",
        "(1.0 / (tile - first + 2).to(ACC))",
        killer="batch_norm_stats-rows_in_several_blocks",
    ),
    Mutant(
        SUMS,
        "left = pixels - slab.to(tl.int64) * pixels_each",
        "left = pixels + slab.to(tl.int64) * pixels_each",
        killer="batch_norm_stats-rows_in_several_blocks",
    ),
    Mutant(
        SUMS,
        "dead = value * scale[:, None] + shift[:, None] <= 0",
        "dead = value * scale[:, None] <= 0",
        killer="batch_norm_reduce-relu,_odd_planes",
    ),
    Mutant(
        APPLY,
        "gradient - mean_dy[:, None] - value * slope[:, None]",
        "gradient - mean_dy[:, None] + value * slope[:, None]",
        killer="batch_norm_dgrad-odd_planes",
    ),
    Mutant(
        APPLY,
        "y = activate(y, ACTIVATION).to(out.dtype.element_ty)",
        "y = y.to(out.dtype.element_ty)",
        killer="batch_norm_apply-relu",
    ),
    Mutant(
        WALK,
        "tl.minimum(first + tiles_each, tiles)",
        "first + tiles_each + 1",
        killer="batch_norm_reduce-rows_in_several_blocks",
    ),
    Mutant(
        WALK,
        "return channel, channel < channels",
        "return channel, channel <= channels",
        killer="batch_norm_apply-odd_planes",
    ),
]
