"""What the losses have in common: the reduction asked for, and weights that take no gradient."""

from __future__ import annotations

import warnings
from typing import Any

from ..tensor import Tensor
from ._common import check_tensor
from .reduction import mean, sum

REDUCTIONS = ("none", "mean", "sum")


def reduction_of(reduction: Any, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction asked for, by the older arguments too, with a warning. ValueError if
    unknown."""
    if size_average is not None or reduce is not None:
        whole = reduce is None or reduce
        averaged = size_average is None or size_average
        reduction = ("mean" if averaged else "sum") if whole else "none"
        warnings.warn(
            "size_average and reduce args will be deprecated, "
            f"please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction, expected one of {REDUCTIONS}"
        )
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """All losses, or their mean or sum."""
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def refuse_gradient(t: Tensor | None, name: str, op: str) -> None:
    """RuntimeError if a weight that has no gradient asks for one."""
    if t is None:
        return
    check_tensor(t, name, op)
    if t.requires_grad:
        raise RuntimeError(
            f"The function '{op}' is not differentiable with respect to argument '{name}'. "
            "This input cannot have requires_grad True."
        )
