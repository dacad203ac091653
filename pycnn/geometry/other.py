"""The geometries that are little more than their fields: products, norms, arithmetic, losses."""

from __future__ import annotations

import math
from functools import lru_cache

from .base import Geometry, frozen


@frozen
class BatchNormGeometry(Geometry):
    """Normalisation over every axis but the channels'.  x (N,C,*)  statistics (C,)."""

    N: int
    C: int
    size: int  # elements per image and channel
    relu: bool = False  # the gradient's passes: dy is that of a ReLU behind the normalisation

    def flops(self, primitive: str) -> int:
        per_element = {
            "batch_norm_stats": 3,
            "batch_norm_apply": 2,
            "batch_norm_reduce": 4,
            "batch_norm_dgrad": 5,
        }
        return per_element.get(primitive, 0) * self.N * self.C * self.size


@frozen
class GemmGeometry(Geometry):
    """out[b] = a[b] @ b[b].  a (B,M,K)  b (B,K,N)  out (B,M,N); B is 1 for a single product."""

    B: int
    M: int
    N: int
    K: int

    def flops(self, primitive: str) -> int:
        return 2 * self.B * self.M * self.N * self.K

    def __str__(self) -> str:
        batch = f"{self.B} x " if self.B != 1 else ""
        return f"{batch}({self.M}x{self.K} @ {self.K}x{self.N})"


@frozen
class ElementwiseGeometry(Geometry):
    """out = op(*inputs) after broadcasting; `parameters` are op's scalars, in order."""

    op: str
    parameters: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.op}{self.parameters or ''}"


@frozen
class ReduceGeometry(Geometry):
    """out = op over `axes` of x, those axes dropped; `correction` is var's."""

    op: str
    axes: tuple[int, ...]
    correction: float = 0.0

    def __str__(self) -> str:
        return f"{self.op} over {self.axes}"


@frozen
class DropoutGeometry(Geometry):
    """y = x * mask, each mask element 0 with probability p, else 1 / (1 - p); the mask has the
    first `axes` axes of x."""

    p: float
    axes: int


@frozen
class ConcatGeometry(Geometry):
    """out = the inputs joined along `axis`, or one input split there into parts of `sizes`."""

    axis: int
    sizes: tuple[int, ...]


@frozen
class LocalResponseNormGeometry(Geometry):
    """y = x / (k + alpha/size * sum of x^2 over `size` neighbouring channels)^beta.  x (N,C,*)"""

    size: int
    alpha: float
    beta: float
    k: float


@frozen
class SoftmaxGeometry(Geometry):
    """Softmax, or its logarithm, along `axis`."""

    axis: int
    log: bool = False


@frozen
class CrossEntropyGeometry(Geometry):
    """Softmax cross entropy of logits (N,C,*) with class indices (N,*): per-element losses."""

    ignore_index: int
    label_smoothing: float
    weighted: bool


@lru_cache(maxsize=4096)
def batch_norm_geometry(x_shape: tuple[int, ...], relu: bool = False) -> BatchNormGeometry:
    return BatchNormGeometry(x_shape[0], x_shape[1], math.prod(x_shape[2:]), relu)


elementwise_geometry = lru_cache(maxsize=4096)(ElementwiseGeometry)
reduce_geometry = lru_cache(maxsize=4096)(ReduceGeometry)
gemm_geometry = lru_cache(maxsize=4096)(GemmGeometry)
concat_geometry = lru_cache(maxsize=4096)(ConcatGeometry)
dropout_geometry = lru_cache(maxsize=4096)(DropoutGeometry)
softmax_geometry = lru_cache(maxsize=4096)(SoftmaxGeometry)
cross_entropy_geometry = lru_cache(maxsize=4096)(CrossEntropyGeometry)
