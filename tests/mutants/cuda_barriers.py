"""CUDA kernels without one of their barriers, each a race that ThreadSanitizer's build reports."""

from __future__ import annotations

from .harness import Mutant


def without(file: str, before: str, after: str, killer: str) -> Mutant:
    """The kernel without the barrier between two lines."""
    barrier = "__syncthreads();"
    return Mutant(
        f"csrc/cuda/{file}.cuh", before + barrier + after, before + after, killer, check="thread"
    )


MUTANTS = [
    without("gemm_tiles", "place.batch);\n    ", "\n#pragma unroll 1", "gemm-primes"),
    without(
        "gemm_tiles", "        }\n        ", "\n    }\n\n    constexpr int kPitch", "gemm-deep"
    ),
    Mutant("csrc/cuda/gemm_tiles.cuh", "if (part > 0) __syncthreads();", "", "gemm-primes",
           check="thread"),
    without("gemm_mma", "kStages - 2>();\n        ", "", "gemm-deep"),
    without("gemm_mma", "cp_async_wait<0>();\n    ", "", "gemm-whole_vectors"),
    without("fold", "(rows + 1) / 2;\n        ", "", "softmax_fprop-classes_of_pixels"),
    without("fold", "    if constexpr (Group > 32) {\n        ", "", "softmax_fprop-a_long_row"),
    without("fold", "room[threadIdx.x / 32] = value;\n        ", "", "softmax_fprop-a_long_row"),
    without("conv2d_depthwise", "b.channels, vectors);\n    ", "", "conv2d_fprop-depthwise"),
    without("partial_sums", "rows[threadIdx.x] = sum;\n    ", "", "conv2d_wgrad-depthwise"),
    without("conv2d_grouped", "b.channels, vectors);\n    ", "", "conv2d_fprop-grouped"),
    without(
        "avg_pool2d", "shared[threadIdx.x] = sums;\n    ", "", "avg_pool2d_fprop-adaptive_global"
    ),
    without("max_unpool2d", "map[i] = 0;\n    ", "", "max_unpool2d_fprop-2x2"),
    without("reduce", "of_warps[threadIdx.x / 32] = acc;\n        ", "", "reduce-sum_over_()"),
]  # fmt: skip
