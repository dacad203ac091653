"""Which tests of the case table run in `make test`, and which in the sanitizers' builds."""

from __future__ import annotations

import zlib

from pycnn.testing.kernels.configurations import Kernel

HALVES_AND_DOUBLE = ("float64", "float16", "bfloat16")


def in_the_short_tier(
    test: str, primitive: str, name: str, exact: bool, kernel: Kernel, dtype: str
) -> bool:
    """Whether a test of a case runs in `make test`: all of the native kernels' do.

    Interpreted kernels take a tenth of a second a launch, so that each case runs in float32 and
    every other one in a half, and one in four with its canaries; what is exact on integers is
    compared with float64 one time in two. Emulated kernels take a few milliseconds, but there are
    as many cases: each runs in float32 and a half and is compared with float64 in float32, every
    other one in another dtype too; one in four runs with its canaries, another one twice. Naive
    rungs run in float32."""
    if kernel.provider == "native":
        return True
    emulated = kernel.provider == "cuda"
    turn = _turn(primitive, name)
    half = ("float16", "bfloat16")[turn % 2]
    if kernel.algorithm == "naive":
        return test == "exact" and dtype == "float32"
    if test == "exact":
        return dtype not in HALVES_AND_DOUBLE or (
            dtype == half and (emulated or turn // 2 % 2 == 0)
        )
    if test == "oracle" and emulated:
        other = HALVES_AND_DOUBLE[turn // 8 % 3]
        return dtype not in HALVES_AND_DOUBLE or (dtype == other and turn // 4 % 2 == 0)
    if test == "oracle":
        return dtype == "float32" and (not exact or turn // 4 % 2 == 0)
    if test == "repeats":
        return emulated and turn % 4 == 1
    return test == "canary" and turn % 4 == 0


def in_checked_builds(
    test: str, primitive: str, name: str, exact: bool, large: bool, kernel: Kernel, dtype: str
) -> bool:
    """Whether a test of a case runs in the sanitizers' builds (tests/sanitize.py) too.

    What these find in an emulated kernel, a race or an access out of bounds, does not depend on the
    values, and seldom on the dtype: each case runs once in float32, every fourth in a half too. A
    case of one tile and its edges has what there is to find; of the large ones, which take as long
    as all others together, one in four runs."""
    if kernel.provider != "cuda":
        return True
    turn = _turn(primitive, name)
    usual = dtype not in HALVES_AND_DOUBLE or turn // 2 % 4 == 0
    return test == ("exact" if exact else "oracle") and usual and (not large or turn // 8 % 4 == 0)


def _turn(primitive: str, name: str) -> int:
    """A number of the case's own, to let cases take turns."""
    return zlib.crc32(f"{primitive} {name}".encode())
