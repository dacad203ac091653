"""kernels/launch.py and the mended interpreter: what runs a Triton kernel, and what it refuses."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from pycnn.kernels import mode

if mode.why_not() is not None:
    pytest.skip(str(mode.why_not()), allow_module_level=True)

import triton
import triton.language as tl

from pycnn.kernels import interpreter, launch, tuning

interpreted = pytest.mark.skipif(
    mode.settle() != mode.INTERPRETED, reason="kernels are compiled here, for the GPU"
)
KERNELS = Path(launch.__file__).parent
FRAME = {
    "__init__",
    "interpreter",
    "launch",
    "mode",
    "numbers",
    "precision",
    "tuning",
    "tuning_rows",
}


@triton.jit
def _copy(x, y, count, shift, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + i, tl.load(x + i + shift, mask=i < count, other=0.0), mask=i < count)


@triton.jit
def _store(y, count, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(y + i, i.to(tl.float32), mask=i < count)


@triton.jit
def _product(a, b, c, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    at = i[:, None] * SIZE + i[None, :]
    tl.store(c + at, tl.dot(tl.load(a + at), tl.load(b + at), out_dtype=tl.float32))


@triton.jit
def _narrow(x, y, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    tl.store(y + i, tl.load(x + i).to(tl.bfloat16))


@triton.jit
def _scale(x, y, factor, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    tl.store(y + i, tl.load(x + i) * factor)


@interpreted
def test_a_read_outside_is_refused():
    x, y = np.ones(40, np.float32), np.ones(40, np.float32)
    launch.launch(_copy, (2,), x, y, 40, 0, BLOCK=32)
    for shift in (-1, 1):
        with pytest.raises(
            interpreter.OutOfBounds, match=r"_copy: a kernel read 4 bytes .*x \(40,"
        ):
            launch.launch(_copy, (2,), x, y, 40, shift, BLOCK=32)


@interpreted
def test_a_write_outside_is_refused():
    y = np.zeros(20, np.float32)
    launch.launch(_store, (1,), y, 20, BLOCK=32)
    assert (y == np.arange(20)).all()
    with pytest.raises(interpreter.OutOfBounds, match=r"_store: a kernel wrote 4 bytes .*y \(20,"):
        launch.launch(_store, (1,), y, 21, BLOCK=32)


@interpreted
def test_bfloat16_products_are_numbers():
    """Upstream's interpreter multiplies the bits."""
    rng = np.random.default_rng()
    a, b = (rng.integers(-3, 4, (16, 16)).astype(ml_dtypes.bfloat16) for _ in "ab")
    c = np.empty((16, 16), np.float32)
    launch.launch(_product, (1,), a, b, c, SIZE=16)
    assert (c == a.astype(np.float32) @ b.astype(np.float32)).all()


@interpreted
def test_bfloat16_is_rounded_to_the_nearest_even():
    """Upstream's interpreter drops the digits."""
    rng = np.random.default_rng()
    x = rng.standard_normal(4096).astype(np.float32)
    x[:6] = 1 + 2**-8, 1 + 3 * 2**-8, np.inf, np.nan, 3.3e38, 1e-40
    y = np.empty(4096, ml_dtypes.bfloat16)
    launch.launch(_narrow, (1,), x, y, SIZE=4096)
    np.testing.assert_array_equal(y.astype(np.float64), x.astype(y.dtype).astype(np.float64))


@interpreted
def test_scalars_have_the_arrays_precision():
    x = np.ones(4)
    for dtype in (np.float64, np.float32):
        y = np.empty(4, dtype)
        launch.launch(_scale, (1,), x.astype(dtype), y, 0.1, SIZE=4)
        assert (y == dtype(0.1)).all()


def test_arguments_and_grids_are_checked():
    x = np.zeros(4, np.float32)
    with pytest.raises(TypeError, match="_copy takes x, y, count, shift, BLOCK"):
        launch.launch(_copy, (1,), x, x, 4, BLOCK=32)
    with pytest.raises(ValueError, match="grid: got"):
        launch.launch(_copy, (1, 65536), x, x, 4, 0, BLOCK=32)
    launch.launch(_copy, (0,), None, None, 4, 0, BLOCK=32)  # no point: nothing runs


def test_recording_runs_nothing():
    x, y = np.ones(32, np.float32), np.zeros(32, np.float32)
    with launch.recording() as launches:
        launch.launch(_copy, (3,), x, y, 48, 1, BLOCK=32, num_warps=2)
    assert (y == 0).all()
    (what,) = launches
    assert what.signature == {
        "x": "*fp32", "y": "*fp32", "count": "i32", "shift": "constexpr", "BLOCK": "constexpr",
    }  # fmt: skip
    assert what.constexprs == {(3,): 1, (4,): 32}
    assert (2,) in what.attributes  # 48 is a multiple of 16
    assert (what.num_warps, what.grid) == (2, (3,))


def test_large_counts_are_64_bit():
    x = np.zeros(1, np.float16)
    with launch.recording() as launches:
        launch.launch(_copy, (1,), x, x, 2**31, 2**31 - 1, BLOCK=32)
    assert launches[0].signature["count"] == "i64"
    assert launches[0].signature["shift"] == "i32"


def test_a_configuration_can_be_forced():
    tiles = tuning.Configurations(
        "test.tiles",
        tuning.Config({"BLOCK": 32}),
        tuning.Config({"BLOCK": 64}, dtypes=("float16",)),
    )
    try:
        assert tiles.choose("float16", (), lambda c: -c.tiles["BLOCK"]).tiles["BLOCK"] == 64
        assert tiles.choose("float32", (), lambda c: -c.tiles["BLOCK"]).tiles["BLOCK"] == 32
        with tuning.forcing("test.tiles", tuning.Config({"BLOCK": 16})):
            assert tiles.choose("float32", (), lambda c: 0).tiles["BLOCK"] == 16
        assert tiles.choose("float32", (), lambda c: 0).tiles["BLOCK"] == 32
    finally:
        del tuning.REGISTRY["test.tiles"]


SUM = "pycnn.functional.add_activation(pycnn.ones(3), pycnn.ones(3), 'relu')"


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    inherited = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET",)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=inherited | environment,
    )  # fmt: skip


def test_triton_imported_in_the_other_mode_is_an_error():
    code = f"import triton, pycnn\nwith pycnn.using('triton'): {SUM}"
    result = _python(code, PYCNN_TRITON="interpret")
    assert result.returncode != 0
    assert "Triton was imported before, with its kernels compiled" in result.stderr
    assert "TRITON_INTERPRET=1" in result.stderr
    assert _python(code, PYCNN_TRITON="interpret", TRITON_INTERPRET="1").returncode == 0


def test_the_environment_is_left_as_it_was():
    code = (
        "import os, sys, pycnn\n"
        "pycnn.relu(pycnn.ones(3)); assert 'triton' not in sys.modules\n"
        f"with pycnn.using('triton'): {SUM}\n"
        "assert 'triton' in sys.modules and 'TRITON_INTERPRET' not in os.environ"
    )
    result = _python(code, PYCNN_TRITON="interpret")
    assert result.returncode == 0, result.stderr


def test_an_unknown_mode_is_refused():
    result = _python("import pycnn; pycnn.ones(3) + 1", PYCNN_TRITON="guess")
    assert "PYCNN_TRITON: got 'guess', expected one of interpret, compile" in result.stderr


@pytest.mark.parametrize(
    "path", sorted(p for p in KERNELS.glob("*.py") if p.stem not in FRAME), ids=lambda p: p.stem
)
def test_launchers_do_no_array_arithmetic(path):
    """Outside kernels, no numpy, cupy or torch, and no operator on an array but its attributes."""
    tree = ast.parse(path.read_text())
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert not imported & {"numpy", "cupy", "torch", "scipy"}, path
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef)):
        if any("jit" in ast.unparse(d) for d in function.decorator_list):
            continue
        arrays = {
            a.arg
            for a in (*function.args.args, *function.args.kwonlyargs, function.args.vararg)
            if a is not None and a.annotation is not None and "Array" in ast.unparse(a.annotation)
        }
        for node in ast.walk(function):
            if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.AugAssign)):
                operands = [getattr(node, name, None) for name in ("left", "right", "operand")]
                named = {n.id for n in operands if isinstance(n, ast.Name)}
                assert not named & arrays, f"{path}:{node.lineno}: arithmetic on an array"
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
                target = node.targets[0].value
                written = isinstance(target, ast.Name) and target.id in arrays
                assert not written, f"{path}:{node.lineno}: an array is written by a launcher"
