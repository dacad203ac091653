"""Max unpooling: every index once per plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ....geometry import Pool2dGeometry
from ..case import Case, Draw


def _indices(draw: Draw, g: Pool2dGeometry) -> np.ndarray:
    """Distinct positions in each plane, in no order."""
    everywhere = np.broadcast_to(np.arange(g.H * g.W), (g.N, g.C, g.H * g.W))
    return draw.rng.permuted(everywhere, axis=2)[..., : g.P * g.Q].reshape(g.y_shape).copy()


def unpool(name: str, g: Pool2dGeometry) -> list[Case]:
    def fprop(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        flat = torch.zeros(g.N, g.C, g.H * g.W, dtype=x.dtype)
        return flat.scatter(2, indices.flatten(2), x.flatten(2)).reshape(g.x_shape)

    def dgrad(dy: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        return dy.flatten(2).gather(2, indices.flatten(2)).reshape(g.y_shape)

    def operands(shape: tuple[int, ...]) -> Any:
        return lambda draw: (draw(*shape), _indices(draw, g))

    return [
        Case("max_unpool2d_fprop", name, g, operands(g.y_shape), fprop, opponent=None),
        Case("max_unpool2d_dgrad", name, g, operands(g.x_shape), dgrad, opponent=None),
    ]


CASES = [
    *unpool("2x2", Pool2dGeometry(2, 3, 6, 8, 2, 2, 3, 4, 2, 2)),
    *unpool("odd sizes", Pool2dGeometry(2, 3, 7, 5, 3, 2, 3, 2, 2, 2)),
    *unpool("33 channels", Pool2dGeometry(2, 33, 6, 8, 2, 2, 3, 4, 2, 2)),
    *unpool("one pixel", Pool2dGeometry(2, 3, 1, 1, 1, 1, 1, 1)),
    *unpool("one row", Pool2dGeometry(2, 3, 1, 17, 1, 2, 1, 8, 1, 2)),
    *unpool("empty batch", Pool2dGeometry(0, 3, 4, 4, 2, 2, 2, 2, 2, 2)),
]
