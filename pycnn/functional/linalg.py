"""Matrix products with torch's names: all of them run the primitive `gemm` on views, transposed where need be.

Both operands have one dtype, integers included; halves are summed in float32. RuntimeError where shapes do not fit.
"""

from __future__ import annotations

from typing import Any

from .. import array
from ..array import Array
from ..autograd import Function
from ..dispatch import Epilogue, run
from ..dtypes import bool_
from ..geometry import gemm_geometry
from ..tensor import Tensor, tensor_method
from . import elementwise as E
from ._common import check_tensor, sum_over
from ._pointwise import zeros_like

__all__ = [
    "addmm", "baddbmm", "bmm", "dot", "einsum", "linear", "matmul", "mm", "mv", "outer",
]  # fmt: skip


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
    """out = a @ b + bias + residual, of matrices or batches of them; bias (N,), residual of out's shape.

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
        rows = x.reshape(x.size // x.shape[-1] if x.size else _count(x.shape[:-1]), x.shape[-1])
        return product(rows, w.T, epilogue).reshape(*x.shape[:-1], w.shape[0])

    def backward(self, dy: Array) -> tuple[Array | None, ...]:
        x, w = self.retained
        dy = dy.reshape(_count(dy.shape[:-1]), dy.shape[-1])
        dx = dw = db = None
        if self.wants[0]:
            dx = product(dy, w).reshape(self.x_shape)
        if self.wants[1]:
            dw = product(dy.T, x.reshape(dy.shape[0], x.shape[-1]))
        if self.wants[2]:
            db = sum_over(dy, (0,), (dy.shape[1],))
        return dx, dw, db


def _count(shape: tuple[int, ...]) -> int:
    number = 1
    for size in shape:
        number *= size
    return number


# --- checks ---------------------------------------------------------------------------------------


def _check(op: str, **operands: Tensor | None) -> None:
    """TypeError unless all are tensors, RuntimeError unless they have one dtype, NotImplementedError for bool."""
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
            f"Expected size for first two dimensions of batch2 tensor to be: [{batch}, {k}] but got: [{batch2}, {k2}]."
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
        raise RuntimeError(f"size mismatch, got input ({input.shape[0]}x{input.shape[1]}), vec ({vec.shape[0]})")
    return mm(input, vec.unsqueeze(1)).squeeze(1)


@tensor_method
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors, zero-dimensional."""
    _check("dot", input=input, tensor=tensor)
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.shape != tensor.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {list(input.shape)} and src {list(tensor.shape)} to have the "
            f"same number of elements, but got {input.numel()} and {tensor.numel()} elements respectively"
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
    """Matrix product over the last two dimensions, the others broadcast; a vector is a row on the left, a column on
    the right, and its dimension is dropped from the result."""
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
        rows = a.reshape(_count(a.shape[:-1]), a.shape[-1])
        return mm(rows, b).reshape(*a.shape[:-1], b.shape[1])
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [..., {a.shape[-1]}] "
            f"but got: [..., {b.shape[-2]}]."
        )
    batch = array.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = _count(batch)
    a3 = a.expand(*batch, *a.shape[-2:]).reshape(count, *a.shape[-2:])
    b3 = b.expand(*batch, *b.shape[-2:]).reshape(count, *b.shape[-2:])
    return Gemm()(a3, b3, None, None).reshape(*batch, a.shape[-2], b.shape[-1])


def _scaled_sum(input: Tensor, product_of: tuple[Tensor, Tensor], beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * (a @ b), fused where both are 1; input is not read where beta is 0."""
    a, b = product_of
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
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * bmm(batch1, batch2); input broadcasts to (B,M,N)."""
    _check("baddbmm", input=input, batch1=batch1, batch2=batch2)
    _check_batch(batch1, batch2, "baddbmm")
    return _scaled_sum(input, (batch1, batch2), beta, alpha)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = input @ weight.T + bias over the last dimension.

    Args:
        input: (*, in_features), any number of leading dimensions.
        weight: (out_features, in_features), or (in_features,) for an output without the last dimension.
        bias: (out_features,), or zero-dimensional with a 1-D weight, or None.
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
            f"linear(): input: got {input.ndim}D, weight: got {weight.ndim}D; expected at least 1D, and 1D or 2D"
        )
    features = weight.shape[0]
    if input.shape[-1] != weight.shape[1]:
        rows = _count(input.shape[:-1])
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and {weight.shape[1]}x{features})"
        )
    if bias is not None and bias.shape != (features,):
        bias = bias.expand(features)
    return Linear()(input, weight, bias)


# --- einsum ---------------------------------------------------------------------------------------

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
Labels = list[Any]  # letters, and (i,) for the i-th dimension under the ellipsis, counted from the back


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products by Einstein's convention: einsum("bij,bjk->bik", x, y).

    A label in the output is kept, every other is summed; without "->" the output has the labels that occur once, in
    alphabetical order. "..." stands for dimensions that broadcast; a label repeated in one operand takes its
    diagonal. Operands are contracted from left to right. Also einsum(x, [0, 1], y, [1, 2], [0, 2]).
    RuntimeError for an equation that is malformed or does not fit the operands, ValueError without operands."""
    if isinstance(equation, Tensor):
        equation, operands = _from_sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    for x in operands:
        check_tensor(x, "operands", "einsum")
    if not operands:
        raise ValueError("einsum(): must provide at least one operand")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(
            f"einsum(): the equation names {len(terms)} operands, but {len(operands)} were given"
        )
    labels = [_labels(term, x.ndim) for term, x in zip(terms, operands, strict=True)]
    hidden = sorted({label for known in labels for label in known if isinstance(label, tuple)}, reverse=True)
    if arrow:
        output = _output_labels(right, hidden, {label for known in labels for label in known})
    else:
        every = [label for known in labels for label in known if isinstance(label, str)]
        output = [*hidden, *sorted(label for label in set(every) if every.count(label) == 1)]
    sizes = _sizes(labels, operands)
    parts = [_diagonals(x, known) for x, known in zip(operands, labels, strict=True)]
    x, known = parts[0]
    for i, (y, also) in enumerate(parts[1:], 1):
        needed = {*output, *(label for _, later in parts[i + 1 :] for label in later)}
        x, known = _contract(x, known, y, also, needed, sizes)
    x, known = _sum_out(x, known, set(output))
    return x.permute([known.index(label) for label in output]) if known != output else x


def _from_sublists(arguments: tuple[Any, ...]) -> tuple[str, tuple[Tensor, ...]]:
    def term(sublist: Any) -> str:
        return "".join("..." if item is Ellipsis else _LETTERS[item] for item in sublist)

    pairs = len(arguments) // 2
    equation = ",".join(term(arguments[2 * i + 1]) for i in range(pairs))
    if len(arguments) % 2:
        equation += "->" + term(arguments[-1])
    return equation, tuple(arguments[2 * i] for i in range(pairs))


def _letters(term: str) -> tuple[str, str | None]:
    """The letters before the ellipsis and those after it, None without one."""
    before, dots, after = term.partition("...")
    for letter in before + after:
        if letter not in _LETTERS:
            raise RuntimeError(f"einsum(): invalid subscript given: {letter!r}, expected letters, '...' and '->'")
    return before, after if dots else None


def _labels(term: str, ndim: int) -> Labels:
    before, after = _letters(term)
    hidden = ndim - len(before) - len(after or "")
    if hidden < 0 or (hidden and after is None):
        raise RuntimeError(
            f"einsum(): the number of subscripts in '{term}' does not match the number of dimensions ({ndim}) of its "
            "operand"
        )
    return [*before, *((i,) for i in range(hidden, 0, -1)), *(after or "")]


def _output_labels(right: str, hidden: Labels, known: set[Any]) -> Labels:
    before, after = _letters(right)
    output = [*before, *(hidden if after is not None else ()), *(after or "")]
    for label in output:
        if output.count(label) > 1:
            raise RuntimeError(f"einsum(): output subscript {label} appears more than once in the output")
        if label not in known:
            raise RuntimeError(f"einsum(): output subscript {label} does not appear in the equation for any operand")
    return output


def _sizes(labels: list[Labels], operands: tuple[Tensor, ...]) -> dict[Any, int]:
    sizes: dict[Any, int] = {}
    for known, x in zip(labels, operands, strict=True):
        for label, size in zip(known, x.shape, strict=True):
            if sizes.setdefault(label, size) == 1:
                sizes[label] = size
            if size not in (1, sizes[label]):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {size} which does not broadcast with previously seen size "
                    f"{sizes[label]}"
                )
    return sizes


def _diagonals(x: Tensor, known: Labels) -> tuple[Tensor, Labels]:
    """Every label once: repeated ones replaced by their diagonal."""
    from ._views import Diagonal

    known = list(known)
    for label in list(dict.fromkeys(known)):
        while known.count(label) > 1:
            i = known.index(label)
            j = known.index(label, i + 1)
            if x.shape[i] != x.shape[j]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated but the sizes don't match, {x.shape[i]} != {x.shape[j]}"
                )
            x = Diagonal(axes=(i, j))(x)
            known = [*known[:i], *known[i + 1 : j], *known[j + 1 :], label]
    return x, known


def _sum_out(x: Tensor, known: Labels, needed: set[Any]) -> tuple[Tensor, Labels]:
    axes = tuple(i for i, label in enumerate(known) if label not in needed)
    if not axes:
        return x, known
    return x.sum(axes, dtype=x.dtype), [label for label in known if label in needed]


def _contract(
    x: Tensor, known: Labels, y: Tensor, also: Labels, needed: set[Any], sizes: dict[Any, int]
) -> tuple[Tensor, Labels]:
    """The product of two operands, summed over the labels that nothing needs any more."""
    x, known = _sum_out(x, known, needed | set(also))
    y, also = _sum_out(y, also, needed | set(known))
    both = [label for label in known if label in also]
    summed = [label for label in both if label not in needed]
    if not summed:
        result = [*known, *(label for label in also if label not in known)]
        return E.mul(_aligned(x, known, result), _aligned(y, also, result)), result
    batch = [label for label in both if label in needed]
    rows = [label for label in known if label not in both]
    columns = [label for label in also if label not in both]

    def matrices(t: Tensor, labels: Labels, *groups: Labels) -> Tensor:
        order = [label for group in groups for label in group]
        t = t.permute([labels.index(label) for label in order])
        shape = [sizes[label] if label in both else n for label, n in zip(order, t.shape, strict=True)]
        t = t.expand(shape)
        joined = []
        for group in groups:
            joined.append(_count(tuple(shape[: len(group)])))
            shape = shape[len(group) :]
        return t.reshape(joined)

    out = bmm(matrices(x, known, batch, rows, summed), matrices(y, also, batch, summed, columns))
    shape = [sizes[label] for label in batch]
    shape += [x.shape[known.index(label)] for label in rows]
    shape += [y.shape[also.index(label)] for label in columns]
    return out.reshape(shape), [*batch, *rows, *columns]


def _aligned(t: Tensor, labels: Labels, result: Labels) -> Tensor:
    """t's dimensions in the order of `result`, with 1 where it has none."""
    present = [label for label in result if label in labels]
    t = t.permute([labels.index(label) for label in present])
    sizes = iter(t.shape)
    return t.reshape([next(sizes) if label in labels else 1 for label in result])


def _matmul_operator(self: Tensor, other: Any) -> Any:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


Tensor.__matmul__ = _matmul_operator  # type: ignore[attr-defined]
