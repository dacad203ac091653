"""Triton's interpreter on NumPy arrays: pointers checked on every load and store, bfloat16 mended.

Upstream's interpreter keeps a bfloat16 as its 16 bits, multiplies those bits in tl.dot, and drops
digits instead of rounding when it narrows a float32; both are replaced here by ml_dtypes' numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter as upstream

from ..array import Array

TYPES = {
    "float32": tl.float32, "float64": tl.float64, "float16": tl.float16, "bfloat16": tl.bfloat16,
    "int8": tl.int8, "int16": tl.int16, "int32": tl.int32, "int64": tl.int64,
    "uint8": tl.uint8, "bool": tl.int8,
}  # fmt: skip

_lock = threading.RLock()  # the interpreter's builder is one per process
_patched: set[frozenset[str]] = set()  # what of Triton's language this launch has replaced
_spans: list[tuple[int, int, str]] = []  # the memory of the launch that runs: [start, end), name


class OutOfBounds(IndexError):
    """A kernel read or wrote outside the arrays it was given."""


def pointer(a: Array) -> Any:
    """The kernel argument that points at a NumPy array's first element."""
    pointed = tl.pointer_type(TYPES[a.dtype.name])
    handle = upstream.TensorHandle(np.array([a.ctypes.data], np.uint64), pointed)
    return tl.tensor(handle, pointed)


def scalar(value: float, double: bool) -> Any:
    """A float argument of a kernel, in float64 or float32."""
    kind, dtype = (tl.float64, np.float64) if double else (tl.float32, np.float32)
    return tl.tensor(upstream.TensorHandle(np.array([value], dtype), kind), kind)


@contextmanager
def running(arrays: Sequence[tuple[str, Array]]) -> Iterator[None]:
    """A launch that may touch these arrays, named for messages, and nothing else."""
    with _lock, np.errstate(all="ignore"):
        before = _spans[:]
        _patched.clear()
        _spans[:] = [(*_extent(a), f"{name} {a.shape}") for name, a in arrays]
        try:
            yield
        finally:
            _spans[:] = before


def _extent(a: Array) -> tuple[int, int]:
    low, high = np.lib.array_utils.byte_bounds(a) if a.size else (a.ctypes.data,) * 2
    return low, high


def check(pointers: np.ndarray, mask: np.ndarray, itemsize: int, verb: str) -> None:
    """OutOfBounds unless every pointer that the mask keeps lies inside one of the launch's
    arrays."""
    kept = pointers[np.broadcast_to(mask, pointers.shape).astype(bool)]
    if not kept.size:
        return
    inside = np.zeros(kept.shape, bool)
    for low, high, _ in _spans:
        inside |= (kept >= low) & (kept + np.uint64(itemsize) <= high)
    if inside.all():
        return
    address = int(kept[~inside][0])
    near = min(
        _spans, key=lambda s: max(s[0] - address, address - s[1]), default=(0, 0, "no array")
    )
    raise OutOfBounds(
        f"a kernel {verb} {itemsize} bytes at {address - near[0]} bytes from the start of "
        f"{near[2]}, which has {near[1] - near[0]} bytes ({int((~inside).sum())} such elements)"
    )


def _bfloat16() -> Any:
    import ml_dtypes

    return ml_dtypes.bfloat16


def _mend(builder: type) -> None:
    """Replace the builder's methods by ones that check pointers and treat bfloat16 as a number."""
    load, store, dot = builder.create_masked_load, builder.create_masked_store, builder.create_dot
    cast = builder.cast_impl

    def create_masked_load(self: Any, ptrs: Any, mask: Any, *rest: Any) -> Any:
        mask = _as_bools(mask)
        check(ptrs.data, mask.data, _itemsize(ptrs), "read")
        return load(self, ptrs, mask, *rest)

    def create_masked_store(self: Any, ptrs: Any, value: Any, mask: Any, *rest: Any) -> Any:
        mask = _as_bools(mask)
        check(ptrs.data, mask.data, _itemsize(ptrs), "wrote")
        return store(self, ptrs, value, mask, *rest)

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return dot(self, _widened(a), _widened(b), *rest)

    def cast_impl(self: Any, source: Any, target: Any) -> Any:
        before, after = source.dtype.scalar, target.scalar
        if before == tl.bfloat16 and after == tl.float32:
            return _widened(source)
        if before == tl.float32 and after == tl.bfloat16:
            bits = source.data.astype(_bfloat16()).view(np.uint16)
            return upstream.TensorHandle(bits, after)
        return cast(self, source, target)

    builder.create_masked_load = create_masked_load
    builder.create_masked_store = create_masked_store
    builder.create_dot = create_dot
    builder.cast_impl = cast_impl


def _as_bools(mask: Any) -> Any:
    """A mask whose bits went through integer operations comes back as integers."""
    if mask.data.dtype == np.bool_:
        return mask
    return upstream.TensorHandle(mask.data.astype(bool), tl.int1)


def _itemsize(pointers: Any) -> int:
    return max(pointers.get_element_ty().primitive_bitwidth // 8, 1)


def _widened(handle: Any) -> Any:
    """A bfloat16 operand as the float32 of the same value."""
    if handle.dtype.scalar != tl.bfloat16:
        return handle
    values = np.ascontiguousarray(handle.data).view(_bfloat16()).astype(np.float32)
    return upstream.TensorHandle(values, tl.float32)


def _mend_patches() -> None:
    """A scalar that bounds a loop is an array of one element, which NumPy no longer takes for an
    int."""
    patch = upstream._patch_lang_tensor

    def patched(tensor: Any, scope: Any) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    upstream._patch_lang_tensor = patched


def _mend_calls() -> None:
    """A device function replaces Triton's language by the interpreter's once a launch; upstream's
    does at every call, which takes longer than most functions."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        names = frozenset(n for n, v in self.fn.__globals__.items() if v is tl or v is tl.core)
        if names not in _patched:
            upstream._patch_lang(self.fn)
            _patched.add(names)
        function = self.rewrite()
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise upstream.InterpreterError(repr(error)) from error

    upstream.InterpretedFunction.__call__ = call


_mend(upstream.InterpreterBuilder)
_mend_patches()
_mend_calls()
