"""One table of cases, run over every kernel registered: (provider, algorithm) x dtype x layout.

A family states its cases in cases/<family>.py as a list `CASES`:

    def pool(g):
        return lambda x: F.avg_pool2d(x, (g.R, g.S), ...)

    CASES = [
        Case("avg_pool2d_fprop", "3x3 stride 2", geometry=g,
             inputs=lambda draw: (draw(2, 3, 9, 7),), oracle=pool(g), depth=9),
    ]

inputs    draws the primitive's arrays, in dispatch.PRIMITIVES' order, None where an optional one is
          left out. `draw` is a Draw: draw(*shape) gives float64 numbers that the dtype under test
          represents exactly. What is returned as float64 is cast to that dtype; every other array
          (indices, float32 statistics) is passed as it is.
oracle    computes the answer from torch tensors, a tensor or a tuple. It is called with float64
          tensors for the truth, and with tensors of the dtype under test, contiguous and
          channels-last, for PyTorch's own error: it must not assume a dtype. `opponent` replaces it
          for the second use; `opponent=None` leaves that use out.
depth     the number of terms in a sum; `magnitude` (from float64 tensors, like oracle) is the size
          those terms have together, sqrt(conv(x^2, w^2)) for a convolution. Without it, the
          answer's own absolute value.
epilogue  draws an Epilogue; the harness applies it to the oracle's answer itself.
exact     whether small integers give integers, so that kernel and oracle must agree bit for bit.

An algorithm of APPROXIMATE trades accuracy for speed. Integers too go through its transforms, so it
may miss both answers by its tolerance, relative to the largest output; nothing else is forgiven.

What tests/kernels/test_kernels.py checks, with outputs and workspaces full of NaN (integers: a
sentinel):
test_exact    on small integers the answer equals the oracle's, in every layout
test_oracle   the error against float64 is at most twice the worse of PyTorch's two layouts, or is
              under the floor 4*u_acc*sqrt(depth)*magnitude + u*|y|: a kernel rounds once, at the
              store, and sums in the accumulation dtype
test_canary   no byte outside the outputs changes, gaps between strides included, and no input does
test_repeats  two runs give the same bits

Inputs are drawn from a fresh seed in every run. A failure ends with the line that repeats it:
PYCNN_TEST_SEED=...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import dispatch, dtypes

FLOATS = ("float32", "float64", "float16", "bfloat16")
EXACT_ACTIVATIONS = (None, "relu", "relu6")


@dataclass(frozen=True, eq=False)
class Case:
    primitive: str
    name: str
    geometry: Any
    inputs: Callable[[Draw], tuple[Any, ...]]
    oracle: Callable[..., Any]
    opponent: Callable[..., Any] | None | str = "oracle"
    depth: int = 1
    magnitude: Callable[..., Any] | None = None
    epilogue: Callable[[Draw], dispatch.Epilogue] | None = None
    exact: bool = True
    dtypes: tuple[str, ...] = FLOATS
    out_dtypes: tuple[
        str | None, ...
    ] = ()  # per output: None is the dtype under test, "accumulation" its sums'
    large: bool = False  # too large for the naive rungs, which loop in Python
    slow: bool = False
    atol: float = 0.0  # added to the floor, in units of u: where the answer cancels to nearly zero

    def __str__(self) -> str:
        return f"{self.primitive}-{self.name.replace(' ', '_')}"


class Draw:
    """Random numbers that the dtype under test represents exactly, or small integers."""

    def __init__(
        self, rng: np.random.Generator, dtype: str, integer: tuple[int, float] | None = None
    ) -> None:
        self.rng = rng
        self.dtype = dtypes.as_dtype(dtype)
        self.accumulation = dtypes.accumulation_dtype(self.dtype)
        self.integer = integer

    def __call__(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """Normal numbers, or integers."""
        if self.integer is None and self.dtype in dtypes.FLOATING:
            return self.round(self.rng.standard_normal(shape) * scale)
        largest, density = self.integer or (100, 1.0)
        if not dtypes.is_floating_point(self.dtype):
            low = 0 if self.dtype.kind in "ub" else -largest
            return self.rng.integers(low, largest + 1, shape).astype(np.float64)
        values = self.rng.integers(-largest, largest + 1, shape)
        return (values * (self.rng.random(shape) < density)).astype(np.float64)

    def positive(self, *shape: int, low: float = 0.5, high: float = 2.0) -> np.ndarray:
        """Uniform numbers in [low, high); 1 or 2 in integer mode."""
        if self.integer is not None:
            return self.rng.integers(1, 3, shape).astype(np.float64)
        return self.round(self.rng.uniform(low, high, shape))

    def indices(self, size: int, *shape: int, dtype: str = "int64") -> np.ndarray:
        """Integers in [0, size)."""
        return self.rng.integers(0, size, shape).astype(dtype)

    def round(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values).astype(self.dtype).astype(np.float64)
