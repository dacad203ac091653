"""How a Triton kernel is run: interpreted on NumPy arrays, compiled on CuPy's, or only recorded.

A compiled launch goes to CuPy's current stream, which is passed with it; Triton's global driver is
asked to load a kernel and never changed. The signature of a kernel follows from its arguments here
and nowhere else, so that what is compiled ahead of time is what a launch would compile.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import array
from ..array import Array
from . import mode

_TYPES = {
    "float32": "fp32", "float64": "fp64", "float16": "fp16", "bfloat16": "bf16", "int8": "i8",
    "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "bool": "i8",
}  # fmt: skip
MAX_GRID = 2**31 - 1  # axis 0; the other two stop at 65,535


class Compilation(NamedTuple):
    """What one launch compiles, and from what: the kernel, its arguments' types and constants."""

    kernel: Any
    signature: dict[str, Any]
    constexprs: dict[tuple[int, ...], Any]
    attributes: dict[tuple[int, ...], Any]
    num_warps: int
    num_stages: int
    grid: tuple[int, ...]


class _Local(threading.local):
    recording: list[Compilation] | None = None  # another thread's launches run meanwhile


_local = _Local()


@contextmanager
def recording() -> Iterator[list[Compilation]]:
    """This thread's launches inside run nothing and are listed: for compiling ahead of time,
    without a GPU."""
    before, _local.recording = _local.recording, []
    try:
        yield _local.recording
    finally:
        _local.recording = before


def is_recording() -> bool:
    return _local.recording is not None


def launch(
    kernel: Any,
    grid: Sequence[int],
    *arguments: Any,
    num_warps: int = 4,
    num_stages: int = 2,
    **constants: Any,
) -> None:
    """Run `kernel` on `grid`, a program for each point.

    `arguments` are the kernel's parameters that are not constexpr, in its order: arrays, None for
    one that is left out, int, float (float64 iff an array is), or a tuple of these. `constants` are
    the others, by name. Nothing runs on a grid without points."""
    names = kernel.arg_names
    if len(arguments) + len(constants) != len(names):
        raise TypeError(f"{kernel.__name__} takes {', '.join(names)}")
    values = dict(constants)
    values.update(zip([n for n in names if n not in constants], arguments, strict=True))
    grid = tuple(int(n) for n in grid)
    if 0 in grid:
        return
    if grid[0] > MAX_GRID or any(n > 65535 for n in grid[1:]):
        raise ValueError(f"grid: got {grid}, expected at most ({MAX_GRID}, 65535, 65535)")
    if _local.recording is not None:
        _local.recording.append(
            Compilation(kernel, *_types(kernel, values, constants), num_warps, num_stages, grid)
        )
    elif mode.settle() == mode.INTERPRETED:
        _interpret(kernel, grid, values, constants)
    else:
        _run_compiled(kernel, grid, values, constants, num_warps, num_stages)


def is_double(values: Any) -> bool:
    """Whether an array among the values, or in a tuple of them, is float64."""
    return any(
        is_double(v) if isinstance(v, tuple) else array.is_array(v) and v.dtype == np.float64
        for v in values
    )


# --- interpreted ----------------------------------------------------------------------------------


def _interpret(kernel: Any, grid: tuple[int, ...], values: dict, constants: dict) -> None:
    from . import interpreter

    double = is_double(values.values())
    arrays: list[tuple[str, Array]] = []

    def convert(name: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(convert(f"{name}[{i}]", v) for i, v in enumerate(value))
        if isinstance(value, float):
            return interpreter.scalar(value, double)
        if not array.is_array(value):
            return value
        arrays.append((name, value))
        return interpreter.pointer(value)

    arguments = {n: v if n in constants else convert(n, v) for n, v in values.items()}
    with interpreter.running(arrays):
        try:
            kernel[grid](**arguments)
        except Exception as error:
            cause = error.__cause__
            if isinstance(cause, interpreter.OutOfBounds):
                raise interpreter.OutOfBounds(f"{kernel.__name__}: {cause}") from None
            raise


# --- compiled -------------------------------------------------------------------------------------


def _types(kernel: Any, values: dict, constants: dict) -> tuple[dict, dict, dict]:
    """(signature, constexprs, attributes) as Triton's ASTSource takes them."""
    double = is_double(values.values())
    constexprs: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}

    def kind(path: tuple[int, ...], value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(kind((*path, i), v) for i, v in enumerate(value))
        if value is None or (isinstance(value, int) and value == 1):
            constexprs[path] = value  # a stride of 1, above all: accesses become vectors
            return "constexpr"
        if isinstance(value, float):
            return "fp64" if double else "fp32"
        divisible = value if isinstance(value, int) else array.data_pointer(value)
        power = min(divisible & -divisible, 16) if divisible else 16
        if power > 2:  # what an access may be wide follows from it: eight halves are 16 bytes
            attributes[path] = [["tt.divisibility", power]]
        if isinstance(value, int):
            return "i32" if -(2**31) <= value < 2**31 else "i64"
        return "*" + _TYPES[value.dtype.name]

    signature = {}
    for i, name in enumerate(kernel.arg_names):
        if name in constants:
            constexprs[(i,)] = constants[name]
            signature[name] = "constexpr"
        else:
            signature[name] = kind((i,), values[name])
    return signature, constexprs, attributes


def compile_for(what: Compilation, arch: int) -> Any:
    """The compiled kernel for sm_`arch`; needs no GPU. Triton keeps it in its cache on disk."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    source = ASTSource(what.kernel, what.signature, what.constexprs, what.attributes)
    options = {"num_warps": what.num_warps, "num_stages": what.num_stages}
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)


_compiled: dict[Any, Any] = {}


def _run_compiled(
    kernel: Any,
    grid: tuple[int, ...],
    values: dict,
    constants: dict,
    num_warps: int,
    num_stages: int,
) -> None:
    cupy = array.import_cupy()
    types = _types(kernel, values, constants)
    device = cupy.cuda.Device().id
    key = (kernel, device, num_warps, num_stages, *(_frozen(t) for t in types))
    compiled = _compiled.get(key)
    if compiled is None:
        what = Compilation(kernel, *types, num_warps, num_stages, grid)
        compiled = _compiled[key] = compile_for(what, _arch(device))
    arguments = [_argument(values[name]) for name in kernel.arg_names]
    whole = (*grid, 1, 1)[:3]
    compiled[whole](*arguments, stream=cupy.cuda.get_current_stream().ptr)


def _frozen(types: dict) -> tuple:
    return tuple((k, str(v)) for k, v in types.items())


@functools.lru_cache(maxsize=16)
def _arch(device: int) -> int:
    return int(array.import_cupy().cuda.Device(device).compute_capability)


class _Pointer:
    """An array as Triton's launcher wants one."""

    __slots__ = ("array",)

    def __init__(self, a: Array) -> None:
        self.array = a

    def data_ptr(self) -> int:
        return array.data_pointer(self.array)


def _argument(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_argument(v) for v in value)
    return _Pointer(value) if array.is_array(value) else value
