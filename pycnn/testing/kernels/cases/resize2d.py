"""Cases of resize2d_fprop and resize2d_dgrad: torch.nn.functional.interpolate."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

from ....geometry import resize2d_geometry
from ..case import Case


def _resize(g):
    def resized(x):
        if 0 in g.x_shape:
            return x.new_zeros(g.y_shape)
        call = {"mode": g.mode, "antialias": g.antialias}
        if g.mode in ("bilinear", "bicubic"):
            call["align_corners"] = g.align_corners
        if g.scale_h or g.scale_w:
            call["scale_factor"] = (g.scale_h or g.P / g.H, g.scale_w or g.Q / g.W)
        else:
            call["size"] = (g.P, g.Q)
        return interpolate(x, **call)

    return resized


def _gradient(g):
    def image(dy):
        x = dy.new_zeros(g.x_shape, requires_grad=True)
        return torch.autograd.grad(_resize(g)(x), x, dy)[0] if x.numel() else x.detach()

    return image


def _largest(shape, growth):
    """The size of sums whose weights add up to `growth` at most."""
    return lambda a: a.abs().amax().expand(shape) * growth if a.numel() else a.new_zeros(shape)


def _sized(shape, size, mode, align_corners=False, antialias=False):
    return resize2d_geometry(shape, size, (None, None), mode, align_corners, antialias)


GEOMETRIES = {
    "nearest up": _sized((2, 3, 5, 7), (10, 14), "nearest"),
    "nearest uneven": _sized((2, 3, 5, 7), (13, 3), "nearest"),
    "nearest scale": resize2d_geometry((1, 3, 5, 9), None, (2.3, 1.05), "nearest"),
    "nearest-exact": _sized((2, 3, 5, 7), (3, 11), "nearest-exact"),
    "nearest-exact scale": resize2d_geometry((1, 3, 7, 12), None, (1.1, 1.05), "nearest-exact"),
    "bilinear up": _sized((2, 3, 5, 7), (10, 14), "bilinear"),
    "bilinear down": _sized((2, 3, 11, 13), (4, 5), "bilinear"),
    "bilinear corners": _sized((2, 3, 5, 7), (9, 4), "bilinear", True),
    "bilinear scale": resize2d_geometry((1, 3, 5, 7), None, (1.7, 0.6), "bilinear"),
    "bilinear to one": _sized((1, 2, 5, 6), (1, 1), "bilinear", True),
    "bilinear from one": _sized((1, 2, 1, 1), (5, 6), "bilinear"),
    "bilinear antialiased": _sized((1, 3, 11, 13), (4, 5), "bilinear", False, True),
    "bicubic": _sized((2, 3, 5, 7), (9, 4), "bicubic"),
    "bicubic corners": _sized((2, 3, 5, 7), (9, 4), "bicubic", True),
    "bicubic antialiased": _sized((1, 3, 11, 13), (4, 5), "bicubic", False, True),
    "bilinear channels": _sized((1, 83, 3, 4), (5, 7), "bilinear"),
    "bicubic channels": _sized((1, 83, 5, 4), (7, 6), "bicubic"),
    "bilinear whole vectors": _sized((2, 16, 3, 4), (5, 7), "bilinear"),
    "bicubic whole vectors": _sized((1, 8, 4, 3), (7, 5), "bicubic"),
    "nearest whole vectors": _sized((1, 32, 3, 4), (5, 7), "nearest"),
    "antialiased rows": _sized((1, 2, 40, 37), (9, 33), "bilinear", False, True),
    "nearest channels": _sized((2, 17, 3, 4), (7, 6), "nearest"),
    "no batch": _sized((0, 3, 4, 5), (7, 7), "bilinear"),
    "same size": _sized((2, 3, 4, 5), (4, 5), "bilinear"),
}


def _cases(name, g):
    exact = g.mode.startswith("nearest") or name in ("same size", "no batch")
    spread = -(-g.P // g.H) * -(-g.Q // g.W) * 4  # outputs that one input can feed, generously
    yield Case(
        "resize2d_fprop",
        name,
        g,
        lambda draw: (draw(*g.x_shape),),
        _resize(g),
        depth=16,
        magnitude=None if exact else _largest(g.y_shape, 2.0),
        exact=exact,
    )
    yield Case(
        "resize2d_dgrad",
        name,
        g,
        lambda draw: (draw(*g.y_shape),),
        _gradient(g),
        depth=spread * 4,
        magnitude=_largest(g.x_shape, spread),
        exact=exact,
    )


CASES = [case for name, g in GEOMETRIES.items() for case in _cases(name, g)]
