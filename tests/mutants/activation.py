"""Faults in the activations, their derivatives and dropout."""

from __future__ import annotations

from .harness import Mutant

REFERENCE = "pycnn/providers/reference/activation.py"
ADD = "pycnn/providers/reference/add_activation.py"
FUNCTIONAL = "pycnn/functional/activation.py"
COMMON = "pycnn/functional/_common.py"
DROPOUT = "pycnn/providers/reference/dropout.py"
TESTS = "tests/functional/test_activation.py"
KERNELS = "tests/kernels/test_kernels.py"

MUTANTS = [
    Mutant(
        REFERENCE,
        "return xp.where(y <= 0, 0, dy)",
        "return xp.where(y < 0, 0, dy)",
        killer=f"{TESTS}::test_value_and_gradient[relu]",
    ),
    Mutant(
        REFERENCE,
        "return xp.where((y > low) & (y < high), dy, 0)",
        "return xp.where((y > low) & (y <= high), dy, 0)",
        killer=f"{TESTS}::test_value_and_gradient[relu6]",
    ),
    Mutant(
        REFERENCE,
        "return xp.where(saved > 0, dy, dy * slope)",
        "return xp.where(saved >= 0, dy, dy * slope)",
        killer=f"{TESTS}::test_saves_is_enough[leaky_relu]",
    ),
    Mutant(
        REFERENCE,
        "return xp.where(x <= -3, 0, xp.where(x >= 3, dy,",
        "return xp.where(x <= -3, 0, xp.where(x > 3, dy,",
        killer=f"{TESTS}::test_value_and_gradient[hardswish]",
    ),
    Mutant(
        REFERENCE,
        "slope = _SQRT_2_OVER_PI * (1 + 3 * _CUBIC * x * x)",
        "slope = _SQRT_2_OVER_PI * (1 + 2 * _CUBIC * x * x)",
        killer=f"{TESTS}::test_value_and_gradient[gelu-tanh]",
    ),
    Mutant(
        REFERENCE,
        "return xp.where(x > 0, 0, x * dy)",
        "return xp.where(x >= 0, x * dy, 0)",
        killer=f"{TESTS}::test_prelu",
    ),
    Mutant(
        ADD,
        "total = widened(a) + widened(b)",
        "total = widened(a + b)",
        killer=f"{TESTS}::test_add_activation_is_rounded_once",
    ),
    Mutant(
        FUNCTIONAL,
        '"y" if slope >= 0 else "x"',
        '"y"',
        killer=f"{TESTS}::test_leaky_relu_in_place_with_a_negative_slope",
    ),
    Mutant(
        FUNCTIONAL,
        '"silu": "x"',
        '"silu": "y"',
        killer=f"{TESTS}::test_saves_is_enough[silu]",
    ),
    Mutant(
        COMMON,
        "(v[0], v[0].value) for v in",
        "(v[0], v[0].value - 1) for v in",
        killer=f"{TESTS}::test_inplace[relu]",
    ),
    Mutant(
        DROPOUT,
        "else 1 / (1 - p)",
        "else 1 / p",
        killer="tests/functional/test_dropout.py::test_share_and_scale[0.1]",
    ),
    Mutant(
        DROPOUT,
        "x.shape[: geometry.axes]",
        "x.shape[: geometry.axes + 1]",
        killer="tests/functional/test_dropout.py::test_whole_channels",
    ),
]
