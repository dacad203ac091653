"""Module: a tree of layers that own parameters and buffers. torch.nn.Module's names and rules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from .. import autograd
from ..tensor import RemovableHandle, Tensor
from . import backward_hooks, state
from .hooks import Hook, Hooks, add_hook
from .parameter import Parameter

Self = TypeVar("Self", bound="Module")

_KINDS = ("_parameters", "_buffers", "_modules")


class Module:
    """Base of every layer and network.

    A subclass calls `super().__init__()`, assigns `Parameter`s and `Module`s as attributes, and
    defines `forward`. Attributes land in one of three tables (parameters, buffers, modules), from
    which `state_dict`, `to`, `named_parameters` and the rest are read.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]

    # Buffers that a state dict may leave out without a report; they then keep their values.
    _optional_state: frozenset[str] = frozenset()

    def __init__(self) -> None:
        hooks: Hooks = OrderedDict()
        fields: dict[str, Any] = {
            "training": True,
            "_parameters": {},
            "_buffers": {},
            "_modules": {},
            "_non_persistent_buffers_set": set(),
            "_forward_pre_hooks": hooks,
            "_forward_hooks": hooks.copy(),
            "_backward_hooks": hooks.copy(),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    # Calling

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes. Every subclass that is called defines it."""
        name = type(self).__name__
        raise NotImplementedError(f'Module [{name}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self._forward_pre_hooks or self._forward_hooks or self._backward_hooks):
            return self.forward(*args, **kwargs)
        for hook in tuple(self._forward_pre_hooks.values()):
            args, kwargs = _call_pre_hook(hook, self, args, kwargs)
        watch = None
        if self._backward_hooks and autograd.is_grad_enabled():
            watch = backward_hooks.Watch(self, [h.call for h in self._backward_hooks.values()])
            args = watch.inputs(args)
        result = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            given = (args, kwargs) if hook.with_kwargs else (args,)
            changed = hook.call(self, *given, result)
            if changed is not None:
                result = changed
        return result if watch is None else watch.outputs(result)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """`hook(module, args)` runs before each forward; what it returns replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns None or (args, kwargs).
        """
        return add_hook(self._forward_pre_hooks, Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """`hook(module, args, output)` runs after each forward; a result replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`."""
        return add_hook(self._forward_hooks, Hook(hook, with_kwargs), prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """`hook(module, grad_input, grad_output)` runs once the gradients of the module's
        positional inputs are known (if none needs one, once those of its outputs are).

        Both are tuples with None where there is no gradient. A result that is not None replaces
        `grad_input` in the rest of the backward pass."""
        return add_hook(self._backward_hooks, Hook(hook), prepend)

    # Registering

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Enter `param` (or None, a place that is empty but reserved) under `name`.

        Raises TypeError or KeyError if `name` or `param` cannot be used."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name(name, "parameter", self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_typename(param)}' object to parameter '{name}' "
                "(pycnn.nn.Parameter or None required)"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Enter a tensor that belongs to the module's state but is not trained.

        `persistent=False` keeps it out of the state dict."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name(name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' "
                "(pycnn Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Enter `module` as the child `name`."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        self._check_name(name, "module", self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def _check_name(self, name: str, kind: str, table: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_typename(name)}")
        if "." in name:
            got = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{got}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in table:
            raise KeyError(f"attribute '{name}' already exists")

    # Attributes

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        for kind in _KINDS:
            table = fields.get(kind)
            if table is not None and name in table:
                return table[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        parameters = fields.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' "
                    "(pycnn.nn.Parameter or None expected)"
                )
            parameters[name] = None
        elif isinstance(value, Module):
            if "_modules" not in fields:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            self.add_module(name, value)
        elif name in fields.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' "
                    "(pycnn.nn.Module or None expected)"
                )
            self._modules[name] = None
        elif name in fields.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as buffer '{name}' "
                    "(pycnn Tensor or None expected)"
                )
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for kind in _KINDS:
            table = self.__dict__.get(kind, {})
            if name in table:
                del table[name]
                return
        object.__delattr__(self, name)

    def _forget(self, name: str, keep: str) -> None:
        """Take `name` out of the instance and of every table but `keep`."""
        self.__dict__.pop(name, None)
        for kind in _KINDS:
            if kind != keep:
                self.__dict__[kind].pop(name, None)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__()}
        for kind in _KINDS:
            names.update(self.__dict__.get(kind, ()))
        return sorted(names)

    # Walking the tree

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for this module and all below it, parents first.

        A module that occurs twice is yielded once, unless `remove_duplicate` is False."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        if remove_duplicate:
            memo.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, below, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Yield this module and all below it."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for the modules directly below, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the modules directly below, each once."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        owners: Iterator[tuple[str, Module]] = iter([(prefix, self)])
        if recurse:
            owners = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for owner_name, owner in owners:
            for name, member in owner.__dict__[kind].items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield (f"{owner_name}.{name}" if owner_name else name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield (name, parameter); a shared parameter once, unless `remove_duplicate` is False."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, of this module only if not `recurse`."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (name, buffer); a shared buffer once, unless `remove_duplicate` is False."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers, of this module only if not `recurse`."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at the dotted path `target`; AttributeError if there is none."""
        module: Module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            below = getattr(module, name)
            if not isinstance(below, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
            module = below
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at the dotted path `target`; AttributeError if there is none."""
        return self._get_member(target, "_parameters", "an nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at the dotted path `target`; AttributeError if there is none."""
        return self._get_member(target, "_buffers", "a buffer")

    def _get_member(self, target: str, kind: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        member = module.__dict__[kind].get(name)
        if member is None:
            raise AttributeError(f"`{name}` is not {what}")
        return member

    # Changing the whole tree

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below and then on this one; returns the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Set the training flag here and below: batch norm and dropout read it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """The same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set whether backward computes gradients of the parameters; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the parameters' gradients, or fill them with zeros if not `set_to_none`."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad.zero_()

    def _apply(self: Self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Replace the contents of every parameter, gradient and buffer `t` by `fn(t)`.

        Parameters keep their identity, so optimizers go on holding them."""
        for module in self.children():
            module._apply(fn)
        with autograd.no_grad():
            for parameter in self._parameters.values():
                if parameter is not None:
                    gradient = parameter.grad
                    parameter.grad = None
                    parameter.data = fn(parameter.detach())
                    if gradient is not None:
                        parameter.grad = fn(gradient.detach())
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move or convert in place: `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`,
        `to(memory_format=pycnn.channels_last)`; returns the module.

        Only floating-point parameters and buffers change their dtype and only four-dimensional
        ones their memory format. TypeError for a dtype that is not floating point."""
        return self._apply(state.Conversion.parse(*args, **kwargs))

    def float(self: Self) -> Self:
        """Convert floating-point parameters and buffers to float32."""
        return self.to("float32")

    def double(self: Self) -> Self:
        """Convert floating-point parameters and buffers to float64."""
        return self.to("float64")

    def half(self: Self) -> Self:
        """Convert floating-point parameters and buffers to float16."""
        return self.to("float16")

    def bfloat16(self: Self) -> Self:
        """Convert floating-point parameters and buffers to bfloat16."""
        return self.to("bfloat16")

    def cpu(self: Self) -> Self:
        """Move parameters and buffers to the CPU."""
        return self.to(device="cpu")

    def cuda(self: Self, device: int | str | None = None) -> Self:
        """Move parameters and buffers to a GPU, the current one by default."""
        return self.to(device=f"cuda:{device}" if isinstance(device, int) else device or "cuda")

    # State dicts

    def state_dict(
        self,
        *,
        destination: OrderedDict[str, Tensor] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, in order of registration.

        The tensors share memory with the module's; `keep_vars` also keeps them in the graph."""
        found: OrderedDict[str, Tensor] = OrderedDict() if destination is None else destination
        for name, tensor in state.own_state(self):
            found[prefix + name] = tensor if keep_vars else tensor.detach()
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return found

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> state.IncompatibleKeys:
        """Copy a state dict's values into this module's parameters and buffers.

        Values are Tensors or arrays of the same shapes; each is converted to the dtype and device
        of its place and never aliased. Returns the names that were missing and those that were
        unexpected. Everything is checked before anything is copied: a RuntimeError, which lists
        every missing, unexpected (both only if `strict`) and mismatching entry, leaves the module
        as it was.
        """
        return state.load(self, state_dict, strict)

    # Showing

    def extra_repr(self) -> str:
        """What the repr says of this module between its parentheses."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def _child_lines(self) -> list[str]:
        return [f"({name}): {_indented(repr(child))}" for name, child in self._modules.items()]

    def __repr__(self) -> str:
        extra, children = self.extra_repr(), self._child_lines()
        lines = (extra.split("\n") if extra else []) + children
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _typename(value: object) -> str:
    return type(value).__name__


def _call_pre_hook(
    hook: Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not hook.with_kwargs:
        changed = hook.call(module, args)
        if changed is None:
            return args, kwargs
        return (changed if isinstance(changed, tuple) else (changed,)), kwargs
    changed = hook.call(module, args, kwargs)
    if changed is None:
        return args, kwargs
    if not isinstance(changed, tuple) or len(changed) != 2:
        raise RuntimeError(
            "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
            f"{changed}."
        )
    return changed
