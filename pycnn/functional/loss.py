"""Losses: of class scores (cross_entropy, nll_loss), of pairs of numbers, of probabilities.

`reduction` is "mean", "sum" or "none" everywhere; torch's older `size_average` and `reduce` are
understood, with its warning. The mean over no elements is NaN, as in torch.
"""

from __future__ import annotations

import warnings
from typing import Any

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run, run_array
from ..geometry import elementwise_geometry
from ..tensor import Tensor
from ._class_loss import cross_entropy, nll_loss
from ._common import check_floating, check_tensor
from ._loss_arguments import reduced, reduction_of, refuse_gradient
from ._pointwise import Binary, cast
from .elementwise import absolute, div, mul, sub
from .reduction import sum as sum_of

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


# --- pairs of numbers -----------------------------------------------------------------------------


def _pair(op: str, input: Tensor, target: Tensor, floating: bool = True) -> tuple[Tensor, Tensor]:
    """Both in their common dtype, which must be floating; they broadcast, with torch's warning.

    Without `floating` their dtypes are left alone."""
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
    dtype = dtypes.result_type(input, target)
    if floating and dtype not in dtypes.FLOATING:
        raise NotImplementedError(
            f'"{op}" not implemented for {input.dtype} and {target.dtype}; '
            "expected a floating-point dtype"
        )
    array.broadcast_shapes(input.shape, target.shape)
    return (cast(input, dtype), cast(target, dtype)) if floating else (input, target)


def _weighted(loss: Tensor, weight: Tensor, input: Tensor, op: str) -> Tensor:
    check_tensor(weight, "weight", op)
    if weight.shape != input.shape:
        raise ValueError(
            f"{op}(): Weights and input must have the same size, got {list(weight.shape)} "
            f"and {list(input.shape)}"
        )
    return mul(loss, weight)


def _weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    return div(sum_of(loss), sum_of(weight))


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2, times `weight` of input's shape; the weighted mean divides by the
    weights' sum.

    The shapes broadcast, with a warning where they differ. Integers raise NotImplementedError."""
    input, target = _pair("mse_loss", input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    loss = Binary(op="mse")(input, target)
    if weight is None:
        return reduced(loss, reduction)
    loss = _weighted(loss, weight, input, "mse_loss")
    return _weighted_mean(loss, weight) if reduction == "mean" else reduced(loss, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|, with slope 0 at a tie; shapes and `weight` as in mse_loss."""
    input, target = _pair("l1_loss", input, target, floating=False)
    reduction = reduction_of(reduction, size_average, reduce)
    loss = absolute(sub(input, target))
    if weight is None:
        return reduced(loss, reduction)
    loss = _weighted(loss, weight, input, "l1_loss")
    return _weighted_mean(loss, weight) if reduction == "mean" else reduced(loss, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """z^2 / (2 beta) for z = |input - target| below `beta`, else z - beta / 2; beta = 0 is l1_loss.

    Shapes as in mse_loss. RuntimeError for a negative beta. Source: Girshick 2015,
    arXiv:1504.08083."""
    input, target = _pair("smooth_l1_loss", input, target, floating=beta != 0)
    reduction = reduction_of(reduction, size_average, reduce)
    if beta == 0:
        return reduced(absolute(sub(input, target)), reduction)
    if not beta > 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    return reduced(Binary(op="smooth_l1", parameters=(float(beta),))(input, target), reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """z^2 / 2 for z = |input - target| below `delta`, else delta * (z - delta / 2), times `weight`.

    Shapes as in mse_loss; the mean divides by the number of elements, weighted or not. RuntimeError
    unless delta > 0."""
    a, b = _pair("huber_loss", input, target)
    check_floating(input, "input", "huber_loss")
    reduction = reduction_of(reduction)
    if not delta > 0:
        raise RuntimeError(
            f"huber_loss does not support non-positive values for delta, got {delta}"
        )
    loss = cast(Binary(op="huber", parameters=(float(delta),))(a, b), input.dtype)
    return reduced(
        loss if weight is None else _weighted(loss, weight, input, "huber_loss"), reduction
    )


# --- probabilities --------------------------------------------------------------------------------


def _check_element_weight(op: str, weight: Tensor | None, name: str, shape: Any) -> None:
    """RuntimeError unless the weight broadcasts to `shape` and asks for no gradient."""
    if weight is None:
        return
    refuse_gradient(weight, name, op)
    if array.broadcast_shapes(weight.shape, shape) != shape:
        raise RuntimeError(
            f"{op}(): {name}: shape {list(weight.shape)} does not broadcast to {list(shape)}"
        )


def _outside_unit(a: Array) -> bool:
    """Whether an element is not between 0 and 1; NaN is not."""
    return not bool(((a >= 0) & (a <= 1)).all())


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-t log(x) - (1 - t) log(1 - x) of probabilities x and t, times `weight`; logarithms stop at
    -100.

    Raises:
        ValueError: shapes that differ, an unknown reduction. RuntimeError: dtypes that differ, a
            weight that does not broadcast to the input's shape; on the CPU also a value outside [0,
            1] (NaN included).
    """
    op = "binary_cross_entropy"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    check_floating(input, "input", op)
    if target.dtype != input.dtype:
        raise RuntimeError(f"{op}(): target: found dtype {target.dtype} but expected {input.dtype}")
    _check_element_weight(op, weight, "weight", input.shape)
    for name, t in (("input", input), ("target", target)):
        if not t.is_cuda and run_array("range", _outside_unit, t._data):
            raise RuntimeError(f"{op}(): all elements of {name} should be between 0 and 1")
    loss = Binary(op=op)(input, target)
    if weight is not None:
        loss = mul(loss, cast(weight, input.dtype))
    return reduced(loss, reduction)


class BinaryCrossEntropyWithLogits(Function):
    """-p t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)); the weight p of positive targets has no
    gradient."""

    def forward(self, x: Array, t: Array, pos_weight: Array | None) -> Array:
        self.retain(x, t, pos_weight)
        return self._apply("", x, t, pos_weight)

    def _apply(self, suffix: str, *arrays: Array | None) -> Array:
        given = [a for a in arrays if a is not None]
        geometry = elementwise_geometry("binary_cross_entropy_with_logits" + suffix)
        return run("elementwise", *given, out=array.empty_like(given[0]), geometry=geometry)

    def backward(self, dy: Array) -> tuple[Array | None, Array | None, None]:
        x, t, p = self.retained
        dx = self._apply("_dgrad_a", dy, x, t, p) if self.wants[0] else None
        dt = self._apply("_dgrad_b", dy, x, t, p) if self.wants[1] else None
        return dx, dt, None


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy(sigmoid(input), target) without the overflow; `pos_weight` multiplies
    the part of t.

    Raises:
        ValueError: shapes that differ, an unknown reduction. RuntimeError: an integer target, a
            weight or pos_weight that does not broadcast to the input's shape.
    """
    op = "binary_cross_entropy_with_logits"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    check_floating(input, "input", op)
    if target.dtype not in dtypes.FLOATING:
        raise RuntimeError(f"{op}(): target: expected a floating-point dtype, got {target.dtype}")
    _check_element_weight(op, weight, "weight", input.shape)
    _check_element_weight(op, pos_weight, "pos_weight", input.shape)
    dtype = dtypes.result_type(input, target)
    if pos_weight is not None:
        pos_weight = cast(pos_weight, dtype)
    loss = BinaryCrossEntropyWithLogits()(cast(input, dtype), cast(target, dtype), pos_weight)
    if weight is not None:
        loss = mul(loss, cast(weight, dtype))
    return reduced(loss, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input) of log-probabilities; with `log_target` the target is one too.

    reduction="batchmean" sums and divides by the first size, which is the divergence; "mean"
    divides by the number of elements and warns, as torch does. The shapes broadcast. RuntimeError
    for integers."""
    op = "kl_div"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    legacy = size_average is not None or reduce is not None
    batchmean = reduction == "batchmean" and input.ndim > 0
    if reduction == "mean" and not legacy:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    wanted = "sum" if reduction == "batchmean" else reduction
    wanted = reduction_of(wanted, size_average, reduce)
    for t in (input, target):
        if t.dtype not in dtypes.FLOATING:
            raise RuntimeError(
                f"kl_div: Integral inputs not supported: got {input.dtype} and {target.dtype}"
            )
    array.broadcast_shapes(input.shape, target.shape)
    dtype = dtypes.result_type(input, target)
    function = Binary(op="kl_div_log" if log_target else op)
    loss = reduced(function(cast(input, dtype), cast(target, dtype)), wanted)
    return div(loss, input.shape[0]) if batchmean else loss
