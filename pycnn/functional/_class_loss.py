"""Losses of class scores: cross_entropy and nll_loss, by class indices or probabilities."""

from __future__ import annotations

from typing import Any

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run, run_array
from ..geometry import CrossEntropyGeometry, cross_entropy_geometry, reduce_geometry
from ..tensor import Tensor
from ._common import check_floating, check_tensor
from ._loss_arguments import reduction_of, refuse_gradient
from ._pointwise import pointwise
from .elementwise import add, div, mul, neg
from .reduction import sum as sum_of
from .softmax import log_softmax


def _scalar_like(a: Array, dtype: Any) -> Array:
    return array.empty((), dtype, device=array.device_of(a))


def _total(a: Array, dtype: Any) -> Array:
    """The sum of all elements as a zero-dimensional array."""
    geometry = reduce_geometry("sum", tuple(range(a.ndim)))
    return run("reduce", a, out=_scalar_like(a, dtype), geometry=geometry)


def _class_weights(weight: Array | None, target: Array, ignore_index: int, dtype: Any) -> Array:
    """w[target] in the target's shape, 0 where the target is ignored or outside."""
    xp = array.xp(target, weight)
    classes = None if weight is None else weight.shape[0]
    counts = target != ignore_index
    if weight is None:
        return counts.astype(dtype)
    inside = counts & (target >= 0) & (target < classes)
    return xp.where(inside, weight.astype(dtype)[xp.where(inside, target, 0)], 0).astype(dtype)


def _divisor(weights: Array) -> Array:
    """The sum of the weights; NaN where nothing counts, whatever is divided by it."""
    total = _total(weights, weights.dtype)
    return run_array("where", lambda a: array.xp(a).where(a == 0, a.dtype.type("nan"), a), total)


def _divided(a: Array, b: Array, dtype: Any) -> Array:
    return pointwise("div", a, b, dtype=dtype)


class CrossEntropy(Function):
    """Softmax cross entropy of logits (N,C,*) with class indices (N,*), reduced; one kernel each
    way.

    The mean divides by the weights of the targets that count. Sums are kept in the accumulation
    dtype."""

    geometry: CrossEntropyGeometry
    reduction: str

    def forward(self, x: Array, target: Array, weight: Array | None) -> Array:
        dtype = dtypes.accumulation_dtype(x.dtype)
        device = array.device_of(x)
        loss = array.empty(
            target.shape, x.dtype if self.reduction == "none" else dtype, device=device
        )
        logsumexp = array.empty(target.shape, dtype, device=device)
        run(
            "softmax_cross_entropy_fprop",
            x,
            target,
            weight,
            out=(loss, logsumexp),
            geometry=self.geometry,
        )
        divisor = None
        if self.reduction == "mean":
            weights = run_array(
                "take", _class_weights, weight, target, self.geometry.ignore_index, dtype
            )
            divisor = _divisor(weights)
        self.retain(x, target, weight, logsumexp, divisor)
        if self.reduction == "none":
            return loss
        if divisor is None:
            return _total(loss, x.dtype)
        return _divided(_total(loss, dtype), divisor, x.dtype)

    def backward(self, dy: Array) -> tuple[Array, None, None]:
        x, target, weight, logsumexp, divisor = self.retained
        dloss = dy if divisor is None else _divided(dy, divisor, divisor.dtype)
        dx = run(
            "softmax_cross_entropy_dgrad",
            array.xp(dloss).broadcast_to(dloss, target.shape),
            x,
            target,
            weight,
            logsumexp,
            out=array.empty_like(x),
            geometry=self.geometry,
        )
        return dx, None, None


class NegativeLogLikelihood(Function):
    """-w[t] * x[n, t, *] of log-probabilities, reduced; targets equal to `ignore_index` give 0."""

    ignore_index: int
    reduction: str

    def forward(self, x: Array, target: Array, weight: Array | None) -> Array:
        dtype = dtypes.accumulation_dtype(x.dtype)
        self.shape = x.shape
        factor = run_array("take", _class_weights, weight, target, self.ignore_index, dtype)
        picked = run_array("gather", _pick, x, target, self.ignore_index)
        loss = pointwise("mul", pointwise("neg", picked), factor.astype(x.dtype))
        divisor = _divisor(factor) if self.reduction == "mean" else None
        # x is retained for its layout alone: the gradient has it
        self.retain(x, target, factor, divisor)
        if self.reduction == "none":
            return loss
        if divisor is None:
            return _total(loss, x.dtype)
        return _divided(_total(loss, dtype), divisor, x.dtype)

    def backward(self, dy: Array) -> tuple[Array, None, None]:
        x, target, factor, divisor = self.retained
        dloss = dy if divisor is None else _divided(dy, divisor, divisor.dtype)
        dpicked = pointwise("neg", pointwise("mul", factor, dloss.astype(factor.dtype)))
        return run_array("scatter", _put, x, target, dpicked, self.ignore_index), None, None


def _safe(target: Array, classes: int, ignore_index: int) -> tuple[Array, Array]:
    """Targets with a class axis, made safe to index with, and which of them count."""
    xp = array.xp(target)
    target = xp.expand_dims(target, 1).astype("int64")
    counts = (target != ignore_index) & (target >= 0) & (target < classes)
    return xp.where(counts, target, 0), counts


def _pick(x: Array, target: Array, ignore_index: int) -> Array:
    """x[n, target[n,*], *], 0 where the target does not count."""
    xp = array.xp(x)
    if not x.shape[1]:
        return xp.zeros(target.shape, x.dtype)
    index, counts = _safe(target, x.shape[1], ignore_index)
    picked = xp.take_along_axis(x, index, 1)
    return xp.where(counts, picked, xp.zeros((), x.dtype)).squeeze(1)


def _put(x: Array, target: Array, values: Array, ignore_index: int) -> Array:
    """Zeros of x's shape and layout with `values` at the target classes."""
    xp = array.xp(x)
    out = array.empty_like(x)
    out[...] = 0
    if x.shape[1]:
        index, counts = _safe(target, x.shape[1], ignore_index)
        values = xp.where(counts, xp.expand_dims(values, 1), 0).astype(x.dtype)
        xp.put_along_axis(out, index, values, 1)
    return out


def _check_classes(
    op: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> None:
    """Shapes, dtypes of class indices; IndexError for a class outside [0, C), on the CPU only."""
    array.xp(input._data, target._data)
    if not input.ndim:
        raise ValueError(f"{op}(): Expected 1 or more dimensions (got 0)")
    shape, wanted = target.shape, (input.shape[0], *input.shape[2:])
    if input.ndim == 1:
        if shape not in ((), (1,)):
            raise ValueError(
                f"{op}(): For 1D input, 1D target must have size 1, "
                f"but got target size: {list(shape)}"
            )
    elif not shape or shape[0] != input.shape[0]:
        raise ValueError(
            f"{op}(): Expected input batch_size ({input.shape[0]}) to match target batch_size "
            f"({shape[0] if shape else 0})."
        )
    elif shape != wanted:
        raise RuntimeError(f"{op}(): Expected target size {list(wanted)}, got {list(shape)}")
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"{op}(): target: expected dtype int64 (or uint8) for class indices, "
            f"but got {target.dtype}"
        )
    check_floating(input, "input", op)
    classes = input.shape[min(input.ndim - 1, 1)]
    _check_class_weight(op, weight, classes)
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            f"{op}(): weight: expected dtype {input.dtype}, as input's, but got {weight.dtype}"
        )
    refuse_gradient(weight, "weight", op)
    if not target.is_cuda:
        wrong = run_array("range", _first_outside, target._data, classes, ignore_index)
        if wrong is not None:
            raise IndexError(
                f"{op}(): Target {wrong} is out of bounds: expected 0 to {classes - 1}"
            )


def _check_class_weight(op: str, weight: Tensor | None, classes: int) -> None:
    if weight is None:
        return
    check_tensor(weight, "weight", op)
    if weight.shape != (classes,):
        raise RuntimeError(
            f"{op}(): weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(weight.shape)}"
        )


def _first_outside(target: Array, classes: int, ignore_index: int) -> int | None:
    """The first class outside [0, classes) that is not ignored."""
    wrong = target[((target < 0) | (target >= classes)) & (target != ignore_index)]
    return int(wrong[0]) if wrong.size else None


def _over_classes(function: Function, input: Tensor, target: Tensor, weight: Any) -> Tensor:
    """function on (N,C,*) and (N,*); one sample (C,) becomes a batch of one and gives a number."""
    if input.ndim > 1:
        return function(input, target, weight)
    return function(input.unsqueeze(0), target.reshape(1), weight).reshape(())


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-sum_c w_c q_c log softmax(input)_c, where q is the target distribution.

    Args:
        input: logits (C,), (N, C) or (N, C, ...); floating point.
        target: class indices (int64, uint8) of input's shape without C, or probabilities of input's
            shape.
        weight: (C,), one factor per class, or None. It has a gradient only with probabilities.
        ignore_index: a class index that does not count, neither in the sum nor in what the mean
            divides by.
        reduction: "mean" divides by the weights of the targets that count; with probabilities, by
            the number of targets.
        label_smoothing: in [0, 1]: q becomes (1 - s) * q + s / C.
    Returns:
        A number, or with reduction="none" the losses in the shape of the class indices.
    Raises:
        ValueError: batch sizes that differ, an unknown reduction.
        IndexError: a class outside [0, C), on the CPU; on a GPU, where looking would wait for it,
            the loss is NaN.
        RuntimeError: other shapes and dtypes.
    Source: label smoothing: Szegedy et al. 2016, arXiv:1512.00567.
    """
    op = "cross_entropy"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    reduction = reduction_of(reduction, size_average, reduce)
    smoothing = float(label_smoothing)
    if not 0.0 <= smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.shape == input.shape:
        return _probability_cross_entropy(input, target, weight, reduction, ignore_index, smoothing)
    if input.ndim == 0:
        raise IndexError(f"{op}(): input: got 0 dimensions, expected (C,), (N, C) or (N, C, ...)")
    _check_classes(op, input, target, weight, ignore_index)
    geometry = cross_entropy_geometry(ignore_index, smoothing, weight is not None)
    return _over_classes(
        CrossEntropy(geometry=geometry, reduction=reduction), input, target, weight
    )


def _probability_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    ignore_index: int,
    smoothing: float,
) -> Tensor:
    op = "cross_entropy"
    if target.dtype not in dtypes.FLOATING:
        raise RuntimeError(
            f"{op}(): Expected floating point type for target with class probabilities, "
            f"got {target.dtype}"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"{op}(): ignore_index is not supported for floating point target, got {ignore_index}"
        )
    check_floating(input, "input", op)
    axis = 0 if input.ndim <= 1 else 1
    classes = input.shape[axis] if input.ndim else 1
    _check_class_weight(op, weight, classes)
    if smoothing:
        target = add(mul(target, 1 - smoothing), smoothing / max(classes, 1))
    product = mul(log_softmax(input, axis), target)
    if weight is not None:
        shape = tuple(-1 if i == axis else 1 for i in range(input.ndim))
        product = mul(product, weight.reshape(shape))
    if reduction == "none":
        return neg(sum_of(product, axis))
    if reduction == "sum":
        return neg(sum_of(product))
    rows = input.numel() // classes if classes else 0
    return div(neg(sum_of(product)), rows)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] * input[n, t, ...] of log-probabilities (N, C, ...) and class indices (N, ...).

    Arguments, results and errors are cross_entropy's for class indices; no softmax is taken."""
    op = "nll_loss"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    reduction = reduction_of(reduction, size_average, reduce)
    _check_classes(op, input, target, weight, ignore_index)
    function = NegativeLogLikelihood(ignore_index=ignore_index, reduction=reduction)
    return _over_classes(function, input, target, weight)
