"""Times of pycnn's kernels and networks beside PyTorch's: `python -m benchmarks --help`."""
