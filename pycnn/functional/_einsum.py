"""Einstein summation: permuted views, products by gemm, sums over what is left."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor
from ._common import check_tensor
from ._products import bmm
from ._views import Diagonal
from .elementwise import mul

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
Labels = list[
    Any
]  # letters, and (i,) for the i-th dimension under the ellipsis, counted from the back


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products by Einstein's convention: einsum("bij,bjk->bik", x, y).

    A label in the output is kept, every other is summed; without "->" the output has the labels
    that occur once, in alphabetical order. "..." stands for dimensions that broadcast; a label
    repeated in one operand takes its diagonal. Operands are contracted from left to right. Also
    einsum(x, [0, 1], y, [1, 2], [0, 2]). RuntimeError for an equation that is malformed or does not
    fit the operands, ValueError without operands."""
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
    hidden = sorted(
        {label for known in labels for label in known if isinstance(label, tuple)}, reverse=True
    )
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
            raise RuntimeError(
                f"einsum(): invalid subscript given: {letter!r}, expected letters, '...' and '->'"
            )
    return before, after if dots else None


def _labels(term: str, ndim: int) -> Labels:
    before, after = _letters(term)
    hidden = ndim - len(before) - len(after or "")
    if hidden < 0 or (hidden and after is None):
        raise RuntimeError(
            f"einsum(): the number of subscripts in '{term}' does not match the number of "
            f"dimensions ({ndim}) of its operand"
        )
    return [*before, *((i,) for i in range(hidden, 0, -1)), *(after or "")]


def _output_labels(right: str, hidden: Labels, known: set[Any]) -> Labels:
    before, after = _letters(right)
    output = [*before, *(hidden if after is not None else ()), *(after or "")]
    for label in output:
        if output.count(label) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {label} appears more than once in the output"
            )
        if label not in known:
            raise RuntimeError(
                f"einsum(): output subscript {label} does not appear in the equation for any "
                "operand"
            )
    return output


def _sizes(labels: list[Labels], operands: tuple[Tensor, ...]) -> dict[Any, int]:
    sizes: dict[Any, int] = {}
    for known, x in zip(labels, operands, strict=True):
        for label, size in zip(known, x.shape, strict=True):
            if sizes.setdefault(label, size) == 1:
                sizes[label] = size
            if size not in (1, sizes[label]):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {size} which does not broadcast with "
                    f"previously seen size {sizes[label]}"
                )
    return sizes


def _diagonals(x: Tensor, known: Labels) -> tuple[Tensor, Labels]:
    """Every label once: repeated ones replaced by their diagonal."""
    known = list(known)
    for label in list(dict.fromkeys(known)):
        while known.count(label) > 1:
            i = known.index(label)
            j = known.index(label, i + 1)
            if x.shape[i] != x.shape[j]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated but the sizes don't match, "
                    f"{x.shape[i]} != {x.shape[j]}"
                )
            x = Diagonal(axes=(i, j))(x)
            known = [*known[:i], *known[i + 1 : j], *known[j + 1 :], label]
    return x, known


def _sum_out(x: Tensor, known: Labels, needed: set[Any]) -> tuple[Tensor, Labels]:
    axes = tuple(i for i, label in enumerate(known) if label not in needed)
    if not axes:
        return x, known
    return x.sum(axes), [label for label in known if label in needed]


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
        return mul(_aligned(x, known, result), _aligned(y, also, result)), result
    batch = [label for label in both if label in needed]
    rows = [label for label in known if label not in both]
    columns = [label for label in also if label not in both]

    def matrices(t: Tensor, labels: Labels, *groups: Labels) -> Tensor:
        order = [label for group in groups for label in group]
        t = t.permute([labels.index(label) for label in order])
        shape = [
            sizes[label] if label in both else n for label, n in zip(order, t.shape, strict=True)
        ]
        t = t.expand(shape)
        joined = []
        for group in groups:
            joined.append(math.prod(shape[: len(group)]))
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
