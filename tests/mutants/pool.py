"""Faults in pooling: ties, NaN, windows at the edges, divisors, indices."""

from __future__ import annotations

from .harness import Mutant

REFERENCE = "pycnn/providers/reference/pool2d.py"
FUNCTIONAL = "pycnn/functional/pool.py"
GEOMETRY = "pycnn/geometry/pool2d.py"
TESTS = "tests/functional/test_pool.py"

MUTANTS = [
    Mutant(
        REFERENCE,
        "better = (value > known) | (value != value)",
        "better = (value >= known) | (value != value)",
        killer=f"{TESTS}::test_nan_and_ties",
    ),
    Mutant(
        REFERENCE,
        "better = (value > known) | (value != value)",
        "better = value > known",
        killer=f"{TESTS}::test_first_maximum_and_last_nan",
    ),
    Mutant(
        REFERENCE,
        "better = (value > best) | (value != value)",
        "better = value > best",
        killer=f"{TESTS}::test_nan_and_ties",
    ),
    Mutant(
        REFERENCE,
        "return [-(min(start, 0) // dilation) for",
        "return [-min(start, 0) for",
        killer=f"{TESTS}::test_nan_and_ties",
    ),
    Mutant(
        REFERENCE,
        "seen[tap, start] += 1",
        "seen[tap, start] += 0",
        killer=f"{TESTS}::test_random_adaptive_sizes",
    ),
    Mutant(
        REFERENCE,
        "if 0 <= position < size:",
        "if 0 < position < size:",
        killer=f"{TESTS}::test_nan_and_ties",
    ),
    Mutant(
        REFERENCE,
        "min(end, size) - max(start, 0)",
        "min(end, size) - start",
        killer=f"{TESTS}::test_parity",
    ),
    Mutant(
        REFERENCE,
        "xp.sign(total) * xp.sign(divisors) * (abs(total) // abs(divisors))",
        "total // divisors",
        killer=f"{TESTS}::test_integers",
    ),
    Mutant(
        REFERENCE,
        "dx[inputs] += share[outputs]",
        "dx[inputs] = share[outputs]",
        killer=f"{TESTS}::test_parity",
    ),
    Mutant(
        GEOMETRY,
        "(outputs - 1) * stride >= size + pad",
        "(outputs - 1) * stride > size + pad",
        killer=f"{TESTS}::test_parity",
    ),
    Mutant(
        GEOMETRY,
        "min(start + (taps - 1) * dilation + 1, size + pad)",
        "min(start + (taps - 1) * dilation + 1, size)",
        killer=f"{TESTS}::test_parity",
    ),
    Mutant(
        GEOMETRY,
        "-(-(i + 1) * size // outputs)) for i",
        "(i + 1) * size // outputs) for i",
        killer=f"{TESTS}::test_parity",
    ),
    Mutant(
        GEOMETRY,
        '"uint8" if self.taps <= 256',
        '"uint8" if self.taps <= 512',
        killer=f"{TESTS}::test_parity",
    ),
    Mutant(
        FUNCTIONAL,
        "(left + s * g.dilation_w)",
        "(left + s)",
        killer=f"{TESTS}::test_parity",
    ),
    Mutant(
        FUNCTIONAL,
        "highest >= volume",
        "highest > volume",
        killer=f"{TESTS}::test_unpool_errors",
    ),
]
