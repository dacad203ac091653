"""Cases of gemm: out[b] = a[b] @ b[b]."""

from __future__ import annotations

import torch

from ....dispatch import ACTIVATIONS, Epilogue
from ....geometry import gemm_geometry
from ..case import EXACT_ACTIVATIONS, Case


def _magnitude(a, b):
    return torch.sqrt(torch.matmul(a * a, b * b))


def case(name, b, m, n, k, *, transposed=(), epilogue=None, **options) -> Case:
    """`transposed` names the operands that are handed over as transposed views."""

    def inputs(draw):
        left, right = draw(b, m, k), draw(b, k, n)
        if "a" in transposed:
            left = draw(b, k, m).transpose(0, 2, 1)
        if "b" in transposed:
            right = draw(b, n, k).transpose(0, 2, 1)
        return left, right

    return Case(
        "gemm",
        name,
        gemm_geometry(b, m, n, k),
        inputs,
        torch.matmul,
        depth=max(k, 1),
        magnitude=_magnitude,
        epilogue=epilogue,
        **options,
    )


def _full_epilogue(activation):
    return lambda draw: Epilogue(
        bias=draw(5), scale=draw(5), shift=draw(5), residual=draw(2, 7, 5), activation=activation
    )


CASES = [
    case("square", 1, 8, 8, 8),
    case("primes", 1, 13, 7, 11),
    case("one row", 1, 1, 17, 5),
    case("one column", 1, 17, 1, 5),
    case("one term", 1, 6, 5, 1),
    case("batched", 3, 5, 4, 6),
    case("a transposed", 2, 6, 5, 7, transposed="a"),
    case("b transposed", 2, 6, 5, 7, transposed="b"),
    case("both transposed", 1, 6, 5, 7, transposed="ab"),
    case("deep", 1, 3, 4, 1025),
    case("past a tile", 1, 129, 151, 67, large=True),
    case("a row more than a tile", 1, 15, 33, 20, large=True),
    case("a row less than two tiles", 1, 27, 31, 20, large=True),
    case("past a block of terms", 1, 31, 37, 769, large=True),
    case("past a block of terms, a transposed", 1, 31, 37, 769, transposed="a", large=True),
    case("past a block of terms, b transposed", 1, 31, 37, 769, transposed="b", large=True),
    case("few rows, long", 1, 7, 801, 403, large=True),
    case("few rows, b transposed", 2, 6, 41, 403, transposed="b", large=True),
    case("few rows, both transposed", 1, 13, 9, 77, transposed="ab", large=True),
    case("few columns", 3, 300, 3, 65, large=True),
    case("outer product", 1, 67, 65, 1, large=True),
    case("deep and small", 1, 17, 18, 5000, transposed="a", large=True),
    case("more rows than a task", 1, 1100, 40, 33, large=True),
    case("more matrices than threads", 9, 16, 20, 17, large=True),
    case("rows a power of two apart", 1, 45, 70, 1024, large=True),
    case("many tiles", 2, 300, 257, 130, large=True, slow=True),
    case("whole vectors", 2, 72, 80, 96, large=True),
    case("whole vectors, a transposed", 1, 72, 40, 56, transposed="a", large=True),
    case("whole vectors, b transposed", 1, 24, 136, 64, transposed="b", large=True),
    case("whole vectors, both transposed", 1, 80, 72, 32, transposed="ab", large=True),
    case("whole vectors, deep and small", 1, 16, 24, 2048, transposed="a", large=True),
    case("large tiles", 1, 1400, 1528, 24, large=True, slow=True),
    case(
        "whole vectors with an epilogue",
        2,
        40,
        72,
        24,
        epilogue=lambda draw: Epilogue(
            draw(72), draw(72), draw(72), draw(2, 40, 72), activation="relu"
        ),
        large=True,
    ),
    case("no batch", 0, 3, 4, 5),
    case("no rows", 2, 0, 4, 5),
    case("no columns", 2, 3, 0, 5),
    case("no terms", 2, 3, 4, 0),
    case("bias", 2, 7, 5, 9, epilogue=lambda draw: Epilogue(bias=draw(5))),
    case(
        "residual past a block of terms",
        2,
        20,
        37,
        800,
        epilogue=lambda draw: Epilogue(
            draw(37), draw(37), draw(37), draw(2, 20, 37), activation="relu"
        ),
        large=True,
    ),
    case(
        "deep and small with an epilogue",
        1,
        20,
        7,
        4200,
        epilogue=lambda draw: Epilogue(draw(7), residual=draw(1, 20, 7), activation="silu"),
        exact=False,
        large=True,
    ),
    case(
        "one column with an epilogue",
        2,
        21,
        1,
        9,
        epilogue=lambda draw: Epilogue(draw(1), draw(1), None, draw(2, 21, 1)),
    ),
    case("scale and shift", 2, 7, 5, 9, epilogue=lambda draw: Epilogue(None, draw(5), draw(5))),
    *(
        case(
            f"epilogue {activation}",
            2,
            7,
            5,
            9,
            epilogue=_full_epilogue(activation),
            exact=activation in EXACT_ACTIVATIONS,
        )
        for activation in (None, *ACTIVATIONS)
    ),
]
