"""A user's kernel: a Python function, a Python file (Triton's too) or a CUDA C++ file."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import array, dispatch

OWN = "yours"  # the provider of such a kernel in messages
_TRITON = re.compile(r"^\s*(import|from)\s+triton\b", re.M)


class LoadError(ValueError):
    """The file or function holds no kernel that can be called; one sentence or the compiler's
    words."""


@dataclass(frozen=True)
class OwnKernel:
    """A kernel of a primitive that is not in pycnn's table."""

    name: str
    primitive: str
    language: str  # "Python", "Triton", "CUDA C++"
    function: Callable[..., Any]
    refuses: Callable[..., str | None]
    device: str = "cpu"
    takes_epilogue: bool = True
    source: str = ""

    def entry(self) -> dispatch.Entry:
        """As the table of dispatch would hold it."""
        devices = ("cpu", "cuda")
        return dispatch.Entry(
            self.primitive, OWN, self.name, self.function, self.refuses, devices, None
        )

    def why_refused(self, geometry: Any, operands: Any, epilogue: Any) -> str | None:
        """What `refuses` says, and that a kernel without a parameter `epilogue` takes none."""
        if epilogue is not None and not self.takes_epilogue:
            return "it has no parameter `epilogue`"
        return self.refuses(geometry, operands, epilogue)

    def __call__(self, *inputs: Any, out: Any, geometry: Any, epilogue: Any = None) -> Any:
        named = {"epilogue": epilogue} if self.takes_epilogue else {}
        return self.function(*inputs, out=out, geometry=geometry, **named)


def default_device() -> str:
    """Where kernels run that a GPU could run: "cuda:0" where one answers, else "cpu"."""
    return "cuda:0" if array.gpu_status() is None else "cpu"


def known_device(name: str | None) -> str | None:
    """The device's whole name; ValueError for what is none, or a GPU that does not answer."""
    if name is None:
        return None
    try:
        device = array.as_device(name)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    status = None if device == "cpu" else array.gpu_status()
    if status is not None:
        raise ValueError(f"device: got {name!r}, but {status}")
    return device


def known_primitive(name: str) -> str:
    if name not in dispatch.PRIMITIVES:
        known = ", ".join(dispatch.PRIMITIVES)
        raise LoadError(f"primitive: got {name!r}, expected one of {known}")
    return name


def from_function(
    function: Callable[..., Any],
    primitive: str,
    refuses: Callable[..., str | None] | None = None,
    *,
    name: str | None = None,
    language: str = "Python",
    device: str = "cpu",
    source: str = "",
) -> OwnKernel:
    """A function called as a provider's kernel is, function(*inputs, out=..., geometry=...,
    epilogue=...), or without the last.

    Raises:
        LoadError: there is no such primitive, or the function cannot be called so.
    """
    known_primitive(primitive)
    name = name or str(getattr(function, "__name__", "kernel"))
    if not callable(function):
        raise LoadError(f"{name} is {type(function).__name__}, expected a function")
    if refuses is not None and not callable(refuses):
        raise LoadError(f"refuses is {type(refuses).__name__}, expected a function")
    takes = _takes_epilogue(function, primitive, name)
    return OwnKernel(
        name, primitive, language, function, refuses or dispatch.refuses_nothing, device, takes,
        source,
    )  # fmt: skip


def _takes_epilogue(function: Callable[..., Any], primitive: str, name: str) -> bool:
    """Whether there is a parameter for it; LoadError where the signature is not a kernel's."""
    inputs = dispatch.PRIMITIVES[primitive].partition("->")[0].strip()
    names = [] if inputs.startswith("*") else [n.strip() for n in inputs.split(",")]
    signature = inspect.signature(function)
    bind = signature.bind if names else signature.bind_partial  # any number of inputs
    for extra in ({"epilogue": None}, {}):
        try:
            bind(*names, out=None, geometry=None, **extra)
        except TypeError as error:
            why = str(error)
            continue
        return bool(extra)
    expected = f"{primitive}({inputs}, *, out, geometry, epilogue=None)"
    raise LoadError(f"{name}{signature} is not called as {expected}: {why}")


def load(
    path: Path, primitive: str | None = None, name: str | None = None, device: str | None = None
) -> OwnKernel:
    """The kernel in a .py or .cu file.

    Args:
        primitive: which it computes; by default the one that the kernel's name begins with.
        name: the function's, or what the file gives to PYCNN_KERNEL; by default the only one that
            is called after a primitive.
        device: "cpu" or "cuda:0"; by default a GPU for Triton and CUDA where one answers.

    Raises:
        LoadError: it does not load or compile, or does not say which kernel is meant.
    """
    if primitive is not None:
        known_primitive(primitive)
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    if path.suffix == ".cu":
        return _load_cuda(path, primitive, name, device or default_device())
    if path.suffix != ".py":
        raise LoadError(f"{path}: expected a .py or .cu file")
    return _load_python(path, primitive, name, device)


def _load_python(
    path: Path, primitive: str | None, name: str | None, device: str | None
) -> OwnKernel:
    is_triton = _TRITON.search(path.read_text()) is not None
    if is_triton:
        _settle_triton(device or default_device())
        device = device or default_device()
    module = _import_file(path)
    functions = [
        n
        for n, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    chosen, primitive = _choose(path, functions, primitive, name)
    return from_function(
        getattr(module, chosen), primitive, getattr(module, "refuses", None), name=chosen,
        language="Triton" if is_triton else "Python", device=device or "cpu", source=str(path),
    )  # fmt: skip


def _settle_triton(device: str) -> None:
    """Interpreted on the CPU and compiled for a GPU, before the file imports Triton."""
    from ..kernels import mode

    reason = mode.why_not()
    if reason is not None:
        raise LoadError(reason)
    try:
        settled = mode.settle()
    except RuntimeError as error:
        raise LoadError(str(error)) from None
    if (settled == mode.COMPILED) != (device != "cpu"):
        raise LoadError(
            f"Triton's kernels are {settled} in this process, which are not for {device!r}: "
            "PYCNN_TRITON=interpret or compile decides"
        )


def _import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"pycnn_own_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise LoadError(f"{path} does not load: {describe_error(error, str(path))}") from error
    finally:
        sys.path.pop(0)
    return module


def _load_cuda(path: Path, primitive: str | None, name: str | None, device: str) -> OwnKernel:
    from . import cuda_source

    names = cuda_source.launchers(path)
    if not names:
        raise LoadError(f"{path} has no launcher: PYCNN_KERNEL(NAME) {{ ... }} declares one")
    chosen, primitive = _choose(path, names, primitive, name)
    try:
        function = cuda_source.load(cuda_source.compile_source(path, device), chosen)
    except cuda_source.CompileError as error:
        raise LoadError(f"{path} does not compile:\n{error}") from None
    except (RuntimeError, OSError) as error:
        raise LoadError(str(error)) from None
    return from_function(
        function, primitive, name=chosen, language="CUDA C++", device=device, source=str(path)
    )


def _choose(
    path: Path, names: list[str], primitive: str | None, name: str | None
) -> tuple[str, str]:
    """(the kernel's name, its primitive) among the names that a file defines."""
    if name is not None and name not in names:
        raise LoadError(f"{path} has no kernel {name!r}; it defines {', '.join(names) or 'none'}")
    found = []
    for candidate in names if name is None else [name]:
        owner = _primitive_of(candidate) if primitive is None else primitive
        if owner is not None and (name is not None or _is_called_after(candidate, owner)):
            found.append((candidate, owner))
    if len(found) == 1:
        return found[0]
    if not found:
        raise LoadError(
            f"{path} names no kernel after a primitive; --kernel and --primitive say which is "
            f"meant. It defines {', '.join(names) or 'no function'}"
        )
    several = ", ".join(candidate for candidate, _ in found)
    raise LoadError(f"{path} has several kernels, {several}: --kernel says which is meant")


def _is_called_after(name: str, primitive: str) -> bool:
    return name == primitive or name.startswith(f"{primitive}_")


def _primitive_of(name: str) -> str | None:
    """The primitive with the longest name that `name` begins with."""
    owners = [p for p in dispatch.PRIMITIVES if _is_called_after(name, p)]
    return max(owners, key=len, default=None)


def describe_error(error: BaseException, source: str) -> str:
    """An exception in one line, with the last line of the user's own file that was running."""
    words = " ".join(str(error).split())
    text = f"{type(error).__name__}: {words}" if words else type(error).__name__
    place = None
    cause: BaseException | None = error
    while cause is not None:
        frame = cause.__traceback__
        while frame is not None:
            if source and frame.tb_frame.f_code.co_filename == source:
                place = frame.tb_lineno
            frame = frame.tb_next
        cause = cause.__cause__
    return text if place is None else f"{text} (line {place})"
