"""What the elementwise functions are made of: one-operand and two-operand ops, casts, promotion,
in-place forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .. import array, dtypes
from ..array import Array
from ..autograd import Function, is_grad_enabled, wrap
from ..dispatch import run, run_array
from ..dtypes import FLOATING, HALVES, bool_, category, result_type, scalar_dtype
from ..geometry import ElementwiseGeometry, elementwise_geometry
from ..tensor import Tensor
from ._common import check_tensor, unbroadcast

Number = (bool, int, float, np.bool_, np.integer, np.floating)


def pointwise(
    op: str, *arrays: Array, parameters: tuple[float, ...] = (), dtype: np.dtype | None = None
) -> Array:
    """op(*arrays) in a new array: the layout of the first that has the broadcast shape, its dtype
    unless given."""
    geometry = _geometry(op, parameters) if parameters else elementwise_geometry(op)
    shape = array.broadcast_shapes(*[a.shape for a in arrays])
    dtype = arrays[0].dtype if dtype is None else dtype
    for a in arrays:
        if a.shape == shape:
            out = array.empty_like(a, dtype)
            break
    else:
        out = array.empty_for(arrays, shape, dtype)
    return run("elementwise", *arrays, out=out, geometry=geometry)


def _geometry(op: str, parameters: tuple[float, ...]) -> ElementwiseGeometry:
    """The cached geometry; the signs of zeros count, though -0.0 == 0.0."""
    if 0.0 in parameters:
        return _signed_geometry(op, parameters, tuple([math.copysign(1.0, p) for p in parameters]))
    return elementwise_geometry(op, parameters)


@lru_cache(maxsize=256)
def _signed_geometry(
    op: str, parameters: tuple[float, ...], signs: tuple[float, ...]
) -> ElementwiseGeometry:
    return ElementwiseGeometry(op, parameters)


# --- one operand ----------------------------------------------------------------------------------

# ops whose gradient is another op on dy alone, with the same parameters; "" is the identity
LINEAR = {
    "neg": "neg",
    "add_scalar": "",
    "mul_scalar": "mul_scalar",
    "div_scalar": "div_scalar",
    "rsub_scalar": "neg",
}
STEPS = frozenset(("sign", "floor", "ceil", "trunc", "round"))  # flat wherever they have a slope


class Unary(Function):
    """y = op(x; parameters); its gradient is the op `<op>_dgrad` on dy and what `keep` names, "x"
    or "y"."""

    op: str
    parameters: tuple[float, ...] = ()
    keep = "x"

    @property
    def name(self) -> str:
        return "".join(part.capitalize() for part in self.op.split("_")) + "Backward"

    def forward(self, x: Array) -> Array:
        y = array.empty_like(x)
        run("elementwise", x, out=y, geometry=_geometry(self.op, self.parameters))
        if self.keep == "x":
            self.retain(x)
        elif self.keep == "y":
            self.retain(y)
        return y

    def backward(self, dy: Array) -> Array:
        if self.op in STEPS:
            return zeros_like(dy)
        if self.op in LINEAR:
            op = LINEAR[self.op]
            if not op:
                return dy
            return pointwise(op, dy, parameters=() if op == "neg" else self.parameters)
        return pointwise(f"{self.op}_dgrad", dy, *self.retained, parameters=self.parameters)


def unary(op: str, x: Tensor, parameters: tuple[float, ...] = (), keep: str = "x") -> Tensor:
    """op(x; parameters) in x's dtype. `keep` names what the gradient is computed from: "x", "y", or
    "" for neither."""
    try:
        a = x._data
        recording = x.requires_grad
    except AttributeError:
        check_tensor(x, "input", op)
        raise
    if recording and is_grad_enabled():
        return Unary(op=op, parameters=parameters, keep=keep)(x)
    out = array.empty_like(a)
    geometry = _geometry(op, parameters) if parameters else elementwise_geometry(op)
    run("elementwise", a, out=out, geometry=geometry)
    return wrap(out)


def unary_(op: str, x: Tensor, parameters: tuple[float, ...] = (), keep: str = "x") -> Tensor:
    """x <- op(x; parameters), directly in x's memory unless it is recorded."""
    check_tensor(x, "input", op)
    if x.requires_grad and is_grad_enabled():
        return x.inplace(lambda t: unary(op, t, parameters, keep))
    x.check_inplace()
    run("elementwise", x._data, out=x._data, geometry=_geometry(op, parameters))
    x.edited(None)
    return x


def predicate(op: str, x: Tensor) -> Tensor:
    """A bool tensor op(x), never recorded."""
    check_tensor(x, "input", op)
    return wrap(pointwise(op, x._data, dtype=bool_))


def as_floating(x: Any, op: str) -> Tensor:
    """x, an integer or bool tensor cast to the default dtype."""
    check_tensor(x, "input", op)
    return x if x._data.dtype in FLOATING else cast(x, dtypes.get_default_dtype())


def zeros_like(a: Array) -> Array:
    out = array.empty_like(a)
    out[...] = 0
    return out


def scalar_array(number: float, like: Array) -> Array:
    """A zero-dimensional array in like's dtype, on its device."""
    out = array.empty((), like.dtype, device=array.device_of(like))
    out[...] = number
    return out


# --- casts ----------------------------------------------------------------------------------------


def cast_array(a: Array, dtype: np.dtype) -> Array:
    """A copy of `a` in another dtype, in its layout."""
    out = array.empty_like(a, dtype)
    with np.errstate(all="ignore"):
        out[...] = a != 0 if dtype == bool_ else a
    return out


class Cast(Function):
    """x in another dtype; the gradient travels back in x's."""

    dtype: np.dtype

    def forward(self, x: Array) -> Array:
        self.source = x.dtype
        return run_array("cast", cast_array, x, self.dtype)

    def backward(self, dy: Array) -> Array:
        return run_array("cast", cast_array, dy, self.source)


def cast(x: Tensor, dtype: np.dtype) -> Tensor:
    """x itself if it has the dtype, else a copy in it."""
    return x if x._data.dtype == dtype else Cast(dtype=dtype)(x)


# --- two operands ---------------------------------------------------------------------------------


class Binary(Function):
    """out = op(a, b; parameters) of operands of one dtype, broadcast against each other.

    Subclasses give the gradients before they are summed over broadcast axes."""

    op: str
    parameters: tuple[float, ...] = ()

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = (a.shape, b.shape)
        if self.recording:
            self.keep(a, b)
        return pointwise(self.op, a, b, parameters=self.parameters)

    def keep(self, a: Array, b: Array) -> None:
        self.retain(a, b)

    def dgrad_a(self, dy: Array) -> Array:
        return pointwise(f"{self.op}_dgrad_a", dy, *self.retained, parameters=self.parameters)

    def dgrad_b(self, dy: Array) -> Array:
        return pointwise(f"{self.op}_dgrad_b", dy, *self.retained, parameters=self.parameters)

    def backward(self, dy: Array) -> tuple[Array | None, Array | None]:
        da = unbroadcast(self.dgrad_a(dy), self.shapes[0]) if self.wants[0] else None
        db = unbroadcast(self.dgrad_b(dy), self.shapes[1]) if self.wants[1] else None
        return da, db


def binary(function: type[Binary], a: Tensor, b: Tensor) -> Tensor:
    """function()(a, b) of operands of one dtype; without a node where nothing is recorded."""
    if (a.requires_grad or b.requires_grad) and is_grad_enabled():
        return function()(a, b)
    x, y = a._data, b._data
    if x.shape != y.shape:
        return wrap(pointwise(function.op, x, y))
    out = array.empty_like(x)
    run("elementwise", x, y, out=out, geometry=elementwise_geometry(function.op))
    return wrap(out)


def is_number(value: Any) -> bool:
    return isinstance(value, Number)


def scalar_result(dtype: np.dtype, number: Any) -> np.dtype:
    """The dtype of an op between a tensor of `dtype` and a Python number."""
    other = scalar_dtype(number)
    return dtype if category(dtype) >= category(other) else other


def number_tensor(number: Any, dtype: np.dtype, like: Tensor) -> Tensor:
    """A zero-dimensional tensor of `number` on like's device; integers wrap."""
    value = np.asarray(number).astype(dtype)
    return wrap(array.to_device(value, array.device_of(like._data)))


def operand(value: Any, name: str, op: str) -> Any:
    """`value` if it is a Tensor or a number, an array wrapped; TypeError for anything else."""
    if isinstance(value, Tensor) or is_number(value):
        return value
    if array.is_array(value):
        dtypes.as_dtype(value.dtype)
        return wrap(value)
    raise TypeError(
        f"{op}(): argument '{name}' must be Tensor or Number, not {type(value).__name__}"
    )


def promoted(a: Any, b: Any, op: str, dtype: np.dtype | None = None) -> tuple[Tensor, Tensor]:
    """Both operands as tensors of their common dtype (or `dtype`) on one device. At least one is a
    Tensor."""
    a, b = operand(a, "input", op), operand(b, "other", op)
    if dtype is None:
        dtype = result_type(a, b)
    if not isinstance(b, Tensor):
        if not isinstance(a, Tensor):
            raise TypeError(f"{op}(): argument 'input' must be Tensor, not {type(a).__name__}")
        return cast(a, dtype), number_tensor(b, dtype, a)
    if not isinstance(a, Tensor):
        return number_tensor(a, dtype, b), cast(b, dtype)
    if array.device_of(a._data) != array.device_of(b._data):
        # a single number on the CPU may join tensors on a GPU
        if not a.ndim and not a.is_cuda:
            a = wrap(array.to_device(a._data, b.device))
        elif not b.ndim and not b.is_cuda:
            b = wrap(array.to_device(b._data, a.device))
    return cast(a, dtype), cast(b, dtype)


SCALAR_COMPARISONS = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))


def compare(op: str, a: Any, b: Any) -> Tensor:
    """The bool tensor op(a, b), never recorded; compared in the operands' common dtype."""
    a, b = operand(a, "input", op), operand(b, "other", op)
    if isinstance(a, Tensor) and not isinstance(b, Tensor):
        dtype = scalar_result(a._data.dtype, b)
        if dtype in FLOATING and op in SCALAR_COMPARISONS:
            if dtype in HALVES:
                b = float(np.asarray(b).astype(dtype))  # as the tensor's own elements are rounded
            x = a._data
            if x.dtype != dtype:
                x = cast_array(x, dtype)
            return wrap(pointwise(f"{op}_scalar", x, parameters=(b,), dtype=bool_))
    a, b = promoted(a, b, op)
    return wrap(pointwise(op, a._data, b._data, dtype=bool_))


def may_write_directly(x: Tensor, other: Tensor) -> bool:
    """Whether an elementwise kernel may read `other` while it writes x: they are the same elements
    or disjoint."""
    a, b = x._data, other._data
    if a is b or not array.xp(a, b).may_share_memory(a, b):
        return True
    same = a.shape == b.shape and a.strides == b.strides
    return same and array.data_pointer(a) == array.data_pointer(b)


def binary_(
    x: Tensor,
    other: Any,
    function: Callable[..., Tensor],
    op: str,
    parameters: tuple[float, ...] = (),
) -> Tensor:
    """x <- function(x, other): directly in x's memory where nothing is recorded and no dtype
    changes."""
    recording = is_grad_enabled() and (
        x.requires_grad or (isinstance(other, Tensor) and other.requires_grad)
    )
    if (
        not recording
        and isinstance(other, Tensor)
        and other._data.dtype == x._data.dtype
        and array.broadcast_shapes(x._data.shape, other._data.shape) == x._data.shape
        and may_write_directly(x, other)
    ):
        x.check_inplace()
        geometry = _geometry(op, parameters)
        run("elementwise", x._data, other._data, out=x._data, geometry=geometry)
        x.edited(None)
        return x
    return x.inplace(function, other)


def check_divisor(b: Tensor, op: str) -> None:
    """RuntimeError if an integer divisor on the CPU holds a zero; on a GPU looking would stall the
    stream."""
    if b._data.dtype not in FLOATING and not b.is_cuda:
        if not run_array("all", lambda a: bool(a.all()), b._data):
            raise RuntimeError(f"ZeroDivisionError: {op}(): argument 'other' holds an integer zero")
