"""PyTorch's call for a primitive on a geometry, as an opponent in a timing: the kernel alone, no
autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import dispatch

Call = Callable[[], Any]


def torch_call(
    primitive: str, geometry: Any, inputs: Sequence[Any], epilogue: dispatch.Epilogue | None
) -> Call | None:
    """A function without arguments that computes the primitive of these torch tensors and returns
    its (first) output; None where no one call of PyTorch's does. An epilogue's arrays are tensors
    too."""
    if primitive == "gemm":
        return _gemm(inputs[0], inputs[1], epilogue)
    make = _CALLS.get(primitive)
    return None if make is None or epilogue is not None else make(geometry, *inputs)


def _padding(g: Any) -> tuple[int, int] | None:
    """PyTorch pads both sides alike; None where these differ."""
    top, bottom, left, right = g.padding
    return (top, left) if (top, left) == (bottom, right) else None


def _conv_fprop(g: Any, x: Any, w: Any) -> Call | None:
    from torch.nn.functional import conv2d

    padding = _padding(g)
    if padding is None:
        return None
    return lambda: conv2d(x, w, None, g.stride, padding, g.dilation, g.G)


def _conv_backward(g: Any, dy: Any, x: Any, w: Any, which: int) -> Call | None:
    import torch

    padding = _padding(g)
    if padding is None:
        return None
    mask = [which == 0, which == 1, False]
    return lambda: torch.ops.aten.convolution_backward(
        dy, x, w, None, g.stride, padding, g.dilation, False, [0, 0], g.G, mask
    )[which]


def _like(a: Any, shape: tuple[int, ...]) -> Any:
    """An unfilled tensor in `a`'s memory format: its values do not matter, its layout does."""
    import torch

    last = a.is_contiguous(memory_format=torch.channels_last) and not a.is_contiguous()
    kept = torch.channels_last if last else torch.contiguous_format
    return a.new_empty(shape).contiguous(memory_format=kept)


def _gemm(a: Any, b: Any, epilogue: dispatch.Epilogue | None) -> Call | None:
    import torch

    if epilogue is None:
        return lambda: torch.matmul(a, b)
    bias, *rest = epilogue
    if bias is None or any(part is not None for part in rest):
        return None
    return lambda: torch.baddbmm(bias, a, b)


def _im2col(g: Any, x: Any) -> Call | None:
    from torch.nn.functional import unfold

    padding = _padding(g)
    return padding and (lambda: unfold(x, (g.R, g.S), g.dilation, padding, g.stride))


def _col2im(g: Any, columns: Any) -> Call | None:
    from torch.nn.functional import fold

    padding = _padding(g)
    size = (g.H, g.W)
    return padding and (lambda: fold(columns, size, (g.R, g.S), g.dilation, padding, g.stride))


def _max_pool(g: Any, x: Any) -> Call:
    import torch

    window = (g.R, g.S), (g.stride_h, g.stride_w), (g.pad_h, g.pad_w), (g.dilation_h, g.dilation_w)
    return lambda: torch.ops.aten.max_pool2d_with_indices(x, *window)[0]


def _softmax(g: Any, x: Any) -> Call:
    import torch

    function = torch.log_softmax if g.log else torch.softmax
    return lambda: function(x, g.axis)


def _add_activation(g: Any, a: Any, b: Any) -> Call | None:
    import torch

    return (lambda: torch.add(a, b).relu_()) if g.op == "relu" else None


def _elementwise(g: Any, *inputs: Any) -> Call | None:
    import torch

    function = getattr(torch, g.op, None) or getattr(torch.nn.functional, g.op, None)
    return None if function is None or g.parameters else lambda: function(*inputs)


def _reduce(g: Any, x: Any) -> Call | None:
    import torch

    function = {"sum": torch.sum, "amax": torch.amax}.get(g.op)
    return None if function is None else lambda: function(x, g.axes)


def _concat(g: Any, *inputs: Any) -> Call:
    import torch

    return lambda: torch.cat(inputs, g.axis)


_CALLS: dict[str, Callable[..., Call | None]] = {
    "conv2d_fprop": _conv_fprop,
    "conv2d_dgrad": lambda g, dy, w: _conv_backward(g, dy, _like(dy, g.x_shape), w, 0),
    "conv2d_wgrad": lambda g, x, dy: _conv_backward(g, dy, x, _like(x, g.w_shape), 1),
    "im2col": _im2col,
    "col2im": _col2im,
    "max_pool2d_fprop": _max_pool,
    "softmax_fprop": _softmax,
    "add_activation": _add_activation,
    "elementwise": _elementwise,
    "reduce": _reduce,
    "concat": _concat,
}
