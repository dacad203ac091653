"""Stochastic gradient descent, with momentum and weight decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import array
from ..array import Array
from ..dispatch import run
from ..geometry import elementwise_geometry
from ..tensor import Tensor
from .optimizer import Group, Optimizer


class SGD(Optimizer):
    """p <- p - lr * d, in torch's order of operations.

    d is the gradient (negated if `maximize`) plus weight_decay * p. With momentum it becomes the
    buffer b <- momentum * b + (1 - dampening) * d, which starts as the first d, or with `nesterov`
    d + momentum * b. (Sutskever et al. 2013, with the learning rate outside of the buffer.)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        self.check_options(defaults)
        super().__init__(params, defaults)

    def check_options(self, options: Group) -> None:
        if not options["lr"] >= 0:
            raise ValueError(f"Invalid learning rate: {options['lr']}")
        if not options["momentum"] >= 0:
            raise ValueError(f"Invalid momentum value: {options['momentum']}")
        if not options["weight_decay"] >= 0:
            raise ValueError(f"Invalid weight_decay value: {options['weight_decay']}")
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def update(self, group: Group) -> None:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.check_inplace()
                weights = parameter._data
                step = self._direction(parameter, parameter.grad._data, group)
                _add_scaled(weights, step, -group["lr"], out=weights)
                parameter.edited(None)

    def _direction(self, parameter: Tensor, gradient: Array, group: Group) -> Array:
        """What the step follows downwards; updates the momentum buffer."""
        if group["maximize"]:
            negated = array.empty_like(gradient)
            gradient = run(
                "elementwise", gradient, out=negated, geometry=elementwise_geometry("neg")
            )
        if group["weight_decay"] != 0:
            gradient = _add_scaled(gradient, parameter._data, group["weight_decay"])
        momentum = group["momentum"]
        if momentum == 0:
            return gradient
        state = self.state[parameter]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = Tensor._wrap(array.copy(gradient))
            buffer = state["momentum_buffer"]._data
        else:
            buffer = state["momentum_buffer"]._data
            decay = elementwise_geometry("mul_scalar", (momentum,))
            run("elementwise", buffer, out=buffer, geometry=decay)
            _add_scaled(buffer, gradient, 1 - group["dampening"], out=buffer)
        return _add_scaled(gradient, buffer, momentum) if group["nesterov"] else buffer


def _add_scaled(a: Array, b: Array, factor: float, out: Array | None = None) -> Array:
    """a + factor * b, in a new array unless `out` is given.

    For the halves the factor is rounded to their dtype and the sum to theirs, as in torch."""
    out = array.empty_like(a) if out is None else out
    factor = float(a.dtype.type(factor))
    return run("elementwise", a, b, out=out, geometry=elementwise_geometry("add", (factor,)))
