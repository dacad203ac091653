"""Matrix product, batched.

Computes   out[b,m,n] = epilogue(sum_k a[b,m,k] * b[b,k,n])
Arrays     a (B,M,K)  b (B,K,N)  out (B,M,N); any strides; an epilogue's bias, scale, shift are (N,)
Numerics   sums in float32 for the halves, in the arrays' own dtype otherwise; one rounding at the
           store
Source     reference BLAS level 3: Dongarra et al. 1990, doi:10.1145/77626.79170
"""

from __future__ import annotations

from ...array import Array, xp
from ...dispatch import Epilogue, register
from ...dtypes import accumulation_dtype
from ...geometry import GemmGeometry
from .epilogue import store


@register("gemm", "reference", "direct")
def gemm(
    a: Array, b: Array, *, out: Array, geometry: GemmGeometry, epilogue: Epilogue | None = None
) -> None:
    """The module's formula as one BLAS call per matrix."""
    module = xp(a, b, out)
    dtype = accumulation_dtype(out.dtype)
    acc = module.matmul(a.astype(dtype, copy=False), b.astype(dtype, copy=False))
    store(module, acc, out, epilogue, channel=2)


@register("gemm", "reference", "naive")
def gemm_naive(
    a: Array, b: Array, *, out: Array, geometry: GemmGeometry, epilogue: Epilogue | None = None
) -> None:
    """The module's formula as three loops, one inner product per element."""
    module = xp(a, b, out)
    dtype = accumulation_dtype(out.dtype)
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    acc = module.zeros(out.shape, dtype)
    for batch in range(geometry.B):
        for m in range(geometry.M):
            for n in range(geometry.N):
                acc[batch, m, n] = (a[batch, m, :] * b[batch, :, n]).sum()
    store(module, acc, out, epilogue, channel=2)
