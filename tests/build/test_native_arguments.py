"""Every function of pycnn._native on bad arguments: refused by ValueError or TypeError, untouched.

CALLS holds a valid call of each. A corruption makes one argument of it wrong for certain; every
corruption is tried alone, and random ones together.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from pycnn.config import native_status

native, why_none = native_status()
pytestmark = pytest.mark.skipif(native is None, reason=f"no C++ extension: {why_none}")

POISON = 7
COMBINATIONS = 60  # random ones per function
HUGE = 2**63


def x(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def y(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.full(shape, POISON, dtype)


def table(outputs: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (x(outputs, taps, dtype=np.int64), x(outputs, taps), x(outputs, taps, dtype=bool))


# N C H W, K R S, strides, paddings, dilations, groups: every size follows from the others
CONV2D = (2, 4, 5, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1)
# N C H W, R S, P Q, strides, paddings, dilations, adaptive, counting the padding, the divisor
POOL2D = (2, 3, 4, 6, 2, 2, 2, 3, 2, 2, 0, 0, 1, 1, False, True, None)
LRN = (3, 1e-4, 0.75, 2.0)
GEMM = (2, 3, 4, 5)


def epilogue(*shape: int, axis: int = 1) -> tuple[Any, ...]:
    channels = shape[axis]
    return (x(channels), x(channels), x(channels), x(*shape), "relu")


# function -> (a valid call, which of its arguments are filled, which may be None)
CALLS: dict[str, tuple[Callable[[], dict[str, Any]], set[str], set[str]]] = {
    "add_activation": (
        lambda: {"a": x(2, 3), "b": x(2, 3), "out": y(2, 3), "activation": "relu"},
        {"out"},
        {"activation"},
    ),
    "batch_norm_stats": (
        lambda: {"x": x(2, 3, 4), "mean": y(3), "m2": y(3), "algorithm": "direct"},
        {"mean", "m2"},
        set(),
    ),
    "batch_norm_apply": (
        lambda: {
            "x": x(2, 3, 4), "mean": x(3), "invstd": x(3), "weight": x(3), "bias": x(3),
            "y": y(2, 3, 4), "epilogue": (None, None, None, x(2, 3, 4), "relu"),
            "algorithm": "direct",
        },
        {"y"},
        {"weight", "bias", "epilogue"},
    ),
    "batch_norm_reduce": (
        lambda: {
            "dy": x(2, 3, 4), "x": x(2, 3, 4), "mean": x(3), "invstd": x(3), "weight": x(3),
            "bias": x(3), "sum_dy": y(3), "sum_dy_xhat": y(3), "relu": True,
            "algorithm": "direct",
        },
        {"sum_dy", "sum_dy_xhat"},
        {"weight", "bias"},
    ),
    "batch_norm_dgrad": (
        lambda: {
            "dy": x(2, 3, 4), "x": x(2, 3, 4), "mean": x(3), "invstd": x(3), "weight": x(3),
            "bias": x(3), "sum_dy": x(3), "sum_dy_xhat": x(3), "dx": y(2, 3, 4), "relu": True,
            "algorithm": "direct",
        },
        {"dx"},
        {"weight", "bias", "sum_dy", "sum_dy_xhat"},
    ),
    "dropout": (
        lambda: {
            "x": x(2, 3), "key": x(2, dtype=np.int64), "out": y(2, 3), "axes": 2, "p": 0.5,
        },
        {"out"},
        set(),
    ),
    "concat": (
        lambda: {"inputs": (x(2, 3), x(2, 4)), "out": y(2, 7), "axis": 1}, {"out"}, set(),
    ),
    "split": (
        lambda: {"x": x(2, 7), "outputs": (y(2, 3), y(2, 4)), "axis": 1}, {"outputs"}, set(),
    ),
    "conv2d_fprop": (
        lambda: {
            "x": x(2, 4, 5, 6), "w": x(6, 4, 3, 3), "y": y(2, 6, 5, 6), "geometry": CONV2D,
            "epilogue": epilogue(2, 6, 5, 6), "algorithm": "direct",
        },
        {"y"},
        {"epilogue"},
    ),
    "conv2d_dgrad": (
        lambda: {
            "dy": x(2, 6, 5, 6), "w": x(6, 4, 3, 3), "dx": y(2, 4, 5, 6), "geometry": CONV2D,
            "epilogue": epilogue(2, 4, 5, 6), "algorithm": "direct",
        },
        {"dx"},
        {"epilogue"},
    ),
    "conv2d_wgrad": (
        lambda: {
            "x": x(2, 4, 5, 6), "dy": x(2, 6, 5, 6), "dw": y(6, 4, 3, 3), "geometry": CONV2D,
            "algorithm": "direct",
        },
        {"dw"},
        set(),
    ),
    "im2col": (
        lambda: {"x": x(2, 4, 5, 6), "columns": y(2, 36, 30), "geometry": CONV2D},
        {"columns"},
        set(),
    ),
    "col2im": (
        lambda: {"columns": x(2, 36, 30), "x": y(2, 4, 5, 6), "geometry": CONV2D}, {"x"}, set(),
    ),
    "conv2d_output_shape": (
        lambda: {
            "x_shape": (2, 4, 5, 6), "w_shape": (6, 4, 3, 3), "stride": (1, 1),
            "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1,
        },
        set(),
        set(),
    ),
    "copy": (lambda: {"from": x(2, 3), "to": y(2, 3)}, {"to"}, set()),
    "elementwise": (
        lambda: {"inputs": (x(2, 3), x(2, 3)), "out": y(2, 3), "op": "add", "parameters": (1.0,)},
        {"out"},
        set(),
    ),
    "gemm": (
        lambda: {
            "a": x(2, 3, 5), "b": x(2, 5, 4), "out": y(2, 3, 4), "geometry": GEMM,
            "epilogue": epilogue(2, 3, 4, axis=2), "algorithm": "tiled",
        },
        {"out"},
        {"epilogue"},
    ),
    "local_response_norm_fprop": (
        lambda: {"x": x(2, 3, 4), "y": y(2, 3, 4), "geometry": LRN}, {"y"}, set(),
    ),
    "local_response_norm_dgrad": (
        lambda: {
            "dy": x(2, 3, 4), "x": x(2, 3, 4), "y": x(2, 3, 4), "dx": y(2, 3, 4), "geometry": LRN,
        },
        {"dx"},
        set(),
    ),
    "max_pool2d_fprop": (
        lambda: {
            "x": x(2, 3, 4, 6), "y": y(2, 3, 2, 3), "offsets": y(2, 3, 2, 3, dtype=np.uint8),
            "geometry": POOL2D, "algorithm": "direct",
        },
        {"y", "offsets"},
        set(),
    ),
    "max_pool2d_dgrad": (
        lambda: {
            "dy": x(2, 3, 2, 3), "offsets": x(2, 3, 2, 3, dtype=np.uint8), "dx": y(2, 3, 4, 6),
            "geometry": POOL2D, "algorithm": "direct",
        },
        {"dx"},
        set(),
    ),
    "avg_pool2d_fprop": (
        lambda: {
            "x": x(2, 3, 4, 6), "y": y(2, 3, 2, 3), "geometry": POOL2D, "algorithm": "direct",
        },
        {"y"},
        set(),
    ),
    "avg_pool2d_dgrad": (
        lambda: {
            "dy": x(2, 3, 2, 3), "dx": y(2, 3, 4, 6), "geometry": POOL2D, "algorithm": "direct",
        },
        {"dx"},
        set(),
    ),
    "max_unpool2d_fprop": (
        lambda: {"x": x(2, 3, 2, 2), "indices": x(2, 3, 2, 2, dtype=np.int64),
                 "y": y(2, 3, 4, 4)},
        {"y"},
        set(),
    ),
    "max_unpool2d_dgrad": (
        lambda: {"dy": x(2, 3, 4, 4), "indices": x(2, 3, 2, 2, dtype=np.int64),
                 "dx": y(2, 3, 2, 2)},
        {"dx"},
        set(),
    ),
    "reduce": (
        lambda: {"x": x(2, 3), "out": y(2), "op": "sum", "axes": (1,), "correction": 1.0},
        {"out"},
        set(),
    ),
    "resize2d": (
        lambda: {
            "x": x(2, 3, 4, 4), "y": y(2, 3, 5, 6), "along_h": table(5, 2), "along_w": table(6, 3),
        },
        {"y"},
        set(),
    ),
    "softmax_fprop": (
        lambda: {"x": x(2, 3), "y": y(2, 3), "axis": 1, "log": False}, {"y"}, set(),
    ),
    "softmax_dgrad": (
        lambda: {"dy": x(2, 3), "y": x(2, 3), "dx": y(2, 3), "axis": 1, "log": True},
        {"dx"},
        set(),
    ),
    "softmax_cross_entropy_fprop": (
        lambda: {
            "logits": x(2, 3, 4), "target": x(2, 4, dtype=np.int64), "class_weight": x(3),
            "loss": y(2, 4), "logsumexp": y(2, 4), "ignore_index": -100, "label_smoothing": 0.1,
        },
        {"loss", "logsumexp"},
        {"class_weight"},
    ),
    "softmax_cross_entropy_dgrad": (
        lambda: {
            "dloss": x(2, 4), "logits": x(2, 3, 4), "target": x(2, 4, dtype=np.int64),
            "class_weight": x(3), "logsumexp": x(2, 4), "dlogits": y(2, 3, 4),
            "ignore_index": -100, "label_smoothing": 0.1,
        },
        {"dlogits"},
        {"class_weight"},
    ),
    "check_array": (
        lambda: {
            "array": y(2, 3), "name": "y", "shape": (2, 3), "dtypes": ("float32",),
            "layout": "any",
        },
        set(),
        {"shape", "dtypes"},
    ),
    "empty": (
        lambda: {"shape": (2, 3), "dtype": np.dtype("f4")}, set(), set(),
    ),
    "set_num_threads": (lambda: {"count": native.get_num_threads()}, set(), set()),
    "set_isa": (lambda: {"name": native.isa()}, set(), set()),
    "set_cache_limit": (lambda: {"bytes": native.memory_stats()["limit"]}, set(), set()),
    "set_least_share": (lambda: {"nanoseconds": 1000.0}, set(), set()),
}  # fmt: skip
# They take nothing, or (poison_allocations) only a bool, which any object is.
WITHOUT_CALLS = {
    "build_flags", "compiler", "elementwise_ops", "empty_cache", "get_num_threads", "isa",
    "isa_builds", "memory_stats", "poison_allocations", "version",
}  # fmt: skip

# What is right in some arguments: (function, argument) -> the corruptions that are none.
RIGHT = {
    ("batch_norm_stats", "x"): ("one more", "none at all", "billions, all one element"),
    ("check_array", "name"): ("name ''", "name 'none such'", "name 'yx'", "name 'ü'"),
    ("check_array", "dtypes"): ("longer",),
    ("elementwise", "inputs"): ("float or integer", "no axes"),
    ("elementwise", "out"): ("float or integer", "another axis"),
    ("reduce", "x"): ("float or integer",),
    ("reduce", "out"): ("float or integer",),
}
# Two of these may fit each other.
FITTING = (
    "float or integer", "another axis", "nine axes", "no axes", "one more", "none at all",
    "billions, all one element",
)  # fmt: skip
SEQUENCES = ("list", "memoryview", "bytes")  # whose elements may be right

Path = tuple[Any, ...]  # where in a call: an argument's name, then indices into tuples
Corruption = tuple[str, Any]  # what is wrong, the wrong value


def no_arrays() -> Iterator[Corruption]:
    for value in (3, 1.5, "abc", b"abc", [1.0, 2.0], {}, object(), np.float32(1), memoryview(b"a")):
        yield f"{type(value).__name__}", value


def bad_arrays(a: np.ndarray, filled: bool) -> Iterator[Corruption]:
    yield from no_arrays()
    for dtype in (np.uint16, np.complex64, object, "S4", "V2", [("a", "f4")], np.longdouble):
        yield f"dtype {dtype}", np.zeros(a.shape, dtype)
    yield "float8", np.zeros(a.shape, ml_dtypes.float8_e5m2)
    yield "float or integer", a.astype(np.int32 if a.dtype.kind == "f" else np.float32)
    if a.itemsize > 1:
        yield "byte order", a.astype(a.dtype.newbyteorder())
        memory = np.zeros(a.nbytes + 1, np.uint8)
        yield "misaligned", memory[1:].view(a.dtype).reshape(a.shape)
        wide = bytearray(a.nbytes * 2 + 64)
        steps = tuple(s + 1 if i == a.ndim - 1 else 2 * s for i, s in enumerate(a.strides))
        yield "uneven byte stride", np.ndarray(a.shape, a.dtype, wide, 0, steps)
    yield "another axis", a[None]
    yield "nine axes", np.zeros((1,) * 9, a.dtype)
    yield "no axes", np.zeros((), a.dtype)
    yield "one more", np.concatenate([a, a[:1]])
    yield "none at all", a[:0]
    yield "billions, all one element", as_strided(a, (2**31, *a.shape[1:]), (0,) * a.ndim)
    if filled:
        frozen = a.copy()
        frozen.flags.writeable = False
        yield "read-only", frozen
        yield "all one element", as_strided(a, a.shape, (0,) * a.ndim)
        if a.ndim > 1:
            steps = (a.itemsize,) * a.ndim
            yield "overlapping", as_strided(np.zeros(99, a.dtype), a.shape, steps)


def bad_scalars(value: Any) -> Iterator[Corruption]:
    if isinstance(value, str):
        for bad in (
            "",
            "none such",
            value + "\0",
            value + "x",
            "\udcff",
            "ü",
            3,
            b"relu",
            object(),
        ):
            yield f"name {bad!r}", bad
        return
    for bad in ("1", b"1", object(), [1], 1j):
        yield f"{type(bad).__name__}", bad
    if isinstance(value, int) and not isinstance(value, bool):
        for bad in (True, 1.0, np.float32(1), HUGE, -HUGE - 1, 2**200):
            yield f"integer {bad!r}", bad


def corruptions(name: str) -> list[tuple[Path, str, Any]]:
    """Every single thing that can be wrong with the valid call of a function."""
    make, filled, optional = CALLS[name]

    def inside(path: Path, value: Any) -> Iterator[tuple[Path, str, Any]]:
        argument = path[0]
        may_be_none = (
            value is None
            or (argument in optional and len(path) == 1)
            or (argument == "epilogue" and len(path) == 2)
            or (argument in ("along_h", "along_w") and path[1:] in ((1,), (2,)))
        )
        if not may_be_none:
            yield path, "None", None
        found: Iterator[Corruption] = iter(())
        if isinstance(value, np.ndarray):
            found = bad_arrays(value, argument in filled)
        elif isinstance(value, (str, int, float)):
            found = bad_scalars(value)
        elif isinstance(value, tuple):
            yield from ((path, what, bad) for what, bad in no_arrays() if what not in SEQUENCES)
            if name != "empty":  # of any number of axes
                yield path, "shorter", value[:-1] if argument != "parameters" else (1.0,) * 5
                yield path, "longer", (*value, value[-1])
            yield path, "endless", range(10**6)
            for i, element in enumerate(value):
                yield from inside((*path, i), element)
        yield from ((path, what, bad) for what, bad in found)

    return [
        found
        for argument, value in make().items()
        for found in inside((argument,), value)
        if found[1] not in RIGHT.get((name, argument), ())
    ]


def replace(value: Any, path: Path, bad: Any) -> Any:
    if not path:
        return bad
    items = list(value)
    items[path[0]] = replace(items[path[0]], path[1:], bad)
    return tuple(items)


def corrupt(call: dict[str, Any], path: Path, bad: Any) -> dict[str, Any]:
    return call | {path[0]: replace(call[path[0]], path[1:], bad)}


def outputs(call: dict[str, Any], filled: set[str]) -> Iterator[np.ndarray]:
    for name in filled:
        yield from call[name] if isinstance(call[name], tuple) else (call[name],)


def refused(name: str, *found: tuple[Path, str, Any]) -> str | None:
    """None if the corrupted call is refused and nothing was written; else what went wrong."""
    make, filled, _ = CALLS[name]
    call = make()
    good = list(outputs(call, filled))
    for path, _, bad in found:
        call = corrupt(call, path, bad)
    what = ", ".join(f"{'.'.join(map(str, path))}: {what}" for path, what, _ in found)
    try:
        getattr(native, name)(**call)
    except (ValueError, TypeError) as error:
        written = any((a != POISON).any() for a in good)
        return f"{name} wrote before it refused {what}: {error}" if written else None
    except BaseException as error:
        return f"{name} answered {what} with {error!r}"
    return f"{name} accepted {what}"


def functions() -> list[str]:
    return sorted(CALLS) if native is not None else []


def test_every_function_is_tested():
    assert {f for f in dir(native) if not f.startswith("__")} == CALLS.keys() | WITHOUT_CALLS


@pytest.mark.parametrize("name", functions())
def test_the_valid_call_runs(name):
    make, filled, _ = CALLS[name]
    call = make()
    getattr(native, name)(**call)
    if name != "check_array":
        for output in outputs(call, filled):
            assert (output != POISON).any()


@pytest.mark.parametrize("name", functions())
def test_one_bad_argument(name):
    wrong = [answer for found in corruptions(name) if (answer := refused(name, found))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", functions())
def test_several_bad_arguments(name):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    possible = [found for found in corruptions(name) if len(found[0]) == 1]
    for _ in range(COMBINATIONS):
        chosen = rng.choice(len(possible), min(3, len(possible)), replace=False)
        together = {possible[i][0]: possible[i] for i in chosen}
        fitting = [path for path, (_, what, _) in together.items() if what in FITTING]
        for path in fitting[1:]:
            del together[path]
        answer = refused(name, *together.values())
        assert answer is None, answer


@pytest.mark.parametrize("name", functions())
def test_missing_and_unknown_arguments(name):
    call = CALLS[name][0]()
    function = getattr(native, name)
    required = [
        a for a in call if a not in ("shape", "dtypes", "layout", "output", "channels_last")
    ]
    for argument in required if name != "empty" else ["shape", "dtype"]:
        with pytest.raises(TypeError):
            function(**{k: v for k, v in call.items() if k != argument})
    with pytest.raises(TypeError):
        function(**call, none_such=1)
    with pytest.raises(TypeError):
        function(*call.values(), *call.values())


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, bool])
def test_targets_of_any_value(dtype):
    rng = np.random.default_rng(secrets.randbits(32))
    values = rng.choice([-(2**63), -1, 0, 2, 3, 100, 2**31, 2**63 - 1], (5, 4)).astype(dtype)
    logits, loss = x(5, 3, 4), y(5, 4)
    native.softmax_cross_entropy_fprop(logits, values, x(3), loss, y(5, 4), -100, 0.1)
    native.softmax_cross_entropy_dgrad(loss, logits, values, x(3), y(5, 4), y(5, 3, 4), -100, 0.1)


@pytest.mark.parametrize("bad", [-1, 16, 2**31, 2**63 - 1, -(2**63)])
def test_indices_outside(bad):
    indices = np.zeros((2, 3, 2, 2), np.int64)
    indices[1, 2, 1, 0] = bad
    with pytest.raises(ValueError, match="accepted: "):
        native.max_unpool2d_fprop(x(2, 3, 2, 2), indices, y(2, 3, 4, 4))
    with pytest.raises(ValueError, match="accepted: "):
        native.max_unpool2d_dgrad(x(2, 3, 4, 4), indices, y(2, 3, 2, 2))
    taps = table(5, 2)
    taps[0][3, 1] = bad
    with pytest.raises(ValueError, match="accepted: integers from 0 to 3"):
        native.resize2d(x(2, 3, 4, 4), y(2, 3, 5, 6), taps, table(6, 3))


@pytest.mark.parametrize(
    "shape", [(2**62,), (2**31, 2**31), (2**61, 8), (-1,), (2, -(2**63)), (2**40, 2**40)]
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_nobody_has(shape, channels_last):
    with pytest.raises((ValueError, MemoryError)):
        native.empty(shape, np.dtype("f4"), channels_last)
    with pytest.raises((ValueError, MemoryError)):
        native.empty((*shape, 1, 1, 1)[:4], np.dtype("f8"), channels_last)


@pytest.mark.parametrize("name", ["concat", "split", "softmax_fprop", "softmax_dgrad"])
@pytest.mark.parametrize("axis", [-1, 2, 2**62])
def test_axis_outside(name, axis):
    assert (answer := refused(name, (("axis",), f"{axis}", axis))) is None, answer
    assert (answer := refused("reduce", (("axes",), f"{axis}", (axis,)))) is None, answer
