"""Local response normalisation: odd and even windows, one wider than the channels, one channel."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from ....geometry import LocalResponseNormGeometry
from ..case import Case, Draw


def _window_sum(a: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """The sum over the channels from `before` ahead to `after` behind."""
    channels = a.shape[1]
    parts = [a[:, max(c - before, 0) : c + after + 1].sum(1) for c in range(channels)]
    return torch.stack(parts, 1) if parts else a


def _scale(x: torch.Tensor, g: LocalResponseNormGeometry) -> torch.Tensor:
    return g.k + g.alpha / g.size * _window_sum(x * x, g.size // 2, (g.size - 1) // 2)


def lrn(name: str, shape: tuple[int, ...], *parameters: float) -> list[Case]:
    g = LocalResponseNormGeometry(*parameters)  # type: ignore[arg-type]

    def inputs(draw: Draw) -> tuple[Any, ...]:
        x = draw(*shape)
        y = draw.round((torch.from_numpy(x) * _scale(torch.from_numpy(x), g) ** -g.beta).numpy())
        return draw(*shape), x, y

    def gradient(dy: Any, x: Any, y: Any, sign: int = -1) -> torch.Tensor:
        s = _scale(x, g)
        through = _window_sum(dy * y / s, (g.size - 1) // 2, g.size // 2)
        return dy * s**-g.beta + sign * 2 * g.alpha * g.beta / g.size * x * through

    return [
        Case(
            "local_response_norm_fprop", name, g, lambda draw: (draw(*shape),),
            lambda x: F.local_response_norm(x, g.size, g.alpha, g.beta, g.k), depth=g.size,
            exact=False,
        ),
        Case(
            "local_response_norm_dgrad", name, g, inputs, gradient, opponent=None, depth=g.size,
            magnitude=lambda dy, x, y: gradient(dy.abs(), x.abs(), y.abs(), 1), exact=False,
        ),
    ]  # fmt: skip


CASES = [
    *lrn("AlexNet", (2, 11, 4, 5), 5, 1e-4, 0.75, 2.0),
    *lrn("even window", (2, 7, 3, 4), 4, 1.5, 0.6, 0.8),
    *lrn("wider than the channels", (2, 3, 3, 3), 9, 2.0, 0.5, 1.0),
    *lrn("one channel", (2, 1, 3, 3), 2, 2.0, 1.25, 0.5),
    *lrn("37 channels", (1, 37, 5, 7), 5, 0.5, 0.75, 1.0),
    *lrn("whole vectors of channels", (2, 24, 3, 5), 5, 0.5, 0.75, 1.0),
    *lrn("more than a block of pixels", (2, 5, 7, 11), 3, 0.5, 1.0, 2.0),
    *lrn("sequence", (2, 6, 7), 3, 1.0, 0.75, 1.0),
    *lrn("empty", (0, 6, 3, 3), 3, 1.0, 0.75, 1.0),
]
