"""Matrix products with torch's names: all of them run the primitive `gemm` on views, transposed
where need be.

Both operands have one dtype, integers included; halves are summed in float32. RuntimeError where
shapes do not fit.
"""

from __future__ import annotations

import math
from typing import Any

from .. import array
from ..array import Array
from ..autograd import Function
from ..dispatch import Epilogue, run
from ..dtypes import FLOATING, bool_
from ..geometry import gemm_geometry
from ..tensor import Tensor, tensor_method
from . import elementwise as E
from ._common import check_tensor, sum_over
from ._pointwise import zeros_like


def product(a: Array, b: Array, epilogue: Epilogue | None = None) -> Array:
    """epilogue(a @ b) of (M,K) and (K,N), or of (B,M,K) and (B,K,N), in a new array."""
    flat = a.ndim == 2
    if flat:
        a, b = a.reshape(1, *a.shape), b.reshape(1, *b.shape)
    batch, m, k = a.shape
    n = b.shape[2]
    array.xp(a, b)
    out = array.empty((batch, m, n), a.dtype, device=array.device_of(a))
    run("gemm", a, b, out=out, geometry=gemm_geometry(batch, m, n, k), epilogue=epilogue)
    return out.reshape(m, n) if flat else out


def transposed(a: Array) -> Array:
    """The last two dimensions exchanged, as a view."""
    return a.swapaxes(-1, -2)


class Gemm(Function):
    """out = a @ b + bias + residual, of matrices or batches of them; bias (N,), residual of out's
    shape.

    A residual that is `dropped` is not read; its gradient is 0."""

    dropped = False

    def forward(self, a: Array, b: Array, bias: Array | None, residual: Array | None) -> Array:
        if self.recording:
            self.retain(a if self.wants[1] else None, b if self.wants[0] else None)
        if residual is not None and residual.ndim == 2:
            residual = residual.reshape(1, *residual.shape)
        epilogue = None
        if bias is not None or (residual is not None and not self.dropped):
            epilogue = Epilogue(bias=bias, residual=residual)
        return product(a, b, epilogue)

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        a, b = self.retained
        da = product(dy, transposed(b)) if self.wants[0] else None
        db = product(transposed(a), dy) if self.wants[1] else None
        dbias = None
        if self.wants[2]:
            dbias = sum_over(dy, tuple(range(dy.ndim - 1)), dy.shape[-1:])
        dresidual = None
        if self.wants[3]:
            dresidual = zeros_like(dy) if self.dropped else dy
        return da, db, dbias, dresidual


class Linear(Function):
    """y = x @ w.T + bias over the last axis of x, whose other axes are joined into rows."""

    def forward(self, x: Array, w: Array, bias: Array | None) -> Array:
        if self.recording:
            self.retain(x if self.wants[1] else None, w if self.wants[0] else None)
        self.x_shape = x.shape
        epilogue = None if bias is None else Epilogue(bias=bias)
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        return product(rows, w.T, epilogue).reshape(*x.shape[:-1], w.shape[0])

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        x, w = self.retained
        dy = dy.reshape(math.prod(dy.shape[:-1]), dy.shape[-1])
        dx = dw = db = None
        if self.wants[0]:
            dx = product(dy, w).reshape(self.x_shape)
        if self.wants[1]:
            dw = product(dy.T, x.reshape(dy.shape[0], x.shape[-1]))
        if self.wants[2]:
            db = sum_over(dy, (0,), (dy.shape[1],))
        return dx, dw, db


# --- checks ---------------------------------------------------------------------------------------


def _check(op: str, **operands: Tensor | None) -> None:
    """TypeError unless all are tensors, RuntimeError unless they have one dtype,
    NotImplementedError for bool."""
    first: Tensor | None = None
    for name, t in operands.items():
        if t is None:
            continue
        check_tensor(t, name, op)
        if first is None:
            first = t
        elif t._data.dtype != first._data.dtype:
            raise RuntimeError(
                f"{op}(): expected {' and '.join(operands)} to have the same dtype, "
                f"but got: {first._data.dtype} != {t._data.dtype}"
            )
    if first is not None and first._data.dtype == bool_:
        raise NotImplementedError(f'"{op}" not implemented for dtype bool')


def _check_ndim(t: Tensor, ndim: int, name: str, op: str) -> None:
    if t._data.ndim != ndim:
        kind = {1: "a vector (1D)", 2: "a matrix (2D)", 3: "a 3D tensor"}[ndim]
        raise RuntimeError(f"{op}(): {name} must be {kind}, got {t._data.ndim}D tensor")


def _check_inner(a: Tensor, b: Tensor) -> None:
    (m, k), (k2, n) = a._data.shape, b._data.shape
    if k != k2:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {k2}x{n})")


def _check_batch(a: Tensor, b: Tensor, op: str) -> None:
    _check_ndim(a, 3, "batch1", op)
    _check_ndim(b, 3, "batch2", op)
    (batch, _, k), (batch2, k2, _) = a._data.shape, b._data.shape
    if (batch, k) != (batch2, k2):
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{batch}, {k}] but "
            f"got: [{batch2}, {k2}]."
        )


# --- products -------------------------------------------------------------------------------------


@tensor_method
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """(M,K) @ (K,N) -> (M,N)"""
    _check("mm", input=input, mat2=mat2)
    _check_ndim(input, 2, "input", "mm")
    _check_ndim(mat2, 2, "mat2", "mm")
    _check_inner(input, mat2)
    return Gemm()(input, mat2, None, None)


@tensor_method
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """(B,M,K) @ (B,K,N) -> (B,M,N)"""
    _check("bmm", input=input, mat2=mat2)
    _check_batch(input, mat2, "bmm")
    return Gemm()(input, mat2, None, None)


@tensor_method
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """(M,K) @ (K,) -> (M,)"""
    _check("mv", input=input, vec=vec)
    _check_ndim(input, 2, "input", "mv")
    _check_ndim(vec, 1, "vec", "mv")
    if input.shape[1] != vec.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input.shape[0]}x{input.shape[1]}), vec ({vec.shape[0]})"
        )
    return mm(input, vec.unsqueeze(1)).squeeze(1)


@tensor_method
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors, zero-dimensional."""
    _check("dot", input=input, tensor=tensor)
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.shape != tensor.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {list(input.shape)} and src "
            f"{list(tensor.shape)} to have the same number of elements, but got {input.numel()} "
            f"and {tensor.numel()} elements respectively"
        )
    return mm(input.unsqueeze(0), tensor.unsqueeze(1)).reshape(())


@tensor_method
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """out[i, j] = input[i] * vec2[j]"""
    for name, v in (("input", input), ("vec2", vec2)):
        check_tensor(v, name, "outer")
        if v.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {v.ndim}-D")
    return E.mul(input.unsqueeze(1), vec2)


@tensor_method
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product over the last two dimensions, the others broadcast; a vector is a row on the
    left, a column on the right, and its dimension is dropped from the result."""
    _check("matmul", input=input, other=other)
    a, b = input, other
    if not a.ndim or not b.ndim:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    if a.ndim == 1 and b.ndim == 1:
        return dot(a, b)
    if a.ndim == 2 and b.ndim == 2:
        _check_inner(a, b)
        return Gemm()(a, b, None, None)
    if b.ndim == 1:
        b = b.unsqueeze(1)
        return matmul(a, b).squeeze(-1)
    if a.ndim == 1:
        return matmul(a.unsqueeze(0), b).squeeze(-2)
    if b.ndim == 2:
        rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
        return mm(rows, b).reshape(*a.shape[:-1], b.shape[1])
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [..., {a.shape[-1]}] "
            f"but got: [..., {b.shape[-2]}]."
        )
    batch = array.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = math.prod(batch)
    a3 = a.expand(*batch, *a.shape[-2:]).reshape(count, *a.shape[-2:])
    b3 = b.expand(*batch, *b.shape[-2:]).reshape(count, *b.shape[-2:])
    return Gemm()(a3, b3, None, None).reshape(*batch, a.shape[-2], b.shape[-1])


def _scaled_sum(input: Tensor, product_of: tuple[Tensor, Tensor], beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * (a @ b), fused where both are 1; input is not read where beta is 0.
    Factors of integers lose their fractions."""
    a, b = product_of
    if a.dtype not in FLOATING:
        beta, alpha = int(beta), int(alpha)
    shape = (*a.shape[:-1], b.shape[-1])
    wide = input.expand(shape)
    if beta == 0:
        out = Gemm(dropped=True)(a, b, None, wide)
        return out if alpha == 1 else E.mul(out, alpha)
    if beta != 1 or alpha != 1:
        return E.add(E.mul(wide, beta), Gemm()(a, b, None, None), alpha=alpha)
    if input.ndim == 1 and input.shape[0] == shape[-1]:
        return Gemm()(a, b, input, None)
    return Gemm()(a, b, None, wide)


@tensor_method
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2); input broadcasts to (M,N)."""
    _check("addmm", input=input, mat1=mat1, mat2=mat2)
    _check_ndim(mat1, 2, "mat1", "addmm")
    _check_ndim(mat2, 2, "mat2", "addmm")
    _check_inner(mat1, mat2)
    return _scaled_sum(input, (mat1, mat2), beta, alpha)


@tensor_method
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """beta * input + alpha * bmm(batch1, batch2); input broadcasts to (B,M,N)."""
    _check("baddbmm", input=input, batch1=batch1, batch2=batch2)
    _check_batch(batch1, batch2, "baddbmm")
    return _scaled_sum(input, (batch1, batch2), beta, alpha)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = input @ weight.T + bias over the last dimension.

    Args:
        input: (*, in_features), any number of leading dimensions.
        weight: (out_features, in_features), or (in_features,) for an output without the last
        dimension. bias: (out_features,), or zero-dimensional with a 1-D weight, or None.
    Returns:
        (*, out_features)
    Raises:
        RuntimeError: sizes or dtypes that do not fit.
    """
    _check("linear", input=input, weight=weight, bias=bias)
    if weight.ndim == 1 and input.ndim:
        y = matmul(input, weight)
        return y if bias is None else E.add(y, bias)
    if weight.ndim != 2 or not input.ndim:
        raise RuntimeError(
            f"linear(): input: got {input.ndim}D, weight: got {weight.ndim}D; expected at least "
            "1D, and 1D or 2D"
        )
    features = weight.shape[0]
    if input.shape[-1] != weight.shape[1]:
        rows = math.prod(input.shape[:-1])
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and "
            f"{weight.shape[1]}x{features})"
        )
    if bias is not None and bias.shape != (features,):
        bias = bias.expand(features)
    return Linear()(input, weight, bias)


@tensor_method(name="__matmul__")
def _matmul_operator(self: Tensor, other: Any) -> Any:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented
