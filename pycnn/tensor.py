"""Tensor: an array, its gradient, and the node that made it.

The methods that compute (add, sum, reshape, ...) live with their functions in pycnn.functional and
are attached by `tensor_method`; this file holds what a tensor *is*: its array, its place in the
graph, its views and versions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import array, autograd, dtypes
from .array import Array
from .autograd import Function, Version
from .views import ViewFunction, ViewScatter

_hook_ids = count()
F = TypeVar("F", bound=Callable[..., Any])


def tensor_method(function: F | None = None, *, name: str | None = None) -> Any:
    """Decorator: `function(input, ...)` also becomes the method `Tensor.<its name>` (or `name`)."""

    def attach(f: F) -> F:
        setattr(Tensor, name or f.__name__, f)
        return f

    return attach if function is None else attach(function)


class RemovableHandle:
    """What registering a hook returns; `remove()` takes the hook off again."""

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = hooks
        self.id = next(_hook_ids)

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


class Tensor:
    """A NumPy or CuPy array with a gradient. Made by `pycnn.tensor`, `pycnn.from_numpy` and the
    creation functions."""

    # class-level defaults, so that making a Tensor sets one attribute
    _data: Array
    _requires_grad = False
    _grad: Tensor | None = None
    _node: Function | None = None
    _index = 0
    _version_counter: Version | None = None
    # (base, the views that lead from it to self)
    _view: tuple[Tensor, tuple[ViewFunction, ...]] | None = None
    # of a base: how often its history was rewritten; of a view: the base's when its node was made
    _generation = 0
    _retains_grad = False
    hooks: dict[int, Callable[[Array], Array | None]] | None = None  # of a leaf, on its gradient
    accumulate_hooks: dict[int, Callable[[Tensor], None]] | None = None

    __array_ufunc__ = None  # numpy_array * tensor is a Tensor: NumPy leaves the operator to us

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, data: Any = (), dtype: Any = None, requires_grad: bool = False) -> None:
        from .creation import tensor

        self._data = tensor(data, dtype=dtype)._data
        if requires_grad:
            self.requires_grad_()

    @staticmethod
    def _wrap(a: Array) -> Tensor:
        t = Tensor.__new__(Tensor)
        t._data = a
        return t

    # --- what it holds ---

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    @property
    def device(self) -> str:
        return array.device_of(self._data)

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def itemsize(self) -> int:
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        return self._data.size * self._data.itemsize

    @property
    def is_cuda(self) -> bool:
        return not isinstance(self._data, np.ndarray)

    def dim(self) -> int:
        return self._data.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its length along `dim`; IndexError if there is no such dimension."""
        return (
            self._data.shape if dim is None else self._data.shape[check_dim(dim, self._data.ndim)]
        )

    def numel(self) -> int:
        return self._data.size

    nelement = numel

    def element_size(self) -> int:
        return self._data.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Strides in elements, as torch's."""
        strides = tuple(s // self._data.itemsize for s in self._data.strides)
        return strides if dim is None else strides[check_dim(dim, self._data.ndim)]

    def data_ptr(self) -> int:
        return array.data_pointer(self._data)

    def is_floating_point(self) -> bool:
        return self._data.dtype in dtypes.FLOATING

    def is_contiguous(self, memory_format: str = array.contiguous_format) -> bool:
        described = array.describe(self._data)
        if memory_format == array.channels_last:
            return described.channels_last
        return described.contiguous

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._data.shape[0]

    def __hash__(self) -> int:
        return id(self)

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number; RuntimeError for any other."""
        if self._data.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._data.size} elements cannot be converted to Scalar"
            )
        value = self._data.reshape(()).item()
        return float(value) if self.is_floating_point() else value

    def tolist(self) -> Any:
        a = array.to_device(self._data, "cpu")
        return (a.astype(np.float64) if a.dtype.name == "bfloat16" else a).tolist()

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise RuntimeError(
                "Boolean value of Tensor with no values is ambiguous"
                if not self._data.size
                else "Boolean value of Tensor with more than one value is ambiguous"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype not in dtypes.INTEGRAL or self._data.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def numpy(self) -> np.ndarray:
        """The array itself, memory shared. RuntimeError on a tensor that requires grad: detach() it
        first."""
        if self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        if not isinstance(self._data, np.ndarray):
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first."
            )
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        a = self.numpy()
        if copy is False and dtype is not None and np.dtype(dtype) != a.dtype:
            raise ValueError("copy=False: converting the dtype needs a copy")
        if dtype is not None and np.dtype(dtype) != a.dtype:
            return a.astype(dtype)
        return a.copy() if copy else a

    def __dlpack__(self, **keywords: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return array.dlpack_checked(self._data).__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def __repr__(self) -> str:
        from .printing import tensor_repr

        return tensor_repr(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self.ndim else repr(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user support the deepcopy protocol; "
                "detach() it"
            )
        out = type(self).__new__(type(self))
        memo[id(self)] = out
        out._data = array.copy(self._data)
        out._requires_grad = self._requires_grad
        if self._grad is not None:
            out._grad = Tensor._wrap(array.copy(self._grad._data))
        return out

    def __getstate__(self) -> dict[str, Any]:
        if not self.is_leaf:
            raise RuntimeError(
                "a tensor with a graph behind it cannot be pickled; detach() it first"
            )
        a = array.to_device(self._data, "cpu")
        if a.dtype.name == "bfloat16":
            a = a.view(np.uint16)
        return {
            "data": a,
            "dtype": str(self.dtype),
            "format": array.memory_format(self._data),
            "device": self.device,
            "requires_grad": self._requires_grad,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        a = state["data"].view(dtypes.as_dtype(state["dtype"]))
        if state["format"] == array.channels_last:
            a = array.with_format(a, array.channels_last)
        self._data = array.to_device(a, state["device"])
        self._requires_grad = state["requires_grad"]

    # --- its place in the graph ---

    @property
    def requires_grad(self) -> bool:
        self._refresh()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients of this leaf; RuntimeError for integers, or to switch a non-leaf
        off."""
        if requires_grad and self._data.dtype not in dtypes.FLOATING:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if not self.is_leaf and not requires_grad:
            raise RuntimeError("you can only change requires_grad flags of leaf variables.")
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        self._refresh()
        return self._node is None

    @property
    def grad_fn(self) -> Function | None:
        self._refresh()
        return self._node

    @property
    def output_nr(self) -> int:
        return self._index

    @property
    def grad(self) -> Tensor | None:
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got {type(value).__name__}"
                )
            if value.shape != self.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: got {list(value.shape)}, "
                    f"expected {list(self.shape)}"
                )
            if value.dtype != self.dtype:
                raise RuntimeError(f"assigned grad has dtype {value.dtype}, expected {self.dtype}")
        self._grad = value

    @property
    def data(self) -> Tensor:
        """An alias of the same memory outside the graph, whose edits the version counter does not
        see."""
        return Tensor._wrap(self._data)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: got {type(value).__name__}, expected a Tensor")
        self._data = value._data

    def detach(self) -> Tensor:
        """The same memory, outside the graph; in-place edits of either are seen by the version
        counter."""
        t = Tensor._wrap(self._data)
        t._version_counter = self.version_counter()
        return t

    def detach_(self) -> Tensor:
        if self._view is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node, self._index, self._requires_grad = None, 0, False
        return self

    def gradient_edge(self) -> tuple[Any, int]:
        """(node, output index), or (self, 0) for a leaf: where a gradient for this tensor goes."""
        self._refresh()
        return (self, 0) if self._node is None else (self._node, self._index)

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Accumulate d(self)/d(leaf) into every leaf's .grad, or only into those of `inputs`.

        `gradient` (of self's shape) may be left out for one element. The graph is freed unless
        `retain_graph`."""
        autograd.backward(
            self, None if gradient is None else (gradient,), retain_graph, create_graph, inputs
        )

    def retain_grad(self) -> None:
        """Keep .grad on this non-leaf too."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.is_leaf or self._retains_grad:
            return
        self._retains_grad = True
        self._keep_gradient()

    def _keep_gradient(self) -> None:
        """Have this non-leaf's node, as it is now, hand over its gradient."""
        import weakref

        node, index = self._node, self._index
        if node is None:
            return
        owner = weakref.ref(self)

        def keep(sender: Function, gradient: Array) -> None:
            t = owner()
            # after an in-place edit the tensor has another node: its gradient is the later one's
            if t is None or t._node is not sender or t._index != index:
                return
            known = t._grad
            t._grad = Tensor._wrap(
                array.copy(gradient)
                if known is None
                else autograd.add_gradients(known._data, gradient)
            )

        if node.keepers is None:
            node.keepers = {}
        node.keepers[index] = keep

    @property
    def retains_grad(self) -> bool:
        return self._retains_grad

    def _array_hooks(self) -> dict[int, Any]:
        target, index = self.gradient_edge()
        if target is self:
            if self.hooks is None:
                self.hooks = {}
            return self.hooks
        if target.hooks is None:
            target.hooks = {}
        return target.hooks.setdefault(index, {})

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(grad)` whenever this tensor's gradient is known; a Tensor it returns replaces
        the gradient."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")

        def on_array(gradient: Array) -> Array | None:
            result = hook(Tensor._wrap(gradient))
            if result is None:
                return None
            if not isinstance(result, Tensor):
                raise TypeError(
                    f"hook {hook!r} must return None or a Tensor, got {type(result).__name__}"
                )
            if result.shape != gradient.shape or result.dtype != gradient.dtype:
                raise RuntimeError(
                    f"hook {hook!r} must return None or a {array.words(gradient)}, got a "
                    f"{array.words(result._data)}"
                )
            return result._data

        hooks = self._array_hooks()
        handle = RemovableHandle(hooks)
        hooks[handle.id] = on_array
        return handle

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook(self)` after this leaf's .grad was updated."""
        if not self._requires_grad or not self.is_leaf:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        if self.accumulate_hooks is None:
            self.accumulate_hooks = {}
        handle = RemovableHandle(self.accumulate_hooks)
        self.accumulate_hooks[handle.id] = hook
        return handle

    # --- views and in-place edits ---

    @property
    def _version(self) -> int:
        return 0 if self._version_counter is None else self._version_counter.value

    def version_counter(self) -> Version:
        """The counter of in-place edits, made when someone first needs to share it."""
        if self._version_counter is None:
            self._version_counter = Version()
        return self._version_counter

    def _is_view(self) -> bool:
        return self._view is not None

    def _refresh(self) -> None:
        """Rebuild this view's node if an in-place edit has rewritten its base's history since."""
        if self._view is not None and self._generation != self._view[0]._generation:
            self._regenerate()

    def _regenerate(self) -> None:
        base, views = self._view  # type: ignore[misc]
        self._generation = base._generation
        if not base._requires_grad:
            return
        with autograd.enable_grad():
            again: Tensor = base
            for view in views:
                again = view.fresh()(again)
        self._node, self._index, self._requires_grad = (
            again._node,
            again._index,
            again._requires_grad,
        )
        if self._retains_grad:
            self._keep_gradient()

    def check_inplace(self) -> None:
        """RuntimeError where torch forbids an in-place edit: leaves that require grad, their views,
        read-only memory."""
        if autograd.is_grad_enabled() and self.requires_grad:
            if self.is_leaf:
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation."
                )
            if self._view is not None and self._view[0].is_leaf and self._view[0]._requires_grad:
                raise RuntimeError(
                    "a view of a leaf Variable that requires grad is being used in an in-place "
                    "operation."
                )
        elif autograd.is_grad_enabled() and self._view is not None:
            if self._view[0]._node is not None:
                raise RuntimeError(
                    "A view was created in no_grad mode and is being modified inplace with grad "
                    "mode enabled: its base requires grad, and the edit would miss its gradient. "
                    "Move both into the no_grad block, or both out of it"
                )
        if isinstance(self._data, np.ndarray):
            if 0 in self._data.strides and array.nbytes(self._data) != self.nbytes:
                raise RuntimeError(
                    "unsupported operation: more than one element of the written-to tensor refers "
                    "to a single memory "
                    "location. Please clone() the tensor before performing the operation."
                )
            if not self._data.flags.writeable:
                raise RuntimeError(
                    "in-place operation on read-only memory (a NumPy array whose writeable flag "
                    "is off)"
                )

    def inplace(self, function: Callable[..., Tensor], *others: Any) -> Tensor:
        """self <- function(self, *others), written into self's memory; the history follows. Returns
        self.

        RuntimeError if the result has another shape, or a dtype that self's cannot hold."""
        self.check_inplace()
        recording = autograd.is_grad_enabled() and (
            self.requires_grad or any(isinstance(o, Tensor) and o.requires_grad for o in others)
        )
        old = self
        if recording:
            # backward may need the value from before the edit
            old = Tensor._wrap(array.copy(self._data))
            if self.requires_grad:
                old._node, old._index = self.gradient_edge() if not self.is_leaf else (None, 0)
                old._requires_grad = True
        result = function(old, *others)
        if result.shape != self.shape:
            raise RuntimeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape "
                f"{list(result.shape)}"
            )
        if dtypes.category(result.dtype) > dtypes.category(self.dtype):
            raise RuntimeError(
                f"result type {result.dtype} can't be cast to the desired output type {self.dtype}"
            )
        if result.dtype != self.dtype:
            result = result.to(self.dtype)
        self._data[...] = result._data
        self.edited(result if recording else None)
        return self

    def edited(self, result: Tensor | None) -> None:
        """Note an in-place edit: bump the version, and make `result`'s history self's if it has
        one."""
        self.version_counter().value += 1
        if result is None or not result._requires_grad:
            return
        if self._view is None:
            self._node, self._index, self._requires_grad = result._node, result._index, True
            self._generation += 1
            if self._retains_grad:
                self._keep_gradient()
            return
        base, views = self._view
        scattered = ViewScatter(views=views)._record_edit(base, result)
        base._node, base._index, base._requires_grad = scattered._node, scattered._index, True
        base._generation += 1
        if base._retains_grad:
            base._keep_gradient()
        self._regenerate()


def check_dim(dim: Any, ndim: int, name: str = "dim") -> int:
    """`dim` counted from the front; IndexError outside [-ndim, ndim), TypeError if it is no
    integer.

    A zero-dimensional tensor answers to 0 and -1, as in torch."""
    if isinstance(dim, (bool, float, str)) or not hasattr(dim, "__index__"):
        raise TypeError(f"{name}: got {dim!r}, expected an int")
    index = int(dim.__index__())
    reach = max(ndim, 1)
    if not -reach <= index < reach:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-reach}, {reach - 1}], but got "
            f"{index})"
        )
    return index + reach if index < 0 else index


autograd.wrap = Tensor._wrap
autograd.measure_ownership()
