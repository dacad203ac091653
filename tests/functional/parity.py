"""One-line parity tests: the same call in torch and in pycnn, value, shape, dtype and every
gradient compared.

    parity(lambda F, x, w: F.conv2d(x, w, padding=1), (2, 3, 9, 9), (4, 3, 3, 3))

`F` is torch.nn.functional or pycnn.functional; functions whose first parameter is named `T` get
torch or pycnn instead. Operands are shapes (fresh Gaussian inputs) or NumPy arrays (integer ones
get no gradient). pycnn.testing.parity judges by PyTorch's own error; here float64 must agree to
1e-10, and integers, layouts and what requires grad are compared too.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pycnn
from pycnn.testing.sides import to_numpy as from_torch
from pycnn.testing.sides import to_torch

SEED = int(os.environ.get("PYCNN_TEST_SEED", "0")) or int(
    np.random.SeedSequence().generate_state(1)[0]
)


def fresh(*shape: int, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Gaussian numbers that differ from run to run; PYCNN_TEST_SEED repeats a run."""
    return np.random.default_rng([SEED, seed, *shape]).standard_normal(shape).astype(dtype)


def assert_equal(ours: Any, theirs: Any, rtol: float, atol: float, what: str) -> None:
    """Value, shape and dtype of one result; NaN equals NaN."""
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs), f"{what}: {len(ours)} results, torch has {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_equal(a, b, rtol, atol, f"{what}[{i}]")
        return
    if not isinstance(theirs, torch.Tensor):
        assert ours == theirs, f"{what}: {ours!r}, torch has {theirs!r}"
        return
    a, b = ours.detach().numpy(), from_torch(theirs)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, torch has {b.shape}"
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype}, torch has {b.dtype}"
    if a.dtype in pycnn.dtypes.FLOATING:
        np.testing.assert_allclose(
            a.astype(np.float64), b.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True,
            err_msg=f"{what} (PYCNN_TEST_SEED={SEED})",
        )  # fmt: skip
    else:
        np.testing.assert_array_equal(a, b, err_msg=f"{what} (PYCNN_TEST_SEED={SEED})")


def parity(
    function: Callable[..., Any],
    *operands: Any,
    dtype: str = "float64",
    gradients: bool = True,
    rtol: float = 1e-10,
    atol: float = 1e-10,
    channels_last: bool = False,
) -> None:
    """Assert that `function` gives in pycnn what it gives in torch, forward and every gradient.

    The default tolerances are for float64; pass the dtype's own for others, with gradients=False
    for halves."""
    arrays = []
    for i, operand in enumerate(operands):
        if isinstance(operand, np.ndarray):
            arrays.append(operand)
        else:
            arrays.append(fresh(*operand, seed=i).astype(pycnn.dtypes.as_dtype(dtype)))
    ours, theirs = [], []
    for a in arrays:
        wants = gradients and a.dtype in pycnn.dtypes.FLOATING
        x, t = pycnn.from_numpy(a.copy(order="K")), to_torch(a.copy(order="K"))
        if channels_last and a.ndim == 4:
            x, t = (
                x.contiguous(memory_format=pycnn.channels_last),
                t.contiguous(memory_format=torch.channels_last),
            )
        ours.append(x.requires_grad_(wants))
        theirs.append(t.requires_grad_(wants))
    takes_t = next(iter(inspect.signature(function).parameters)) == "T"
    y = function(pycnn if takes_t else pycnn.functional, *ours)
    expected = function(torch if takes_t else torch.nn.functional, *theirs)
    assert_equal(y, expected, rtol, atol, "output")
    if not gradients:
        return
    outputs = (
        list(zip(y, expected, strict=True))
        if isinstance(expected, (tuple, list))
        else [(y, expected)]
    )
    pairs = [(a, b) for a, b in outputs if isinstance(b, torch.Tensor) and b.requires_grad]
    assert pairs, "no output requires grad: pass gradients=False"
    seeds = [
        fresh(*b.shape, seed=100 + i).astype(from_torch(b).dtype) for i, (_, b) in enumerate(pairs)
    ]
    for a, b in outputs:
        if isinstance(b, torch.Tensor):
            assert a.requires_grad == b.requires_grad, (
                f"requires_grad {a.requires_grad}, torch {b.requires_grad}"
            )
    torch.autograd.backward([b for _, b in pairs], [to_torch(s) for s in seeds])
    pycnn.autograd.backward([a for a, _ in pairs], [pycnn.from_numpy(s) for s in seeds])
    for i, (x, t) in enumerate(zip(ours, theirs, strict=True)):
        if t.grad is None:
            assert x.grad is None or not x.grad.numpy().any(), (
                f"gradient of input {i}: torch has none"
            )
        else:
            assert x.grad is not None, f"gradient of input {i}: none, torch has one"
            assert_equal(x.grad, t.grad, rtol, atol, f"gradient of input {i}")


def same_error(function: Callable[..., Any], *operands: Any) -> None:
    """Assert that pycnn raises what torch raises (the same class, or a subclass of it)."""
    import pytest

    arrays = [a if isinstance(a, np.ndarray) else fresh(*a, seed=i) for i, a in enumerate(operands)]
    takes_t = next(iter(inspect.signature(function).parameters)) == "T"
    try:
        function(torch if takes_t else torch.nn.functional, *[to_torch(a.copy()) for a in arrays])
    except Exception as error:
        expected = type(error)
    else:
        raise AssertionError("torch raises nothing here")
    expected = next(c for c in expected.__mro__ if c.__module__ == "builtins")
    with pytest.raises(expected):
        function(
            pycnn if takes_t else pycnn.functional, *[pycnn.from_numpy(a.copy()) for a in arrays]
        )
