"""The Triton kernels of kernels/: compiled on a GPU, interpreted on a CPU where asked for by name.

Each module registers one family. The order of a primitive's algorithms here, special before
general, is the order in which they are tried.
"""

from importlib import import_module

_MODULES = (
    "add_activation",
    "batch_norm",
    "concat",
    "conv2d_depthwise",
    "conv2d_grouped",
    "conv2d_pointwise",
    "conv2d_transposed",
    "conv2d_implicit_gemm",
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
