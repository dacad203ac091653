"""csrc/cuda/conv2d_*.cu: the convolution algorithms, special before general, and what each
refuses."""

from __future__ import annotations

from typing import Any

from ..compiled import conv2d
from ..compiled.extension import Extension


def register(extension: Extension) -> None:
    def enter(algorithm: str, *passes: Any, **keywords: Any) -> None:
        conv2d.register(extension, algorithm, *passes, **keywords)

    enter("naive")
