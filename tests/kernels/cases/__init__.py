"""The case table: each family's module lists its `CASES`; `CASES` here is all of them."""

from __future__ import annotations

import importlib
import importlib.util

from ..harness import Case

FAMILIES = (
    "conv2d",
    "im2col",
    "gemm",
    "elementwise",
    "activation",
    "reduce",
    "concat",
    "add_activation",
    "pool2d",
    "max_unpool2d",
    "batch_norm",
    "local_response_norm",
    "resize2d",
    "softmax",
    "softmax_cross_entropy",
)


def collect() -> list[Case]:
    """Every family's cases; two cases of one primitive must not share a name."""
    cases: list[Case] = []
    for family in FAMILIES:
        if importlib.util.find_spec(f"{__name__}.{family}") is not None:
            cases += importlib.import_module(f"{__name__}.{family}").CASES
    ids = [(case.primitive, case.name) for case in cases]
    repeated = {i for i in ids if ids.count(i) > 1}
    if repeated:
        raise ValueError(f"case names used twice: {sorted(repeated)}")
    return cases


CASES = collect()
