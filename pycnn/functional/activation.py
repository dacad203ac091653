"""Activations: relu and its relatives, gelu, silu, the hard forms, softplus, prelu, glu.

Every one maps (*) to (*) in the input's dtype and layout, propagates NaN, and has PyTorch's
derivative at its kinks. With `inplace=True` the result is written into the input, which is
returned. Integer inputs raise RuntimeError where they have no meaning (relu, relu6 and hardtanh
take them). sigmoid and tanh are with the elementwise functions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .. import array
from ..array import Array
from ..dispatch import ACTIVATIONS, run
from ..dtypes import FLOATING, bool_
from ..geometry import ElementwiseGeometry, elementwise_geometry
from ..tensor import Function, Tensor, check_dim, tensor_method
from ._common import check_floating, check_same_dtype, check_tensor, overwrite, sum_over
from .elementwise import abs, add, div

__all__ = [
    "add_activation",
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "selu",
    "silu",
    "softplus",
    "softsign",
]

# what the derivative of each fusable activation is computed from: its input x, or its output y
SAVES = {
    "relu": "y",
    "relu6": "y",
    "leaky_relu": "y",
    "sigmoid": "y",
    "tanh": "y",
    "silu": "x",
    "hardswish": "x",
    "hardsigmoid": "x",
    "gelu": "x",
    "elu": "x",
}


def check_activation(name: Any) -> None:
    """ValueError unless `name` is None or one of dispatch.ACTIVATIONS."""
    if name is not None and name not in SAVES:
        raise ValueError(
            f"activation: got {name!r}, expected None or one of {', '.join(ACTIVATIONS)}"
        )


def apply_activation(name: str | None, input: Tensor) -> Tensor:
    """The fusable activation `name` with its default parameters; None leaves the input as it is."""
    check_activation(name)
    return input if name is None else _apply(input, _form(name, SAVES[name]))


# derivatives that x and y tell alike: x is kept where it survives, so that y may be edited, as in
# torch; in place and fused there is only y
_EITHER = frozenset(("relu6", "leaky_relu", "hardtanh"))


class _Form(NamedTuple):
    """One activation with its parameters: its op, its derivative's, and what that is computed
    from."""

    name: str
    forward: ElementwiseGeometry
    dgrad: ElementwiseGeometry
    saves: str


@lru_cache(maxsize=1024)
def _form(name: str, saves: str, *parameters: float) -> _Form:
    forward = elementwise_geometry(name, parameters)
    return _Form(name, forward, elementwise_geometry(f"{name}_dgrad", parameters), saves)


class Activation(Function):
    """y = op(x), `form` says which; with `overwrite` y is x's own memory."""

    form: _Form
    overwrite = False

    @property
    def name(self) -> str:
        return f"{self.form.name.title().replace('_', '')}Backward"

    def forward(self, x: Array) -> Array:
        form = self.form
        y = run(
            "elementwise",
            x,
            out=x if self.overwrite else array.empty_like(x),
            geometry=form.forward,
        )
        if self.recording:
            only_y = form.saves == "y" and (self.overwrite or form.name not in _EITHER)
            self.retain(y if only_y else x)
        return y

    def backward(self, dy: Array) -> Array:
        (saved,) = self.retained
        return run("elementwise", dy, saved, out=array.empty_like(saved), geometry=self.form.dgrad)


def _apply(x: Tensor, form: _Form, inplace: bool = False) -> Tensor:
    if not inplace:
        return Activation(form=form)(x)
    if form.saves == "x":
        return x.inplace(Activation(form=form))
    # the derivative needs only the result
    return overwrite(x, Activation(form=form, overwrite=True))


def _float_activation(input: Any, op: str, inplace: bool, form: _Form) -> Tensor:
    check_tensor(input, "input", op)
    check_floating(input, "input", op)
    return _apply(input, form, inplace)


_RELU = _form("relu", "y")


@tensor_method
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); the derivative at 0 is 0. RuntimeError for bool."""
    if not isinstance(input, Tensor):
        check_tensor(input, "input", "relu")
    if input._data.dtype not in FLOATING:
        _refuse_bool(input, "relu")
    return _apply(input, _RELU, True) if inplace else Activation(form=_RELU)(input)


@tensor_method
def relu_(input: Tensor) -> Tensor:
    """relu, in place."""
    return relu(input, inplace=True)


def _refuse_bool(input: Tensor, op: str) -> None:
    if input.dtype == bool_:
        raise RuntimeError(
            f"{op}(): input: got dtype bool, expected a floating-point or integer dtype"
        )


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6); the derivative at 0 and 6 is 0. RuntimeError for bool."""
    check_tensor(input, "input", "relu6")
    _refuse_bool(input, "relu6")
    return _apply(input, _form("relu6", "y"), inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x kept between min_val and max_val; the derivative at both is 0.

    ValueError if min_val > max_val, RuntimeError for bool."""
    check_tensor(input, "input", "hardtanh")
    _refuse_bool(input, "hardtanh")
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val: got {min_val} and {max_val}")
    return _apply(input, _form("hardtanh", "y", float(min_val), float(max_val)), inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope * x; the derivative at 0 is negative_slope."""
    slope = float(negative_slope)
    # a negative slope makes the output positive on both sides: then only x tells them apart
    form = _form("leaky_relu", "y" if slope >= 0 else "x", *(() if slope == 0.01 else (slope,)))
    return _float_activation(input, "leaky_relu", inplace, form)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1). Clevert et al. 2015, arXiv:1511.07289."""
    form = _form("elu", "x", *(() if alpha == 1 else (float(alpha),)))
    return _float_activation(input, "elu", inplace, form)


_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), which keeps zero mean and unit variance.

    Klambauer et al. 2017, arXiv:1706.02515."""
    return _float_activation(input, "selu", inplace, _form("elu", "x", *_SELU))


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x / alpha) - 1). RuntimeError for alpha 0.

    Barron 2017, arXiv:1704.07483."""
    alpha = float(alpha)
    if not alpha:
        raise RuntimeError("celu(): alpha: got 0, expected another number: x is divided by it")
    return _float_activation(input, "celu", inplace, _form("elu", "x", alpha, 1.0, 1 / alpha))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x), Phi the standard normal's distribution function; "tanh" approximates it.

    RuntimeError for any other `approximate`. Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate: got {approximate!r}, expected 'none' or 'tanh'")
    return _float_activation(
        input, "gelu", False, _form("gelu" if approximate == "none" else "gelu_tanh", "x")
    )


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x). Ramachandran et al. 2017, arXiv:1710.05941."""
    return _float_activation(input, "silu", inplace, _form("silu", "x"))


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * relu6(x + 3) / 6; the derivative at -3 is 0, at 3 it is 1. Howard et al. 2019,
    arXiv:1905.02244."""
    return _float_activation(input, "hardswish", inplace, _form("hardswish", "x"))


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6; the derivative at -3 and 3 is 0."""
    return _float_activation(input, "hardsigmoid", inplace, _form("hardsigmoid", "x"))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold."""
    form = _form("softplus", "x", float(beta), float(threshold))
    return _float_activation(input, "softplus", False, form)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x)). Misra 2019, arXiv:1908.08681."""
    return _float_activation(input, "mish", inplace, _form("mish", "x"))


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), computed without overflow."""
    return _float_activation(input, "logsigmoid", False, _form("logsigmoid", "x"))


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|); integers give the default dtype."""
    if isinstance(input, Tensor) and input._data.dtype not in FLOATING:
        _refuse_bool(input, "softsign")
        return div(input, add(abs(input), 1))
    return _float_activation(input, "softsign", False, _form("softsign", "x"))


class PReLU(Function):
    """y = x where x > 0, else w * x; w broadcasts against x, `weight_shape` is its own shape."""

    weight_shape: tuple[int, ...]
    broadcast_shape: tuple[int, ...]

    def forward(self, x: Array, weight: Array) -> Array:
        self.retain(x, weight)
        w = weight.reshape(self.broadcast_shape)
        return run(
            "elementwise", x, w, out=array.empty_like(x), geometry=elementwise_geometry("prelu")
        )

    def backward(self, dy: Array) -> tuple[Array | None, Array | None]:
        x, weight = self.retained
        dx = dw = None
        if self.wants[0]:
            w = weight.reshape(self.broadcast_shape)
            dx = array.empty_like(x)
            run("elementwise", dy, x, w, out=dx, geometry=elementwise_geometry("prelu_dgrad"))
        if self.wants[1]:
            share = array.empty_like(x)
            run("elementwise", dy, x, out=share, geometry=elementwise_geometry("prelu_wgrad"))
            channel = 1 if weight.size > 1 else None
            axes = tuple(axis for axis in range(x.ndim) if axis != channel)
            dw = sum_over(share, axes, weight.shape) if axes else share.reshape(weight.shape)
        return dx, dw


@tensor_method
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight * x: one weight, or one per channel (axis 1). He et al. 2015,
    arXiv:1502.01852.

    RuntimeError if `weight` has more than one axis or does not count the channels."""
    check_tensor(input, "input", "prelu")
    check_tensor(weight, "weight", "prelu")
    check_floating(input, "input", "prelu")
    check_same_dtype("prelu", input=input, weight=weight)
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu(): weight: got {weight.ndim} dimensions, expected a scalar or 1-D tensor"
        )
    if weight.numel() != 1:
        if not input.ndim:
            raise RuntimeError("prelu(): Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(
                "prelu(): Mismatch of parameter numbers and input channel size. "
                f"Found parameter numbers = {weight.numel()} and channel size = {channels}."
            )
    tail = (1,) * max(input.ndim - 2, 0)
    shape = (1, weight.numel(), *tail) if input.ndim > 1 else (1,) * input.ndim
    return PReLU(broadcast_shape=shape)(input, weight)


class GLU(Function):
    """y = a * sigmoid(b), a and b the halves of x along `axis`."""

    axis: int

    def halves(self, a: Array) -> tuple[Array, Array]:
        middle = a.shape[self.axis] // 2
        before = (slice(None),) * self.axis
        return a[(*before, slice(None, middle))], a[(*before, slice(middle, None))]

    def forward(self, x: Array) -> Array:
        self.retain(x)
        a, gate = self.halves(x)
        y = array.empty_like(x, shape=a.shape)
        return run("elementwise", a, gate, out=y, geometry=elementwise_geometry("glu"))

    def backward(self, dy: Array) -> Array:
        (x,) = self.retained
        a, gate = self.halves(x)
        dx = array.empty_like(x)
        da, dgate = self.halves(dx)
        run("elementwise", dy, gate, out=da, geometry=elementwise_geometry("glu"))
        run("elementwise", dy, a, gate, out=dgate, geometry=elementwise_geometry("glu_gate_dgrad"))
        return dx


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of the axis `dim` times the sigmoid of the second. Dauphin et al. 2016,
    arXiv:1612.08083.

    RuntimeError if the axis has an odd size."""
    check_tensor(input, "input", "glu")
    check_floating(input, "input", "glu")
    if not input.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = check_dim(dim, input.ndim)
    if input.shape[axis] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {axis} is size {input.shape[axis]}"
        )
    return GLU(axis=axis)(input)


class AddActivation(Function):
    """y = op(a + b) in one pass; `form` says which op, None adds only."""

    form: _Form

    def forward(self, a: Array, b: Array) -> Array:
        form = self.form
        y = array.empty_for((a, b), a.shape, a.dtype) if a.ndim == 4 else array.empty_like(a)
        run("add_activation", a, b, out=y, geometry=form.forward)
        if self.recording:
            if form.saves == "y":
                self.retain(y)
            else:
                self.retain(a, b)
        return y

    def backward(self, dy: Array) -> tuple[Array | None, Array | None]:
        if self.form.saves == "y":
            (saved,) = self.retained
        else:
            a, b = self.retained
            saved = array.empty_like(dy)
            run("elementwise", a, b, out=saved, geometry=elementwise_geometry("add"))
        d = run("elementwise", dy, saved, out=array.empty_like(saved), geometry=self.form.dgrad)
        return d if self.wants[0] else None, d if self.wants[1] else None


def add_activation(input: Tensor, other: Tensor, activation: str | None = "relu") -> Tensor:
    """activation(input + other) in one pass: the end of a residual block. He et al. 2015,
    arXiv:1512.03385.

    Both (*) of one shape and floating dtype; `activation` is one of dispatch.ACTIVATIONS, or None
    to add only. ValueError for an unknown activation, RuntimeError if shapes or dtypes differ."""
    check_tensor(input, "input", "add_activation")
    check_tensor(other, "other", "add_activation")
    check_activation(activation)
    check_floating(input, "input", "add_activation")
    check_same_dtype("add_activation", input=input, other=other)
    if input.shape != other.shape:
        raise RuntimeError(
            f"add_activation(): other: got shape {list(other.shape)}, expected input's "
            f"{list(input.shape)}"
        )
    if activation is None:
        return add(input, other)
    return AddActivation(form=_form(activation, SAVES[activation]))(input, other)
