"""Linear and Identity."""

from __future__ import annotations

import math
from typing import Any

from .. import functional as F
from ..tensor import Tensor
from . import init
from .arguments import at_least
from .module import Module
from .parameter import Parameter, uninitialised


class Identity(Module):
    """Returns its input; any arguments to the constructor are ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x @ weight.T + bias on the last axis; weight is (out_features, in_features).

    Weight and bias start uniform in +-1 / sqrt(in_features)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        at_least(in_features, 0, "in_features")
        at_least(out_features, 0, "out_features")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = uninitialised((out_features, in_features), device, dtype)
        self.bias: Parameter | None
        if bias:
            self.bias = uninitialised((out_features,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in +-1 / sqrt(in_features)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        init.uniform_bias_(self.bias, self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
