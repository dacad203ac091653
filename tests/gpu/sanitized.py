"""What test_sanitizer.py runs under compute-sanitizer: python -m tests.gpu.sanitized

Two cases of each primitive on every CUDA kernel, each array in an allocation of its own: CuPy's
pool would hide an access past the end of one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pycnn import array
from pycnn.testing.kernels import harness, problems
from pycnn.testing.kernels.case import Case
from pycnn.testing.kernels.cases import CASES
from pycnn.testing.kernels.configurations import Kernel

from .providers import compiled

LAYOUTS = (("contiguous", "contiguous"), ("gaps", "channels_last"))
DTYPES = ("float32", "float16")


def chosen() -> Iterator[Case]:
    """The first two small cases of each primitive."""
    small = sorted((c for c in CASES if not c.slow and not c.large), key=lambda c: c.primitive)
    for _, group in itertools.groupby(small, key=lambda c: c.primitive):
        yield from itertools.islice(group, 2)


def main() -> None:
    array.import_cupy().cuda.set_allocator(None)
    ran = 0
    for case in chosen():
        for dtype in set(DTYPES) & set(case.dtypes):
            problem = problems.real_problem(case, dtype)
            for entry in compiled(case.primitive, "cuda"):
                for layout in LAYOUTS:
                    done = harness.execute_unless_refused(
                        case, Kernel(entry), problem, layout, "cuda:0"
                    )
                    ran += done is not None
    assert ran, "no CUDA kernel ran"
    print(f"{ran} runs")


if __name__ == "__main__":
    main()
