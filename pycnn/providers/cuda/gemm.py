"""csrc/cuda/gemm*.cu: the matrix products, and what each refuses."""

from __future__ import annotations

from typing import Any

from ... import config
from ...geometry import GemmGeometry
from ..compiled import gemm
from ..compiled.extension import Extension

HALVES = ("float16", "bfloat16")


def register(extension: Extension) -> None:
    refuses = {"tensor_core": _not_tensor_core, "tf32": _not_tf32}
    gemm.register(extension, ("tensor_core", "tf32", "tiled", "naive"), refuses)


def not_halves(operands: Any) -> str | None:
    dtype = operands[0].dtype
    return None if dtype in HALVES else f"{dtype}: tensor cores multiply halves"


def not_tf32(operands: Any) -> str | None:
    """set_float32_precision clears what dispatch has kept of this."""
    dtype = operands[0].dtype
    if dtype != "float32":
        return f"{dtype}: tf32 stands for float32"
    precision = config.get_float32_precision()
    if precision != "tf32":
        return f"float32 is multiplied as {precision}, not as tf32"
    return None


def _not_tensor_core(geometry: GemmGeometry, operands: Any, epilogue: Any) -> str | None:
    return not_halves(operands) or _no_vectors(geometry, operands, 8)


def _not_tf32(geometry: GemmGeometry, operands: Any, epilogue: Any) -> str | None:
    return not_tf32(operands) or _no_vectors(geometry, operands, 4)


def _no_vectors(geometry: GemmGeometry, operands: Any, width: int) -> str | None:
    """A reason where the operands cannot be read 16 bytes at a time, as far as it shows here: the
    strides of a view do not, and the kernel falls back to single elements."""
    if not all(operand.aligned for operand in operands):
        return "an operand off the alignment of 16 bytes"
    g = geometry
    a, b = operands
    if g.K % width and (a.contiguous or g.M % width):
        return f"the rows of a are no multiple of {width} elements"
    if g.N % width and (b.contiguous or g.K % width):
        return f"the rows of b are no multiple of {width} elements"
    return None
