"""How a module's backward hooks meet the backward pass: two identities in the graph.

One stands before the module and one after it. The one after is reached first and notes the
gradients of the outputs; when the one before is reached, the gradients of the inputs are complete
and the hooks run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..autograd import Function
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

Gradients = tuple[Tensor | None, ...]


class _Border(Function):
    """Its inputs unchanged, as views; backward passes the gradients through `on_backward`."""

    materialize = False
    on_backward: Callable[[Sequence[Any]], Sequence[Any]]

    def __call__(self, *inputs: Tensor) -> Any:
        outputs = super().__call__(*inputs)
        for tensor, view in zip(inputs, outputs, strict=True):
            view._version_counter = tensor.version_counter()
        return outputs

    def forward(self, *arrays: Any) -> Any:
        views = tuple(a.view() for a in arrays)
        if self.recording:
            wanted = zip(views, self.wants, strict=True)
            self.mark_non_differentiable(*(view for view, wants in wanted if not wants))
        return views

    def backward(self, *gradients: Any) -> Any:
        return tuple(self.on_backward(gradients))


class Watch:
    """One call of a module with backward hooks, from its arguments to its gradients."""

    def __init__(self, module: Module, hooks: list[Callable[..., Any]]) -> None:
        self.module = module
        self.hooks = hooks
        self.count = 0
        self.watched: list[int] = []
        self.grad_output: Gradients | None = None

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, tensors replaced by ones whose gradients are seen."""
        self.count = len(args)
        tensors = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        if not any(args[i].requires_grad for i in tensors):
            return args
        self.watched = tensors
        seen = _Border(on_backward=self._on_inputs)(*(args[i] for i in tensors))
        changed = list(args)
        for i, tensor in zip(tensors, seen, strict=True):
            changed[i] = tensor
        return tuple(changed)

    def outputs(self, result: Any) -> Any:
        """The result, tensors replaced by ones whose gradients are seen."""
        results = result if isinstance(result, tuple) else (result,)
        tensors = [i for i, r in enumerate(results) if isinstance(r, Tensor)]
        if not tensors:
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(result)}",
                stacklevel=3,
            )
            return result
        size = len(results)

        def on_outputs(gradients: Sequence[Any]) -> Sequence[Any]:
            self.grad_output = _spread(gradients, tensors, size)
            if not self.watched:
                self._run((None,) * self.count)
            return gradients

        seen = _Border(on_backward=on_outputs)(*(results[i] for i in tensors))
        changed = list(results)
        for i, tensor in zip(tensors, seen, strict=True):
            changed[i] = tensor
        return tuple(changed) if isinstance(result, tuple) else changed[0]

    def _on_inputs(self, gradients: Sequence[Any]) -> Sequence[Any]:
        if self.grad_output is None:
            return gradients
        given = self._run(_spread(gradients, self.watched, self.count))
        return [None if (g := given[i]) is None else g._data for i in self.watched]

    def _run(self, grad_input: Gradients) -> Gradients:
        """Call the hooks in order; each result that is not None is the next one's grad_input."""
        for hook in self.hooks:
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(grad_input):
                raise RuntimeError(
                    f"Backward hook returned an invalid number of grad_input, got {len(changed)}, "
                    f"but expected {len(grad_input)}"
                )
            if not self.watched and any(g is not None for g in changed):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )
            grad_input = changed
        self.grad_output = None
        return grad_input


def _spread(gradients: Sequence[Any], places: Sequence[int], size: int) -> Gradients:
    """The arrays as Tensors at their places among `size` entries that are otherwise None."""
    spread: list[Tensor | None] = [None] * size
    for i, gradient in zip(places, gradients, strict=True):
        spread[i] = None if gradient is None else Tensor._wrap(gradient)
    return tuple(spread)
