"""Times of pycnn's kernels and networks beside PyTorch's: `python -m pycnn bench --help`.

This folder is installed as `pycnn.benchmarks`. docs/benchmarks.md says how a number comes about.
"""

if __name__ != "pycnn.benchmarks":
    raise ImportError(
        f"the benchmarks were imported as '{__name__}', but their name is 'pycnn.benchmarks': "
        "install pycnn and import that"
    )
