"""Functions whose output is a view, and how an in-place edit of one looks from its base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import array, autograd
from .array import Array
from .autograd import Function

if TYPE_CHECKING:
    from .tensor import Tensor


class ViewFunction(Function):
    """A Function whose output is a view: `view(array)` on raw arrays, `backward` its adjoint.

    Subclasses define `view` and `backward`. The output shares memory and version counter with the
    input and remembers how it was made, so that an in-place edit of either reaches the gradient of
    both. `view` may return a copy where no view exists (reshape); then it is an ordinary
    Function."""

    def __init__(self, **attributes: Any) -> None:
        self._attributes = attributes
        self.__dict__.update(attributes)

    def fresh(self) -> ViewFunction:
        return type(self)(**self._attributes)

    def view(self, x: Array) -> Array:
        raise NotImplementedError(f"{type(self).__name__} defines no view")

    def forward(self, x: Array) -> Array:
        self.in_shape = x.shape
        return self.view(x)

    def __call__(self, x: Tensor) -> Any:
        out = super().__call__(x)
        if array.shares_memory(x._data, out._data):
            out._version_counter = x.version_counter()
            base, views = x._view if x._view is not None else (x, ())
            out._view = (base, (*views, self.fresh()))
            out._generation = base._generation
        return out


class ViewScatter(Function):
    """base with the part that `views` shows replaced: how an in-place edit of a view looks from its
    base."""

    views: tuple[ViewFunction, ...]

    def _record_edit(self, base: Tensor, part: Tensor) -> Tensor:
        with autograd.enable_grad():
            return self(base, part)

    def forward(self, base: Array, part: Array) -> Array:
        return base  # its memory already holds the edit

    def select(self, a: Array) -> Array:
        for view in self.views:
            a = view.view(a)
        return a

    def backward(self, dy: Array) -> tuple[Array | None, Array | None]:
        dpart = array.copy(self.select(dy)) if self.wants[1] else None
        if not self.wants[0]:
            return None, dpart
        dbase = array.copy(dy)
        self.select(dbase)[...] = 0
        return dbase, dpart
