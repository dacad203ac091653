"""The C++ kernels of pycnn._native: SIMD, an own thread pool, the default on the CPU.

Each module registers one family. The order of a primitive's algorithms here, special before
general, is the order in which they are tried.
"""

from importlib import import_module

_MODULES = (
    "batch_norm",
    "add_activation",
    "concat",
    "conv2d_winograd",
    "conv2d_depthwise",
    "conv2d_grouped",
    "conv2d_pointwise",
    "conv2d_direct",
    "conv2d_wgrad",
    "conv2d_im2col",
    "conv2d_naive",
    "dropout",
    "elementwise",
    "gemm",
    "im2col",
    "local_response_norm",
    "max_unpool2d",
    "pool2d",
    "reduce",
    "resize2d",
    "softmax",
    "softmax_cross_entropy",
)

for _name in _MODULES:
    import_module(f".{_name}", __name__)
