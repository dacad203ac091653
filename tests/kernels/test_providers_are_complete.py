"""`with pycnn.using(provider)` runs every primitive: no case of a floating dtype is refused by all
of the provider's kernels."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
from pycnn import array, dispatch
from pycnn.config import cuda_modules, native_status
from pycnn.kernels import mode
from pycnn.testing.kernels import problems
from pycnn.testing.kernels.case import FLOATS, Case
from pycnn.testing.kernels.cases import CASES

_WHY_NOT = {
    "native": native_status()[1],
    "triton": mode.why_not(),
    "cuda": None if cuda_modules() else "no CUDA kernels were built",
}
_PROVIDERS = [
    pytest.param(name, marks=pytest.mark.skipif(bool(why), reason=str(why)))
    for name, why in _WHY_NOT.items()
]
_FLOAT_CASES = [case for case in CASES if set(case.dtypes) & set(FLOATS)]


@pytest.mark.parametrize("provider", _PROVIDERS)
@pytest.mark.parametrize("case", _FLOAT_CASES, ids=str)
def test_some_kernel_takes_it(case: Case, provider: str) -> None:
    entries = [
        e
        for e in dispatch.entries(case.primitive)
        if e.provider == provider and e.algorithm != "naive"
    ]
    for dtype in set(case.dtypes) & set(FLOATS):
        draw = problems.integer_problem if case.exact else problems.real_problem
        problem = draw(case, dtype)
        operands = tuple(array.describe(a) for a in problem.inputs if a is not None)
        epilogue = None if problem.epilogue is None else problem.epilogue.describe()
        reasons = [e.refuses(case.geometry, operands, epilogue) for e in entries]
        assert None in reasons, f"{dtype}: {reasons}"


@pytest.mark.skipif(bool(_WHY_NOT["native"]), reason=str(_WHY_NOT["native"]))
@pytest.mark.parametrize("name", ["resnet18", "xception", "vgg16", "lenet5"])
def test_a_network_trains_on_native_kernels_alone(name: str) -> None:
    make = getattr(pycnn.models, name)
    net = make() if name == "lenet5" else make(width=0.125)
    channels, size = (1, 32) if name == "lenet5" else (3, 64)
    x = pycnn.randn(2, channels, size, size)
    optimizer = pycnn.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    with pycnn.using("native"), pycnn.trace() as trace:
        y = net(x)
        loss = pycnn.functional.cross_entropy(y, pycnn.tensor(np.array([1, 3])))
        loss.backward()
        optimizer.step()
    providers = {r.provider for r in trace.records}
    assert providers <= {"native", "array"}
    assert all(p.grad is not None for p in net.parameters())
