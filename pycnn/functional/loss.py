"""Losses: of class scores (cross_entropy, nll_loss), of pairs of numbers (mse_loss, l1_loss ...), of probabilities.

`reduction` is "mean", "sum" or "none" everywhere; torch's older `size_average` and `reduce` are understood, with its
warning. A batch of no elements has the mean NaN, as in torch.
"""

from __future__ import annotations

import warnings
from typing import Any

from .. import array, dtypes
from ..array import Array
from ..autograd import Function
from ..dispatch import run, run_array
from ..geometry import (
    CrossEntropyGeometry,
    cross_entropy_geometry,
    elementwise_geometry,
    reduce_geometry,
)
from ..tensor import Tensor
from ._common import check_floating, check_tensor, unbroadcast
from ._pointwise import Binary, cast, pointwise
from .reduction import mean as mean_of
from .reduction import sum as sum_of
from .softmax import log_softmax

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

REDUCTIONS = ("none", "mean", "sum")


def _reduction(reduction: Any, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction asked for. ValueError for an unknown one; a warning where the older arguments say it."""
    if size_average is not None or reduce is not None:
        whole = reduce is None or reduce
        averaged = size_average is None or size_average
        reduction = ("mean" if averaged else "sum") if whole else "none"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction, expected one of {REDUCTIONS}"
        )
    return reduction


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    return loss if reduction == "none" else mean_of(loss) if reduction == "mean" else sum_of(loss)


def _constant(t: Tensor | None, name: str, op: str) -> None:
    """RuntimeError if a weight that has no gradient asks for one."""
    if t is None:
        return
    check_tensor(t, name, op)
    if t.requires_grad:
        raise RuntimeError(
            f"The function '{op}' is not differentiable with respect to argument '{name}'. "
            "This input cannot have requires_grad True."
        )


# --- classes --------------------------------------------------------------------------------------


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


def _divided(a: Array, b: Array, dtype: Any) -> Array:
    return pointwise("div", a, b, dtype=dtype)


class CrossEntropy(Function):
    """Softmax cross entropy of logits (N,C,*) with class indices (N,*), reduced; one kernel each way.

    The mean divides by the weights of the targets that count. Sums are kept in the accumulation dtype."""

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
            divisor = _total(weights, dtype)
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
        divisor = _total(factor, dtype) if self.reduction == "mean" else None
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
    """Shapes and dtypes of class indices; IndexError for a class outside [0, C), looked for on the CPU only."""
    array.xp(input._data, target._data)
    if not input.ndim:
        raise ValueError(f"{op}(): Expected 1 or more dimensions (got 0)")
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"{op}(): target: expected dtype int64 (or uint8) for class indices, but got {target.dtype}"
        )
    check_floating(input, "input", op)
    shape, wanted = target.shape, (input.shape[0], *input.shape[2:])
    if input.ndim == 1:
        if shape not in ((), (1,)):
            raise ValueError(
                f"{op}(): For 1D input, 1D target must have size 1, but got target size: {list(shape)}"
            )
    elif not shape or shape[0] != input.shape[0]:
        raise ValueError(
            f"{op}(): Expected input batch_size ({input.shape[0]}) to match target batch_size "
            f"({shape[0] if shape else 0})."
        )
    elif shape != wanted:
        raise RuntimeError(f"{op}(): Expected target size {list(wanted)}, got {list(shape)}")
    classes = input.shape[min(input.ndim - 1, 1)]
    _check_class_weight(op, weight, classes)
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            f"{op}(): weight: expected dtype {input.dtype}, as input's, but got {weight.dtype}"
        )
    _constant(weight, "weight", op)
    if not target.is_cuda:
        wrong = run_array("range", _first_outside, target._data, classes, ignore_index)
        if wrong is not None:
            raise IndexError(f"{op}(): Target {wrong} is out of bounds: expected 0 to {classes - 1}")


def _check_class_weight(op: str, weight: Tensor | None, classes: int) -> None:
    if weight is None:
        return
    check_tensor(weight, "weight", op)
    if weight.shape != (classes,):
        raise RuntimeError(
            f"{op}(): weight tensor should be defined either for all {classes} classes or no classes "
            f"but got weight tensor of shape: {list(weight.shape)}"
        )


def _first_outside(target: Array, classes: int, ignore_index: int) -> int | None:
    """The first class outside [0, classes) that is not ignored."""
    wrong = target[((target < 0) | (target >= classes)) & (target != ignore_index)]
    return int(wrong[0]) if wrong.size else None


def _over_classes(function: Function, input: Tensor, target: Tensor, weight: Any) -> Tensor:
    """function on (N,C,*) and (N,*); one unbatched sample (C,) becomes a batch of one and gives a number."""
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
        target: class indices (int64, uint8) of input's shape without C, or probabilities of input's shape.
        weight: (C,), one factor per class, or None. It has a gradient only with probabilities.
        ignore_index: a class index that does not count, neither in the sum nor in what the mean divides by.
        reduction: "mean" divides by the weights of the targets that count, with probabilities by N * ...
        label_smoothing: in [0, 1]: q becomes (1 - s) * q + s / C.
    Returns:
        A number, or with reduction="none" the losses in the shape of the class indices.
    Raises:
        ValueError: batch sizes that differ, an unknown reduction. IndexError: a class outside [0, C), on the CPU;
            on a GPU, where looking would wait for it, the loss is NaN. RuntimeError: other shapes and dtypes.
    Source: label smoothing: Szegedy et al. 2016, arXiv:1512.00567.
    """
    op = "cross_entropy"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    reduction = _reduction(reduction, size_average, reduce)
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
            f"{op}(): Expected floating point type for target with class probabilities, got {target.dtype}"
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
        target = target * (1 - smoothing) + smoothing / max(classes, 1)
    product = log_softmax(input, axis) * target
    if weight is not None:
        product = product * weight.reshape(*(-1 if i == axis else 1 for i in range(input.ndim)))
    if reduction == "none":
        return -sum_of(product, axis)
    if reduction == "sum":
        return -sum_of(product)
    rows = input.numel() // classes if classes else 0
    return -sum_of(product) / rows if rows else mean_of(product)


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
    reduction = _reduction(reduction, size_average, reduce)
    _check_classes(op, input, target, weight, ignore_index)
    function = NegativeLogLikelihood(ignore_index=ignore_index, reduction=reduction)
    return _over_classes(function, input, target, weight)


# --- pairs of numbers -----------------------------------------------------------------------------


def _pair(op: str, input: Tensor, target: Tensor, floating: bool = True) -> tuple[Tensor, Tensor]:
    """Both in their common dtype, which must be floating; they broadcast, with torch's warning."""
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
    dtype = dtypes.result_type(input, target)
    if floating and dtype not in dtypes.FLOATING:
        raise NotImplementedError(
            f'"{op}" not implemented for {input.dtype} and {target.dtype}; expected a floating-point dtype'
        )
    array.broadcast_shapes(input.shape, target.shape)
    return cast(input, dtype), cast(target, dtype)


def _weighted(loss: Tensor, weight: Tensor, input: Tensor, op: str) -> Tensor:
    check_tensor(weight, "weight", op)
    if weight.shape != input.shape:
        raise ValueError(
            f"{op}(): Weights and input must have the same size, got {list(weight.shape)} "
            f"and {list(input.shape)}"
        )
    return loss * weight


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2, times `weight` of input's shape; the weighted mean divides by the weights' sum.

    The shapes broadcast, with a warning where they differ. Integers raise NotImplementedError."""
    input, target = _pair("mse_loss", input, target)
    reduction = _reduction(reduction, size_average, reduce)
    loss = Binary(op="mse")(input, target)
    if weight is None:
        return _reduced(loss, reduction)
    loss = _weighted(loss, weight, input, "mse_loss")
    return sum_of(loss) / sum_of(weight) if reduction == "mean" else _reduced(loss, reduction)


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
    reduction = _reduction(reduction, size_average, reduce)
    loss = (input - target).abs()
    if weight is None:
        return _reduced(loss, reduction)
    loss = _weighted(loss, weight, input, "l1_loss")
    return sum_of(loss) / sum_of(weight) if reduction == "mean" else _reduced(loss, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """z^2 / (2 beta) for z = |input - target| below `beta`, else z - beta / 2; beta = 0 is l1_loss.

    Shapes as in mse_loss. RuntimeError for a negative beta. Source: Girshick 2015, arXiv:1504.08083."""
    input, target = _pair("smooth_l1_loss", input, target, floating=beta != 0)
    reduction = _reduction(reduction, size_average, reduce)
    if beta == 0:
        return _reduced((input - target).abs(), reduction)
    if not beta > 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    return _reduced(Binary(op="smooth_l1", parameters=(float(beta),))(input, target), reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """z^2 / 2 for z = |input - target| below `delta`, else delta * (z - delta / 2), times `weight`.

    Shapes as in mse_loss; the mean divides by the number of elements, weighted or not. RuntimeError unless delta > 0.
    """
    input, target = _pair("huber_loss", input, target)
    reduction = _reduction(reduction)
    if not delta > 0:
        raise RuntimeError(
            f"huber_loss does not support non-positive values for delta, got {delta}"
        )
    loss = Binary(op="huber", parameters=(float(delta),))(input, target)
    return _reduced(
        loss if weight is None else _weighted(loss, weight, input, "huber_loss"), reduction
    )


# --- probabilities --------------------------------------------------------------------------------


def _check_element_weight(op: str, weight: Tensor | None, name: str, shape: Any) -> None:
    """RuntimeError unless the weight broadcasts to `shape` and asks for no gradient."""
    if weight is None:
        return
    _constant(weight, name, op)
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
    """-t log(x) - (1 - t) log(1 - x) of probabilities x and t, times `weight`; logarithms stop at -100.

    Raises:
        ValueError: shapes that differ, an unknown reduction. RuntimeError: dtypes that differ, a weight that does not
            broadcast to the input's shape; on the CPU also a value outside [0, 1] (NaN included).
    """
    op = "binary_cross_entropy"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    reduction = _reduction(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
            "deprecated. Please ensure they have the same size."
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
        loss = loss * cast(weight, input.dtype)
    return _reduced(loss, reduction)


class BinaryCrossEntropyWithLogits(Function):
    """-p t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)); the weight p of positive targets has no gradient."""

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
    """binary_cross_entropy(sigmoid(input), target) without the overflow; `pos_weight` multiplies the part of t.

    Raises:
        ValueError: shapes that differ, an unknown reduction. RuntimeError: an integer target, a weight or pos_weight
            that does not broadcast to the input's shape.
    """
    op = "binary_cross_entropy_with_logits"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    reduction = _reduction(reduction, size_average, reduce)
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
        loss = loss * cast(weight, dtype)
    return _reduced(loss, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input) of log-probabilities; with `log_target` the target is one too.

    reduction="batchmean" sums and divides by the first size, which is the divergence; "mean" divides by the number of
    elements and warns, as torch does. The shapes broadcast. RuntimeError for integers.
    """
    op = "kl_div"
    check_tensor(input, "input", op)
    check_tensor(target, "target", op)
    legacy = size_average is not None or reduce is not None
    batchmean = reduction == "batchmean" and input.ndim > 0
    if reduction == "mean" and not legacy:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    wanted = "sum" if reduction == "batchmean" else reduction
    wanted = _reduction(wanted, size_average, reduce)
    for t in (input, target):
        if t.dtype not in dtypes.FLOATING:
            raise RuntimeError(
                f"kl_div: Integral inputs not supported: got {input.dtype} and {target.dtype}"
            )
    array.broadcast_shapes(input.shape, target.shape)
    dtype = dtypes.result_type(input, target)
    function = Binary(op="kl_div_log" if log_target else op)
    loss = _reduced(function(cast(input, dtype), cast(target, dtype)), wanted)
    if not batchmean:
        return loss
    return loss / input.shape[0] if input.shape[0] else mean_of(input) * loss
