"""Faults in the checks that the C++ kernels' arguments meet."""

from __future__ import annotations

from .harness import Mutant

ONE_BAD = "tests/build/test_native_kernels.py -k 'one_bad_argument and "

MUTANTS = [
    Mutant("csrc/bindings/native_softmax.cpp",
           "    check_shape(name, view, like.shape, like.ndim);\n", "", ONE_BAD + "softmax_dgrad'"),
    Mutant("csrc/bindings/native_concat.cpp", "if (!joins) check_output(name, part);", "",
           ONE_BAD + "split'"),
    Mutant("csrc/bindings/native_reduce.cpp", "axis >= call.x.ndim", "axis > call.x.ndim",
           "tests/build/test_native_kernels.py -k axis_outside"),
]  # fmt: skip
