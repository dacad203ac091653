"""Made-up results: small files of schema 2, to be told from real ones at sight."""

import json

TEXT = '<img src=x onerror=alert(1)> </script> "&'  # has to be shown as it is


def times(least):
    return {"least": least, "p20": least * 1.1, "p50": least * 1.2, "p80": least * 1.5}


def row(name, ours, theirs, **other):
    """A convolution of 1e9 FLOPs and 1e8 bytes that takes `ours` seconds."""
    return {
        "suite": "convolution", "name": name, "primitive": "conv2d_fprop", "pass": "fprop",
        "batch": 8, "threads": 2, "geometry": "8x3x32x32 -> 16, 3x3", "dtype": "float32",
        "layout": "channels-last", "cache": "warm", "provider": "native", "algorithm": "direct",
        "seconds": times(ours), "gflops": 1 / ours, "gbytes_per_second": 0.1 / ours,
        "percent_of_roof": 50.0, "bound": "memory", "flops": 10**9, "bytes": 10**8, "error": 1e-7,
        "opponent": "PyTorch, contiguous", "opponent_seconds": times(theirs),
        "opponents": {"PyTorch, contiguous": times(theirs)}, "ratio": theirs / ours,
        "ratio_of_medians": theirs / ours, "others_busy": 0.0, **other,
    }  # fmt: skip


ROWS = [
    row("made.a", 0.002, 0.004),
    row("made.a", 0.003, 0.0045, threads=1),
    row("made.b", 0.008, 0.004, algorithm="depthwise", batch=1),
    row(TEXT, 0.001, 0.003, suite="pooling", primitive="max_pool2d_fprop"),
    row("madenet", 0.1, 0.15, suite="forward", primitive=None, size=64, flops=None, bytes=None),
    row("madenet", 0.4, 0.5, suite="forward", primitive=None, size=128, flops=None, bytes=None),
    {"suite": "memory", "name": "madenet", "grown": {"pycnn": 2**20, "PyTorch": 2**21}, "ratio": 2},
]
HEAD = {
    "schema": 2, "device": "Made-up CPU", "kind": "cpu", "isa": "avx512",
    "versions": {"pycnn": "0", "torch": "9.9"}, "commit": "0" * 12, "date": "2001-02-03",
    "roof": {
        "1": {"gbytes_per_second": 20.0, "gflops": {"float32": 400.0}},
        "2": {"gbytes_per_second": 40.0, "gflops": {"float32": 800.0}},
    },
}  # fmt: skip
GPU = {
    "device": "Made-up GPU", "kind": "gpu", "isa": "sm_90",
    "roof": {"gpu": {"gbytes_per_second": 4000.0, "gflops": {"float16": 9e5}}},
}  # fmt: skip


def write(path, rows=ROWS, **head):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**HEAD, **head, "rows": rows}), encoding="utf-8")
    return path


def write_gpu(path):
    rows = [
        row("made.a", 1e-5, 2e-5, threads=None, dtype="float16", provider=provider, cache=cache,
            algorithm="implicit_gemm", opponent="cuDNN")
        for provider in ("triton", "cuda")
        for cache in ("warm", "cold")
    ]  # fmt: skip
    return write(path, rows, **GPU)
