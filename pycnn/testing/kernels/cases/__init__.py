"""The case table: each family's module lists its `CASES`; `CASES` here is all of them."""

from __future__ import annotations

import os
from importlib import import_module
from pkgutil import iter_modules

from ..case import Case


def collect() -> list[Case]:
    """Every family's cases, or those whose name holds $PYCNN_TEST_CASES.

    Two cases of one primitive must not share a name."""
    cases: list[Case] = []
    for family in iter_modules(__path__):
        cases += import_module(f"{__name__}.{family.name}").CASES
    ids = [(case.primitive, case.name) for case in cases]
    repeated = {i for i in ids if ids.count(i) > 1}
    if repeated:
        raise ValueError(f"case names used twice: {sorted(repeated)}")
    wanted = os.environ.get("PYCNN_TEST_CASES", "")
    return [case for case in cases if wanted in str(case)]


CASES = collect()
