"""Cases of conv2d_fprop, conv2d_dgrad and conv2d_wgrad: one geometry, three passes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn.functional import conv2d, pad

from ....dispatch import ACTIVATIONS, Epilogue
from ....geometry import Conv2dGeometry
from ..case import EXACT_ACTIVATIONS, Case


def geometry(x, w, stride=1, padding=0, dilation=1, groups=1) -> Conv2dGeometry:
    """Padding is one number, (vertical, horizontal), or (top, bottom, left, right).

    Not validated: kernels also meet the empty weights that the public functions refuse."""

    def two(value):
        return value if isinstance(value, tuple) else (value, value)

    if not isinstance(padding, tuple):
        padding = (padding,) * 4
    if len(padding) == 2:
        padding = (padding[0], padding[0], padding[1], padding[1])
    return Conv2dGeometry(*x, w[0], *w[2:], *two(stride), *padding, *two(dilation), groups)


def _conv(g, x, w):
    if 0 in g.x_shape or 0 in g.w_shape:
        return (x.sum() + w.sum()) * x.new_zeros(g.y_shape)
    pads = g.padding
    if pads[0] == pads[1] and pads[2] == pads[3]:
        return conv2d(x, w, None, g.stride, (pads[0], pads[2]), g.dilation, g.G)
    x = pad(x, (pads[2], pads[3], pads[0], pads[1]))
    return conv2d(x, w, None, g.stride, 0, g.dilation, g.G)


def torch_fprop(g):
    return lambda x, w: _conv(g, x, w)


def torch_dgrad(g):
    def dgrad(dy, w):
        x = dy.new_zeros(g.x_shape)
        if dy.is_contiguous(memory_format=torch.channels_last) and not dy.is_contiguous():
            x = x.contiguous(memory_format=torch.channels_last)
        x.requires_grad_()
        return torch.autograd.grad(_conv(g, x, w), x, dy)[0]

    return dgrad


def torch_wgrad(g):
    def wgrad(x, dy):
        w = x.new_zeros(g.w_shape, requires_grad=True)
        return torch.autograd.grad(_conv(g, x, w), w, dy)[0]

    return wgrad


def _magnitude(oracle):
    return lambda a, b: torch.sqrt(oracle(a * a, b * b))


PASSES = {
    "conv2d_fprop": (
        torch_fprop,
        lambda g: (g.x_shape, g.w_shape),
        lambda g: g.C // g.G * g.R * g.S,
    ),
    "conv2d_dgrad": (
        torch_dgrad,
        lambda g: (g.y_shape, g.w_shape),
        lambda g: g.K // g.G * g.R * g.S,
    ),
    "conv2d_wgrad": (torch_wgrad, lambda g: (g.x_shape, g.y_shape), lambda g: g.N * g.P * g.Q),
}


def case(primitive, name, g, epilogue=None, **options) -> Case:
    make, shapes, depth = PASSES[primitive]
    first, second = shapes(g)
    oracle = make(g)
    return Case(
        primitive,
        name,
        g,
        lambda draw: (draw(*first), draw(*second)),
        oracle,
        depth=max(depth(g), 1),
        magnitude=_magnitude(oracle),
        epilogue=epilogue,
        **options,
    )


GEOMETRIES = {
    "stem 7x7 stride 2": geometry((1, 3, 11, 9), (4, 3, 7, 7), 2, 3),
    "3x3": geometry((2, 3, 6, 5), (4, 3, 3, 3), 1, 1),
    "3x3 valid": geometry((1, 2, 5, 6), (3, 2, 3, 3)),
    "pointwise": geometry((2, 5, 4, 3), (6, 5, 1, 1)),
    "pointwise stride 2": geometry((1, 4, 5, 7), (3, 4, 1, 1), 2),
    "pointwise padded": geometry((1, 3, 3, 4), (2, 3, 1, 1), 1, 1),
    "depthwise": geometry((2, 5, 6, 7), (5, 1, 3, 3), 1, 1, groups=5),
    "depthwise stride 2": geometry((1, 4, 9, 7), (4, 1, 3, 3), 2, 1, groups=4),
    "depthwise dilated": geometry((1, 4, 9, 8), (4, 1, 3, 3), 1, 2, 2, groups=4),
    "depthwise 5x1": geometry((1, 3, 8, 4), (3, 1, 5, 1), (2, 1), (2, 0), groups=3),
    "depthwise multiplier": geometry((2, 3, 6, 5), (6, 1, 3, 3), (1, 2), 1, groups=3),
    "grouped": geometry((2, 6, 5, 4), (4, 3, 3, 3), 1, 1, groups=2),
    "grouped stride 2": geometry((1, 8, 7, 6), (12, 2, 3, 3), 2, 1, groups=4),
    "uneven all": geometry((2, 3, 11, 13), (4, 3, 3, 2), (2, 3), (2, 1), (1, 2)),
    "uneven dilation": geometry((1, 2, 12, 9), (3, 2, 3, 3), (1, 2), (3, 1), (3, 1)),
    "dilation over stride": geometry((1, 2, 13, 14), (3, 2, 2, 3), (3, 2), 1, (2, 4)),
    "asymmetric padding": geometry((2, 2, 6, 7), (3, 2, 3, 4), (2, 1), (0, 1, 2, 1)),
    "even filter same": geometry((1, 2, 5, 6), (2, 2, 4, 2), 1, (1, 2, 0, 1)),
    "1x7": geometry((1, 3, 4, 9), (2, 3, 1, 7), 1, (0, 3)),
    "7x1": geometry((1, 3, 9, 4), (2, 3, 7, 1), 1, (3, 0)),
    "filter is the stride": geometry((2, 3, 6, 8), (5, 3, 2, 2), 2),
    "filter under the stride": geometry((2, 3, 11, 13), (4, 3, 2, 3), (3, 4)),
    "pointwise stride 2x3, unread border": geometry((2, 5, 8, 9), (6, 5, 1, 1), (2, 3)),
    "pointwise, one channel": geometry((3, 1, 5, 4), (1, 1, 1, 1)),
    "pointwise, one pixel": geometry((3, 7, 1, 1), (9, 7, 1, 1)),
    "one pixel": geometry((2, 3, 1, 1), (4, 3, 3, 3), 1, 1),
    "one channel": geometry((2, 1, 5, 5), (1, 1, 3, 3), 1, 1),
    "filter is the image": geometry((2, 3, 4, 5), (6, 3, 4, 5)),
    "stride past the image": geometry((1, 2, 5, 4), (2, 2, 2, 2), (4, 7), 1),
    "stride over filter": geometry((1, 3, 10, 11), (2, 3, 2, 2), (4, 3)),
    "padding over filter": geometry((1, 2, 3, 3), (2, 2, 2, 2), (1, 2), (4, 5)),
    "taps that miss": geometry((1, 2, 2, 3), (2, 2, 3, 3), 1, 5, 5),
    "unread border": geometry((1, 2, 8, 9), (2, 2, 3, 3), 3),
    "3x3 one tile": geometry((2, 5, 6, 6), (7, 5, 3, 3)),
    "3x3 one past a tile": geometry((1, 2, 5, 3), (3, 2, 3, 3), 1, 1),
    "3x3 uneven padding": geometry((2, 3, 6, 7), (4, 3, 3, 3), 1, (0, 2, 1, 0)),
    "3x3 unread rows": geometry((1, 3, 9, 10), (4, 3, 3, 3), 1, (1, -2, 0, -3)),
    "3x3 wide padding": geometry((1, 2, 3, 4), (3, 2, 3, 3), 1, (4, 3, 5, 4)),
    "no batch": geometry((0, 3, 5, 5), (4, 3, 3, 3), 1, 1),
    "no filters": geometry((2, 3, 5, 5), (0, 3, 3, 3), 1, 1),
    "no channels": geometry((2, 0, 5, 5), (4, 0, 3, 3), 1, 1),
}

LARGE = {
    "dilated, whole blocks": geometry((1, 32, 7, 9), (17, 32, 3, 3), 1, (2, 3), (2, 3)),
    # edges of blocks of pixels, tails of channel vectors, pairs of rows
    "depthwise 3x3 tails": geometry((2, 37, 9, 13), (37, 1, 3, 3), 1, 1, groups=37),
    "depthwise 3x3 stride 2 tails": geometry((2, 33, 12, 19), (33, 1, 3, 3), 2, 1, groups=33),
    "depthwise 5x5": geometry((1, 35, 8, 11), (35, 1, 5, 5), 1, 2, groups=35),
    "depthwise 5x5 stride 2": geometry((1, 19, 11, 20), (19, 1, 5, 5), 2, 2, groups=19),
    "depthwise 7x7": geometry((1, 17, 7, 21), (17, 1, 7, 7), 1, 3, groups=17),
    "depthwise 7x7 stride 2": geometry((1, 18, 13, 12), (18, 1, 7, 7), 2, 3, groups=18),
    "depthwise 4x6 uneven": geometry(
        (2, 21, 9, 14), (21, 1, 4, 6), (1, 3), (2, 1, 0, 4), (2, 1), groups=21
    ),
    "depthwise dilated columns": geometry(
        (1, 34, 10, 15), (34, 1, 3, 3), (1, 2), (2, 3), (2, 3), groups=34
    ),
    "depthwise stride 2 dilation 2": geometry((1, 16, 11, 12), (16, 1, 3, 3), 2, 2, 2, groups=16),
    "depthwise valid": geometry((3, 48, 8, 14), (48, 1, 3, 3), 1, 0, groups=48),
    "depthwise unread border": geometry(
        (1, 20, 12, 13), (20, 1, 3, 3), 3, (1, -2, 0, -1), groups=20
    ),
    "depthwise filter over image": geometry((2, 17, 2, 3), (17, 1, 7, 7), 1, 3, groups=17),
    "bilinear upsampling": geometry((1, 21, 40, 48), (21, 1, 16, 16), 8, 4, groups=21),
    "4 per group": geometry((2, 36, 9, 8), (36, 4, 3, 3), 1, 1, groups=9),
    "4 per group stride 2": geometry((1, 20, 10, 17), (20, 4, 3, 3), 2, 1, groups=5),
    "8 per group": geometry((2, 40, 7, 15), (40, 8, 3, 3), 1, 1, groups=5),
    "8 per group pointwise": geometry((2, 56, 5, 9), (56, 8, 1, 1), groups=7),
    "16 per group stride 2": geometry((1, 48, 9, 9), (48, 16, 3, 3), 2, 1, groups=3),
    "32 per group uneven": geometry(
        (1, 64, 8, 10), (64, 32, 2, 3), (3, 1), (1, 0, 2, 1), (1, 2), groups=2
    ),
    "16 per group, whole blocks": geometry((2, 48, 5, 14), (48, 16, 3, 3), 1, 1, groups=3),
    "4 per group, 16 together": geometry((2, 48, 7, 11), (48, 4, 3, 3), 1, 1, groups=12),
    "8 per group, 16 together": geometry(
        (1, 80, 9, 13), (80, 8, 3, 3), 2, (2, 1), (1, 2), groups=10
    ),
    "32 per group, two bands": geometry((2, 64, 19, 28), (64, 32, 3, 3), 1, 1, groups=2),
    "16 per group 5x4": geometry((1, 32, 7, 14), (32, 16, 5, 4), 1, (2, 1, 1, 2), groups=2),
    "32 per group stride 2": geometry((1, 64, 9, 27), (64, 32, 3, 3), 2, 1, groups=2),
    "4 per group many rows": geometry((1, 12, 67, 9), (12, 4, 5, 5), (1, 2), 2, groups=3),
    "prime sizes": geometry((3, 13, 17, 19), (11, 13, 3, 3), 1, 1),
    "past a tile": geometry((1, 67, 9, 8), (71, 67, 3, 3), 1, 1),
    "tall plane": geometry((1, 3, 41, 37), (5, 3, 3, 3), 2, 1),
    "depthwise, long rows": geometry((2, 3, 9, 37), (3, 1, 3, 3), 1, 1, groups=3),
    "depthwise, long rows 5x3": geometry((1, 5, 11, 68), (5, 1, 5, 3), (2, 1), (2, 0), groups=5),
    "depthwise, long rows stride 2": geometry((2, 4, 12, 83), (4, 1, 3, 3), 2, 1, groups=4),
    "depthwise, long rows dilated": geometry(
        (1, 3, 13, 50), (3, 1, 3, 2), 1, (2, 3), (2, 3), groups=3
    ),
    "wide depthwise": geometry((2, 65, 15, 17), (65, 1, 3, 3), 1, 1, groups=65),
    "pointwise, tiles and one more": geometry((2, 33, 5, 3), (65, 33, 1, 1)),
    "pointwise stride 2, many pixels": geometry((5, 17, 33, 31), (34, 17, 1, 1), 2),
    "pointwise, deep wgrad": geometry((5, 15, 31, 29), (16, 15, 1, 1)),
    "filter is the stride, whole tiles": geometry((3, 32, 10, 6), (17, 32, 2, 2), 2),
    "filter is the stride, wide": geometry((1, 21, 12, 9), (35, 21, 4, 3), (4, 3)),
    "3x3 tiles and tails": geometry((2, 65, 8, 13), (35, 65, 3, 3), 1, 1),
    "3x3 many tiles": geometry((3, 82, 29, 30), (66, 82, 3, 3), 1, 1),
    "3x3 many tiles, few channels": geometry((2, 3, 33, 37), (5, 3, 3, 3), 1, (2, 0, 0, 1)),
    "wide pointwise": geometry((2, 131, 7, 7), (67, 131, 1, 1)),
    "deep": geometry((2, 600, 3, 15), (33, 600, 3, 3), 1, 1),
    "deep both ways": geometry((1, 270, 3, 14), (290, 270, 3, 3), 1, 1),
    "one past a register tile": geometry((1, 5, 3, 15), (17, 5, 3, 3), 1, 1),
    "two register tiles less one": geometry((1, 4, 4, 27), (49, 4, 1, 3), 1, (0, 1)),
    "narrow images": geometry((9, 6, 3, 5), (34, 6, 3, 3), 1, 1),
    "one column": geometry((3, 7, 17, 1), (18, 7, 3, 1), 1, (1, 0)),
    "row longer than a cache": geometry((1, 64, 3, 900), (3, 64, 3, 3), 1, 1),
    "dilation over the output": geometry((2, 3, 21, 20), (5, 3, 3, 2), 1, (0, 0), (8, 9)),
    "4x4 stride 2": geometry((1, 21, 18, 14), (21, 21, 4, 4), 2, 1),
    "uneven stride and dilation": geometry(
        (3, 5, 23, 31), (19, 5, 3, 4), (2, 3), (3, 2, 1, 4), (3, 2)
    ),
    "blocks of a wide plane": geometry((2, 33, 9, 66), (15, 33, 3, 3), 1, 1),
    "blocks of images": geometry((131, 20, 3, 2), (29, 20, 3, 3), 1, 1),
    "blocks of a stem": geometry((3, 3, 21, 131), (33, 3, 7, 7), 2, 3),
    "blocks in groups": geometry((2, 36, 20, 21), (34, 18, 3, 3), (1, 2), 1, groups=2),
    "shallow, filters in turn": geometry((2, 3, 7, 31), (80, 3, 3, 3), 1, 1),
    "shallow, filters in turn, a tail": geometry((1, 5, 6, 29), (39, 5, 3, 3), (1, 2), 1),
    "dilated stem": geometry((2, 3, 19, 22), (17, 3, 3, 3), (1, 2), 2, 2),
    "wide stride over filter": geometry((2, 17, 31, 33), (15, 17, 1, 2), (3, 4), (0, 1)),
    "whole vectors": geometry((2, 16, 9, 11), (24, 16, 3, 3), 1, 1),
    "whole vectors stride 2": geometry((1, 24, 12, 13), (16, 24, 3, 3), 2, 1),
    "whole vectors in groups": geometry((2, 32, 7, 9), (48, 16, 3, 3), 1, 1, groups=2),
    "whole vectors, dilation over stride": geometry(
        (1, 16, 13, 14), (8, 16, 2, 3), (3, 2), 1, (2, 4)
    ),
    "whole vectors, filter is the stride": geometry((2, 24, 8, 10), (16, 24, 2, 2), 2),
    "whole vectors, filter under the stride": geometry(
        (1, 16, 9, 11), (8, 16, 2, 3), (3, 4), (1, 2)
    ),
    "whole vectors, pointwise stride 2": geometry((2, 16, 9, 12), (24, 16, 1, 1), 2),
    "whole vectors, one row": geometry((3, 16, 1, 12), (8, 16, 3, 3), 1, 1),
    "wide far taps": geometry((3, 17, 25, 26), (4, 17, 2, 2), 1, (3, 0), (20, 21)),
}

SLOW = {
    "Xception middle depthwise": geometry((2, 728, 19, 19), (728, 1, 3, 3), 1, 1, groups=728),
    "Xception middle pointwise": geometry((2, 728, 19, 19), (728, 728, 1, 1)),
    "VGG 14x14": geometry((1, 256, 14, 14), (512, 256, 3, 3), 1, 1),
    "ResNet stem": geometry((1, 3, 112, 112), (64, 3, 7, 7), 2, 3),
    "more pixels than a grid axis": geometry((1, 1, 300, 301), (2, 1, 3, 3), 1, 1),
    "VGG 56x56": geometry((1, 256, 56, 56), (128, 256, 3, 3), 1, 1),
    "3x3 many filters": geometry((1, 200, 13, 20), (300, 200, 3, 3), 1, 1),
    "many images": geometry((130, 3, 8, 8), (8, 3, 3, 3), 1, 1),
    "ResNeXt 32 groups": geometry((1, 128, 14, 14), (128, 4, 3, 3), 1, 1, groups=32),
}

_EPILOGUED = geometry((2, 3, 5, 4), (6, 3, 3, 3), (2, 1), 1)


def _epilogue(shape, activation, *parts):
    """Draws the parts named, for outputs of `shape`."""
    channels = shape[1]

    def draw_epilogue(draw):
        return Epilogue(
            bias=draw(channels) if "bias" in parts else None,
            scale=draw(channels) if "scale" in parts else None,
            shift=draw(channels) if "shift" in parts else None,
            residual=draw(*shape) if "residual" in parts else None,
            activation=activation,
        )

    return draw_epilogue


def _epilogue_cases():
    everything = ("bias", "scale", "shift", "residual")
    variants = [
        ("bias", None, ("bias",)),
        ("bias relu", "relu", ("bias",)),
        ("scale shift", None, ("scale", "shift")),
        ("scale alone", None, ("scale",)),
        ("residual", None, ("residual",)),
        *((f"all {name}", name, everything) for name in (None, *ACTIVATIONS)),
    ]
    for primitive, shape_of in (
        ("conv2d_fprop", lambda g: g.y_shape),
        ("conv2d_dgrad", lambda g: g.x_shape),
    ):
        for name, activation, parts in variants:
            draw = _epilogue(shape_of(_EPILOGUED), activation, *parts)
            exact = activation in EXACT_ACTIVATIONS
            yield case(primitive, f"epilogue {name}", _EPILOGUED, draw, exact=exact)
        for name in ("pointwise", "pointwise stride 2", "filter under the stride"):
            g = GEOMETRIES[name]
            g_shape = g.y_shape if primitive == "conv2d_fprop" else g.x_shape
            draw = _epilogue(g_shape, "relu", *everything)
            yield case(primitive, f"epilogue {name}", g, draw)
            draw = _epilogue(g_shape, "silu", "bias")
            yield case(primitive, f"epilogue silu {name}", g, draw, exact=False)
        plain = GEOMETRIES["3x3 uneven padding"]
        for name, activation, parts in variants:
            if name in ("bias", "residual", "all relu", "all gelu"):
                draw = _epilogue(shape_of(plain), activation, *parts)
                exact = activation in EXACT_ACTIVATIONS
                yield case(primitive, f"epilogue 3x3 {name}", plain, draw, exact=exact)
        tiles = LARGE["3x3 many tiles"]
        draw = _epilogue(shape_of(tiles), "hardswish", *everything)
        yield case(primitive, "epilogue 3x3 many tiles", tiles, draw, exact=False, large=True)
        whole = geometry((2, 80, 7, 31), (80, 80, 1, 3), 1, (0, 1))  # vectors both ways
        for name, activation, parts in variants[:4]:
            draw = _epilogue(shape_of(whole), activation, *parts)
            yield case(primitive, f"epilogue whole {name}", whole, draw, large=True)
        depthwise = GEOMETRIES["depthwise"]
        draw = _epilogue(depthwise.x_shape, "relu", *everything)
        yield case(primitive, "epilogue depthwise", depthwise, draw)


def _past_the_caches():
    """Outputs too large for any cache, of shallow filters."""
    g = geometry((2, 3, 228, 229), (64, 3, 3, 3), 1, 1)
    draw = _epilogue(g.y_shape, "relu6", "bias")
    for name, epilogue in (("", None), ("epilogue ", draw)):
        yield case("conv2d_fprop", f"{name}past the caches", g, epilogue, large=True, slow=True)


def _unread_nan():
    """What no output reads may hold anything."""
    g = GEOMETRIES["3x3 unread rows"]
    read_rows, read_columns = g.P - g.pad_top + 2, g.Q - g.pad_left + 2

    def inputs(draw):
        x = draw(*g.x_shape)
        x[:, :, read_rows:] = float("nan")
        x[:, :, :, read_columns:] = float("nan")
        return x, draw(*g.w_shape)

    return replace(case("conv2d_fprop", "3x3 unread rows of NaN", g), inputs=inputs)


CASES = [
    *(case(primitive, name, g) for primitive in PASSES for name, g in GEOMETRIES.items()),
    *(case(primitive, name, g, large=True) for primitive in PASSES for name, g in LARGE.items()),
    *(
        case(primitive, name, g, large=True, slow=True)
        for primitive in PASSES
        for name, g in SLOW.items()
    ),
    *_epilogue_cases(),
    *_past_the_caches(),
    _unread_nan(),
]
