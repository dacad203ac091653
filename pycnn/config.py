"""How this pycnn was built and what it finds on this machine."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import platform
import sys
import warnings
from typing import Any


def require_installed() -> None:
    """ImportError in one sentence, unless pycnn.kernels is this pycnn's own.

    The kernels lie beside pycnn/ in the source tree and become pycnn.kernels by installing it. An
    installation has them inside pycnn/, an editable one finds them beside it; kernels from anywhere
    else belong to another copy of pycnn.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.find_spec("pycnn.kernels")
    if spec is not None and spec.origin is not None:
        found = os.path.realpath(os.path.dirname(spec.origin))
        inside = os.path.join(here, "kernels")
        beside = os.path.join(os.path.dirname(here), "kernels")
        if found in (os.path.realpath(inside), os.path.realpath(beside)):
            return
    raise ImportError(
        f"{here} is a source tree that is not installed: run 'make setup' there, "
        "or 'pip install -e .', or leave its folder to import the pycnn that is installed"
    )


@functools.lru_cache(maxsize=3)
def extension_status(name: str) -> tuple[Any, str]:
    """(the extension module pycnn.<name>, "") or (None, why there is none)."""
    try:
        module: Any = importlib.import_module(f"pycnn.{name}")
        here, found = os.path.dirname(__file__), os.path.dirname(module.__file__)
        if not os.path.samefile(here, found):
            raise ImportError(f"the one found, in {found}, belongs to another pycnn")
    except ImportError as error:
        return None, _why_no_native(error)
    from . import __version__

    built_for = module.version()
    if built_for != __version__:
        return None, f"it was built for pycnn {built_for}, not {__version__}: reinstall pycnn"
    return module, ""


def native_status() -> tuple[Any, str]:
    """(the C++ extension, "") or (None, why there is none)."""
    return extension_status("_native")


def cuda_modules() -> dict[str, Any]:
    """The modules with the CUDA kernels, by the device of their arrays: {"cpu": the emulated one,
    "cuda": the one for GPUs}, each where it was built."""
    modules = {
        device: extension_status(name)[0]
        for device, name in (("cpu", "_emulated"), ("cuda", "_cuda"))
    }
    return {device: module for device, module in modules.items() if module is not None}


def _why_no_native(error: ImportError) -> str:
    info = _build_info()
    if info is None:
        return "it was never built: install pycnn with 'make setup' or 'pip install -e .'"
    if info.PYTHON != sys.implementation.cache_tag:
        return (
            f"it was built for {info.PYTHON}, not {sys.implementation.cache_tag}: reinstall pycnn"
        )
    return info.REASON or f"it was built, but cannot be imported: {error}"


def _build_info() -> Any:
    """The module setup.py writes, or None where it never ran."""
    try:
        from . import _build_info
    except ImportError:
        return None
    return _build_info


@functools.lru_cache(maxsize=1)
def warn_without_native() -> None:
    """Warns, once per process, if the C++ extension is missing and nobody chose that."""
    module, reason = native_status()
    info = _build_info()
    if module is None and not (info is not None and info.NATIVE == "off"):
        warnings.warn(
            f"pycnn runs on its slow reference provider: the C++ extension is missing, {reason} "
            "(pycnn.show_config() tells more)",
            RuntimeWarning,
            stacklevel=2,
        )


def get_num_threads() -> int:
    """How many threads the native provider uses; 1 without it."""
    module, _ = native_status()
    return module.get_num_threads() if module is not None else 1


def set_num_threads(count: int) -> None:
    """Sets how many threads the native provider uses (PYCNN_NUM_THREADS sets it from outside)."""
    module, reason = native_status()
    if module is None:
        raise RuntimeError(f"threads are the native provider's, and it is missing: {reason}")
    module.set_num_threads(count)


FLOAT32_PRECISIONS = ("ieee", "tf32", "tf32x3", "bf16x3", "bf16x6")
_float32_precision: str | None = None  # None: the environment was not asked yet


def get_float32_precision() -> str:
    """How GPU kernels multiply float32: the name set_float32_precision was given."""
    global _float32_precision
    if _float32_precision is None:
        name = os.environ.get("PYCNN_FLOAT32_PRECISION") or "ieee"
        _float32_precision = _known_precision(name, "PYCNN_FLOAT32_PRECISION")
    return _float32_precision


def set_float32_precision(name: str) -> None:
    """Sets how GPU kernels multiply float32 in convolutions and matrix products, for the whole
    process (PYCNN_FLOAT32_PRECISION sets it from outside). Sums are float32 in every case.

    "ieee", the default, multiplies exactly. The others use tensor cores on operands that are
    rounded to 11 bits ("tf32"), or split into two ("tf32x3", "bf16x3") or three ("bf16x6") numbers
    of 11 or 8 bits; "tf32x3" and "bf16x6" have the error of float32 itself on ordinary numbers."""
    from . import dispatch

    global _float32_precision
    _float32_precision = _known_precision(name, "name")
    dispatch.select.cache_clear()  # some kernels run in one precision only


def _known_precision(name: str, argument: str) -> str:
    if name not in FLOAT32_PRECISIONS:
        raise ValueError(
            f"{argument}: got {name!r}, expected one of {', '.join(FLOAT32_PRECISIONS)}"
        )
    return name


def config_dict() -> dict[str, Any]:
    """What show_config() prints: {row: text}, and under "providers" (name, available, note)."""
    import numpy

    from . import __version__, array, dispatch

    native, reason = native_status()
    info = _build_info()
    config: dict[str, Any] = {
        "pycnn": f"{__version__} in {os.path.dirname(os.path.abspath(__file__))}",
        "python": f"{platform.python_version()}, NumPy {numpy.__version__}, {platform.platform()}",
        "providers": dispatch.provider_status(),
    }
    if native is None:
        config["extension"] = f"none: {reason}"
    else:
        config["extension"] = f"built by {native.compiler()}, {native.build_flags()}"
        if info is not None and info.CMAKE:
            config["extension"] += f", {info.CMAKE}"
        built = ", ".join(native.isa_builds())
        config["isa"] = f"{_value_or_error(native.isa)} (built for {built})"
        config["threads"] = str(_value_or_error(native.get_num_threads))
    config["gpu"] = array.gpu_name()
    config["float32"] = f"multiplied as {_value_or_error(get_float32_precision)} on a GPU"
    config["environment"] = _environment()
    return config


def _value_or_error(function: Any) -> Any:
    """A setting read from the environment may be wrong; the report says so and goes on."""
    try:
        return function()
    except ValueError as error:
        return f"error: {error}"


def _environment() -> str:
    """The PYCNN_* variables that are set."""
    names = sorted(name for name in os.environ if name.startswith("PYCNN_"))
    return ", ".join(f"{name}={os.environ[name]}" for name in names) or "no PYCNN_* variable is set"


def show_config() -> None:
    """Prints what pycnn is running on: its providers and what each lacks, the build, the GPU."""
    for row, value in config_dict().items():
        if row == "providers":
            print("providers")
            for name, available, note in value:
                print(f"  {name:<10} {'yes' if available else 'no':<4} {note}")
        else:
            print(f"{row:<12} {value}")
