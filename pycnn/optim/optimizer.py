"""Optimizer: parameters in groups, each with its options, and the state kept for each parameter."""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

from ..autograd import enable_grad, no_grad
from ..tensor import Tensor

Group = dict[str, Any]


class Optimizer:
    """Base of the optimizers. A subclass defines `update`, which changes one group's parameters.

    `params` is an iterable of tensors, or of dicts with the key "params" and any of the options in
    `defaults`, which hold for the groups that do not set them.
    """

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def check_options(self, options: Group) -> None:
        """Raise ValueError if an option of a group has a value that makes no sense."""

    def update(self, group: Group) -> None:
        """Change the parameters of `group` that have a gradient."""
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        `closure`, if given, is called first, gradients enabled; what it returns is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                self.update(group)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the parameters' gradients, or fill them with zeros if not `set_to_none`."""
        for parameter in self._parameters():
            if parameter.grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad.zero_()

    def add_param_group(self, param_group: Group) -> None:
        """Add a group: a dict with "params", a tensor or an iterable of tensors, and options.

        Raises TypeError or ValueError for what cannot be optimized, or is already."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        parameters = [given] if isinstance(given, Tensor) else list(given)
        for parameter in parameters:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, "
                    f"but one of the params is {type(parameter).__name__}"
                )
            if not parameter.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        group = {**self.defaults, **param_group, "params": parameters}
        self.check_options(group)
        ids = {id(parameter) for parameter in parameters}
        if len(ids) != len(parameters):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters", stacklevel=3
            )
        if not ids.isdisjoint(map(id, self._parameters())):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def _parameters(self) -> list[Tensor]:
        return list(chain.from_iterable(group["params"] for group in self.param_groups))

    def state_dict(self) -> dict[str, Any]:
        """`state` by the parameters' positions, and the groups with positions for parameters.

        Tensors are not copied."""
        positions = {id(p): i for i, p in reversed(list(enumerate(self._parameters())))}
        return {
            "state": {positions[id(p)]: dict(values) for p, values in self.state.items()},
            "param_groups": [
                {**group, "params": [positions[id(p)] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a copy of the options and the state that `state_dict` returned.

        State is converted to its parameter's dtype and device. ValueError, with nothing changed,
        if the groups differ in number or size."""
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        pairs = list(zip(self.param_groups, saved, strict=True))
        if any(len(group["params"]) != len(given["params"]) for group, given in pairs):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        groups = []
        parameter_at: dict[int, Tensor] = {}
        for group, given in pairs:
            options = {key: copy.copy(value) for key, value in given.items() if key != "params"}
            groups.append({**options, "params": group["params"]})
            parameter_at.update(zip(given["params"], group["params"], strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for position, values in state_dict["state"].items():
            parameter = parameter_at[position]
            state[parameter] = {key: _own(value, parameter) for key, value in values.items()}
        self.param_groups = groups
        self.state = state

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for number, group in enumerate(self.param_groups):
            text += f"\nParameter Group {number}\n"
            text += "".join(
                f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"
            )
        return text + ")"


def _own(value: Any, parameter: Tensor) -> Any:
    """A copy of a state's value; a floating-point tensor in the parameter's dtype and place."""
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    copied = value.detach().clone()
    dtype = parameter.dtype if copied.is_floating_point() else copied.dtype
    return copied.to(device=parameter.device, dtype=dtype)
