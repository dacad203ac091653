"""A problem: what is computed, by whom, and what its answer must be.

A *bind* takes one set of inputs and returns the call that is timed; what it does itself (the
forward pass before a backward one, resetting weights) is not timed. `ours()` makes a bind of
arrays, `theirs(layout)` one of PyTorch's tensors; each is made once, and bound anew for every timed
call.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import Tensor, array, dtypes
from ..array import Array

Call = Callable[[], Any]
Bind = Callable[..., Call]
LAYOUTS = {"contiguous": array.contiguous_format, "channels-last": array.channels_last}

# the largest error, relative to the largest number of the float64 truth, of what computes the same
TOLERANCE = {"float64": 1e-11, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}


class Key(NamedTuple):
    """What names a problem: from it the same problem can be made in another process."""

    suite: str
    name: str
    direction: str  # fprop, dgrad, wgrad, forward, backward, step
    batch: int
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.suite} {self.name} {self.direction} N={self.batch} {self.dtype}"


@dataclass(frozen=True)
class Problem:
    """One thing to measure.

    flops and bytes are the formula's; least_flops, of an algorithm's name or of an unknown one
    (None), and least_bytes are what no implementation can do without: the floor rests on them."""

    key: Key
    primitive: str | None
    geometry: str
    inputs: Callable[[np.random.Generator], Sequence[np.ndarray]]
    ours: Callable[[], Bind]
    theirs: Callable[[str], Bind]
    truth: Callable[..., Any]  # of PyTorch's float64 tensors: a tensor, or several
    flops: int
    bytes: int
    least_flops: Callable[[str | None], float]
    least_bytes: int
    forced: Callable[[str], Bind | None] | None = None  # cuDNN's own entry, by layout
    compiled: Callable[[str], Bind] | None = None  # through torch.compile(max-autotune)
    size: int | None = None  # of a network's images, pixels
    check: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], float] | None = None

    def values(self, index: int) -> tuple[np.ndarray, ...]:
        """The inputs of one set, in the problem's dtype; the same in every process."""
        rng = np.random.default_rng([zlib.crc32(str(self.key).encode()), index])
        kind = dtypes.as_dtype(self.key.dtype)
        return tuple(
            v.astype(kind, copy=False) if dtypes.is_floating_point(v.dtype) else v
            for v in self.inputs(rng)
        )

    def error(self, outputs: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> float:
        """The greatest difference from the truth, relative to its largest number; infinite where
        the shapes differ or a number is missing."""
        if [o.shape for o in outputs] != [t.shape for t in truths[: len(outputs)]]:
            return math.inf
        if self.check is not None:
            return self.check(outputs, truths)
        if len(outputs) != len(truths):
            return math.inf
        return max(relative_error(o, t) for o, t in zip(outputs, truths, strict=True))


def relative_error(got: np.ndarray, truth: np.ndarray) -> float:
    if not truth.size:
        return 0.0
    difference = np.abs(np.subtract(got, truth, dtype=np.float64)).max()
    error = float(difference / max(float(np.abs(truth).max()), 1e-30))
    return math.inf if math.isnan(error) else error


# --- arrays, PyTorch's tensors --------------------------------------------------------------------


def place(value: Array, layout: str, device: str = "cpu") -> Array:
    """A buffer for `value` in that layout, where it has four dimensions."""
    return array.empty(value.shape, value.dtype, LAYOUTS[layout], device)


def as_torch(a: Array) -> Any:
    """A tensor over the array's memory."""
    import torch

    if not isinstance(a, np.ndarray):
        if a.dtype.name == "bfloat16":
            return torch.from_dlpack(a.view("int16")).view(torch.bfloat16)
        return torch.from_dlpack(a)
    if a.dtype.name == "bfloat16":
        return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(a)


def as_arrays(output: Any) -> tuple[Array, ...]:
    """The arrays of what a call returned, without a copy.

    Raises:
        TypeError: it is something else than arrays and tensors, which could compute on demand.
    """
    if isinstance(output, (tuple, list)):
        return tuple(a for part in output for a in as_arrays(part))
    if array.is_array(output):
        return (output,)
    if isinstance(output, Tensor):
        return (output._data,)
    kind = type(output)
    if kind.__module__.partition(".")[0] != "torch":
        raise TypeError(
            f"a timed call returned {kind.__module__}.{kind.__qualname__}; accepted: arrays and "
            "tensors, which hold their numbers already"
        )
    import torch

    t = output.detach()
    if t.is_cuda:
        cupy = array.import_cupy()
        if t.dtype == torch.bfloat16:
            return (cupy.from_dlpack(t.view(torch.int16)).view(dtypes.as_dtype("bfloat16")),)
        return (cupy.from_dlpack(t),)
    if t.dtype == torch.bfloat16:
        return (t.view(torch.int16).numpy().view(dtypes.as_dtype("bfloat16")),)
    return (t.numpy(),)


def flat(a: Array) -> Array:
    """The elements in the order of memory: a view where the array is dense."""
    if a.flags.c_contiguous:
        return a.reshape(-1)
    if a.ndim == 4 and a.transpose(0, 2, 3, 1).flags.c_contiguous:
        return a.transpose(0, 2, 3, 1).reshape(-1)
    return array.xp(a).ascontiguousarray(a).reshape(-1)


def digest(arrays: Sequence[Array]) -> tuple[Any, ...]:
    """Shapes and a sum over the bits of every array: equal for equal arrays, and for hardly any
    others. Sums of words are quick enough to take after every timed call."""
    found: list[Any] = []
    for a in arrays:
        raw = flat(a).view("uint8")
        whole = raw.size // 8 * 8
        words = int(raw[:whole].view("uint64").sum()) if whole else 0
        found.append((a.shape, a.dtype.name, words, bytes(_host(raw[whole:]))))
    return tuple(found)


def sample(arrays: Sequence[Array], count: int = 64) -> list[Array]:
    """Copies of some elements of each array, the first and the last among them."""
    found = []
    for a in arrays:
        elements = flat(a)
        if elements.size:
            step = max(1, (elements.size - 1) // (count - 1))
            found += [elements[::step].copy(), elements[-1:].copy()]
    return found


def poison(arrays: Sequence[Array]) -> None:
    """NaN in every float, a number that is hardly anywhere an answer in every integer."""
    for a in arrays:
        a[...] = math.nan if dtypes.is_floating_point(a.dtype) else np.iinfo(a.dtype).max - 1


def _host(a: Array) -> np.ndarray:
    return a if isinstance(a, np.ndarray) else a.get()


def hosts(arrays: Sequence[Array]) -> list[np.ndarray]:
    return [_host(a) for a in arrays]
