"""A user's CUDA C++ file, compiled and called: by g++ on the emulator, or by nvcc for a GPU.

csrc/study/kernel.cuh says what such a file holds. What was compiled is kept in the user's cache
under a hash of all that went in.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import array, dispatch
from ..files import replacing
from . import cubins, toolkit

CSRC = cubins.CSRC
# what CMakeLists.txt builds pycnn._emulated of and with, beside its kernels
ENGINE = ("emulator/engine", "emulator/shared_arrays")
HOST = ("cpu/cores", "cpu/memory", "cpu/parallel", "cpu/threads")
FLAGS = (
    "-std=c++17", "-fPIC", "-ffp-contract=off", "-fvisibility=hidden", f"-I{CSRC}",
    "-DPYCNN_CUDA", "-DPYCNN_EMULATED", "-Wall", "-Wextra", "-Wno-unknown-pragmas",
)  # fmt: skip
_NVCC = ("-std=c++17", "-O3", "-DNDEBUG", "-DPYCNN_CUDA", "--expt-relaxed-constexpr", f"-I{CSRC}",
         "-shared", "-Xcompiler", "-fPIC,-fvisibility=hidden")  # fmt: skip
_LAUNCHER = re.compile(r"^\s*PYCNN_KERNEL\((\w+)\)", re.M)
# the names of csrc/common/array.h's dtypes, in their order
_DTYPES = ("float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "int8", "int16",
           "bool")  # fmt: skip
_MAX_DIMS = 8
_DONE, _REFUSED = 0, 1
_MESSAGE = 4096  # bytes


class Refused(Exception):
    """The launcher does not take a call; the message is its reason."""


class CompileError(RuntimeError):
    """The compiler's words about a user's file."""


def why_not(device: str) -> str | None:
    """None where a CUDA file can be compiled for the device ("cpu": emulated), else the reason."""
    if not (CSRC / "study" / "kernel.cuh").exists():
        return (
            "a CUDA file is compiled with the headers of csrc, which an installation lacks: run "
            f"from a checkout of pycnn's sources (there is no {CSRC})"
        )
    if device != "cpu":
        return array.gpu_status() or toolkit.find_nvcc()[1] or None
    compiler = _compiler()[0]
    if shutil.which(compiler) is None:
        return f"no C++ compiler {compiler!r} was found (CXX names another)"
    return None


def launchers(source: Path) -> list[str]:
    """The names a file gives to PYCNN_KERNEL."""
    return _LAUNCHER.findall(source.read_text())


# --- compiling ------------------------------------------------------------------------------------


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX") or "c++")


@lru_cache(maxsize=1)
def _headers_hash() -> str:
    """Of everything under csrc that a file might include or be linked with."""
    digest = hashlib.sha256()
    for folder in ("common", "cuda", "emulator", "study", "cpu"):
        for path in sorted((CSRC / folder).glob("*")):
            if path.suffix in (".h", ".cuh") or str(path.relative_to(CSRC))[:-4] in ENGINE + HOST:
                digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _folder() -> Path:
    from ..kernels.tuning_rows import cache_folder

    base = cache_folder()
    folder = Path(tempfile.gettempdir()) / "pycnn" if base is None else base
    folder = folder / "study"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _made(name: str, command: Sequence[str], *inputs: bytes) -> Path:
    """The file that `command` writes to the path appended to it, unless that was done before."""
    key = "\0".join(command).encode() + b"\0" + _headers_hash().encode()
    digest = hashlib.sha256(key)
    for data in inputs:
        digest.update(hashlib.sha256(data).digest())
    target = _folder() / f"{digest.hexdigest()[:24]}-{name}"
    if not target.exists():
        with replacing(target) as temporary:
            done = subprocess.run(
                [*command, "-o", str(temporary)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise CompileError(f"{done.stderr or done.stdout}".strip())
    return target


def compile_source(source: Path, device: str = "cpu") -> Path:
    """The library of a .cu file, for the emulator or for a GPU.

    Raises:
        CompileError: what the compiler says of it.
        RuntimeError: it cannot be compiled here; see `why_not`.
    """
    reason = why_not(device)
    if reason is not None:
        raise RuntimeError(reason)
    source = source.resolve()
    if device != "cpu":
        return compile_for(source, int(array.import_cupy().cuda.Device().compute_capability))
    compiler = _compiler()
    parts = [
        _made(f"{Path(name).name}.o", [*compiler, *FLAGS, "-O2", "-c", f"{CSRC / name}.cpp"])
        for name in ENGINE + HOST
    ]
    here = f"-I{source.parent}"
    command = [*compiler, *FLAGS, here, "-O1", "-shared", "-pthread", "-xc++", str(source)]
    return _made(f"{source.stem}.so", [*command, "-xnone", *map(str, parts)], source.read_bytes())


def compile_for(source: Path, number: int) -> Path:
    """The library of a .cu file for GPUs of sm_<number>, by nvcc; needs no GPU."""
    nvcc, reason = toolkit.find_nvcc()
    if nvcc is None:
        raise RuntimeError(reason)
    arch = f"-arch=sm_{cubins.normalized(number)}"
    command = [nvcc, *_NVCC, f"-I{source.parent}", arch, str(source)]
    return _made(f"{source.stem}.so", command, source.read_bytes())


# --- calling --------------------------------------------------------------------------------------


class _Array(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_uint8),
        ("writable", ctypes.c_bool),
        ("ndim", ctypes.c_int),
        ("shape", ctypes.c_int64 * _MAX_DIMS),
        ("strides", ctypes.c_int64 * _MAX_DIMS),
    ]


class _Field(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("text", ctypes.c_char_p),
        ("integer", ctypes.c_int64),
        ("number", ctypes.c_double),
    ]


class _Call(ctypes.Structure):
    _fields_ = [
        ("arrays", ctypes.POINTER(ctypes.POINTER(_Array))),
        ("inputs", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
        ("epilogue", ctypes.POINTER(_Array) * 4),
        ("activation", ctypes.c_char_p),
        ("fields", ctypes.POINTER(_Field)),
        ("field_count", ctypes.c_int64),
        ("stream", ctypes.c_void_p),
    ]


def _view(a: Any, writable: bool) -> Any:
    """A pointer to the array as csrc/common/array.h describes one; null for None."""
    if a is None:
        return None
    if a.ndim > _MAX_DIMS or a.dtype.name not in _DTYPES:
        raise Refused(f"an array of {a.ndim} axes of {a.dtype} has no view in C++")
    view = _Array(array.data_pointer(a), _DTYPES.index(a.dtype.name), writable, a.ndim)
    for axis in range(a.ndim):
        view.shape[axis] = a.shape[axis]
        view.strides[axis] = a.strides[axis] // a.itemsize
    return ctypes.pointer(view)


def _fields(geometry: Any) -> list[_Field]:
    """The geometry's fields by name, those of a tuple one by one: axes[0], axes[1] ..."""
    found: list[_Field] = []

    def add(name: str, value: Any) -> None:
        if isinstance(value, (tuple, list)):
            for i, item in enumerate(value):
                add(f"{name}[{i}]", item)
        elif isinstance(value, str):
            found.append(_Field(name.encode(), value.encode(), 0, 0.0))
        elif isinstance(value, (bool, int, float)):
            found.append(_Field(name.encode(), None, int(value), float(value)))

    for name in geometry._fields if geometry is not None else ():
        add(name, getattr(geometry, name))
    return found


def load(library: Path, name: str) -> Callable[..., None]:
    """The launcher `name` of a compiled library, called as a provider's kernel is.

    The function raises Refused where the launcher does, RuntimeError with what a kernel threw."""
    function = getattr(ctypes.CDLL(str(library)), f"pycnn_kernel_{name}")
    function.argtypes = [ctypes.POINTER(_Call), ctypes.c_char_p, ctypes.c_int64]
    function.restype = ctypes.c_int

    def call(*inputs: Any, out: Any, geometry: Any, epilogue: dispatch.Epilogue | None) -> None:
        outs = out if isinstance(out, tuple) else (out,)
        views = [_view(a, False) for a in inputs] + [_view(a, True) for a in outs]
        raw = _Call(inputs=len(inputs), outputs=len(outs))
        raw.arrays = (ctypes.POINTER(_Array) * len(views))(*views)
        if epilogue is not None:
            for i, a in enumerate(epilogue[:4]):
                if a is not None:
                    raw.epilogue[i] = _view(a, False)
            if epilogue.activation is not None:
                raw.activation = epilogue.activation.encode()
        fields = _fields(geometry)
        raw.fields, raw.field_count = (_Field * len(fields))(*fields), len(fields)
        if not isinstance(outs[0], array.np.ndarray):
            raw.stream = array.import_cupy().cuda.get_current_stream().ptr
        message = ctypes.create_string_buffer(_MESSAGE)
        outcome = function(ctypes.byref(raw), message, _MESSAGE)
        if outcome != _DONE:
            text = message.value.decode(errors="replace")
            raise (Refused if outcome == _REFUSED else RuntimeError)(text)

    call.__name__ = name
    return call
