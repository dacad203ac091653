"""interpolate against torch: positions over many sizes and scales, gradients, layouts, errors."""

import numpy as np
import pytest
import torch

import pycnn

from .parity import assert_equal, fresh, parity, same_error

SCALES = (0.3, 0.5, 0.7, 0.77, 1.0, 1.05, 1.1, 1.5, 1.7, 1.9999, 2, 2.0001, 2.3, 3, 10 / 3, 3.7, 5)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dims", [1, 2])
def test_nearest_picks_the_element_torch_picks(mode, dtype, dims):
    """Rows of consecutive numbers show which element each output took; every size and scale must
    agree.

    Positions are float32, as in torch's code for GPUs, for gradients, and for these images
    (channels-last, more than 3 channels). Its code for signals rounds otherwise in float64 and in
    nearest-exact; that shows only where a position is a whole number."""
    strict = dims == 2 or (dtype == "float32" and mode == "nearest")
    wrong = []
    for n in (*range(1, 25), 41, 63, 97, 224):
        row = np.arange(n, dtype=dtype)
        x = row[None, None] if dims == 1 else row[None, None, :, None].repeat(4, 1)
        t = torch.from_numpy(x)
        if dims == 2:
            t = t.contiguous(memory_format=torch.channels_last)
        targets = [("size", m) for m in (*range(1, 40), 77, 97, 100, 123, 331)]
        targets += [("scale_factor", s) for s in SCALES if int(n * s) >= 1]
        for key, target in targets:
            call = {key: target if dims == 1 else (target, 1), "mode": mode}
            y = pycnn.functional.interpolate(pycnn.from_numpy(x), **call).numpy()[0, 0].ravel()
            expected = torch.nn.functional.interpolate(t, **call)[0, 0].numpy().ravel()
            outputs = np.flatnonzero(y != expected)
            step = n / target if key == "size" else 1 / target
            position = (outputs + (0.5 if mode == "nearest-exact" else 0)) * step
            if strict or (abs(position - np.rint(position)) > 1e-6 * position).any():
                wrong += [(n, call, p) for p in outputs]
    assert not wrong


MODES = [
    {"mode": "nearest"},
    {"mode": "nearest-exact"},
    {"mode": "bilinear"},
    {"mode": "bilinear", "align_corners": True},
    {"mode": "bicubic"},
    {"mode": "bicubic", "align_corners": True},
    {"mode": "bilinear", "antialias": True},
    {"mode": "bilinear", "antialias": True, "align_corners": True},
    {"mode": "bicubic", "antialias": True},
    {"mode": "bicubic", "antialias": True, "align_corners": True},
    {"mode": "area"},
]
IDS = ["-".join(str(v) for v in mode.values()) for mode in MODES]


@pytest.mark.parametrize("call", MODES, ids=IDS)
def test_sizes_with_gradients(call):
    close = {"rtol": 1e-12, "atol": 1e-12}
    for n in (1, 2, 5, 8, 13):
        for m in (1, 2, 7, 8, 16, 31):
            parity(lambda F, x, m=m: F.interpolate(x, size=(m, 4), **call), (1, 2, n, 3), **close)
            if (
                m > 1 or "antialias" not in call
            ):  # there torch's contiguous layout repeats its first row
                parity(
                    lambda F, x, m=m: F.interpolate(x, size=[4, m], **call), (1, 2, 3, n), **close
                )


@pytest.mark.parametrize("call", MODES[:-1], ids=IDS[:-1])
def test_scales_with_gradients(call):
    """As they are, unless the size stays: there torch's own gradient is not its forward's
    adjoint."""
    for n in (2, 5, 9):
        for s in SCALES:
            if 1 <= int(n * s) != n:
                close = {"rtol": 1e-12, "atol": 1e-12}
                parity(
                    lambda F, x, s=s: F.interpolate(x, scale_factor=(s, 2), **call),
                    (1, 2, n, 3),
                    **close,
                )
                parity(
                    lambda F, x, s=s: F.interpolate(
                        x, scale_factor=s, recompute_scale_factor=True, **call
                    ),
                    (1, 2, n, 9),
                    **close,
                )


@pytest.mark.parametrize("call", MODES[:-1], ids=IDS[:-1])
def test_a_scale_that_keeps_the_size(call):
    """Forward as torch; the gradient is the forward's adjoint: <f(x), g> = <x, df(g)>, f being
    linear."""
    for scale in ((1.0, 1.1), (1.1, 1.1), (2.0, 1.1)):
        resize = lambda F, x, scale=scale: F.interpolate(x, scale_factor=scale, **call)
        parity(resize, (1, 2, 3, 7), gradients=False)
        x = pycnn.from_numpy(fresh(1, 2, 3, 7)).requires_grad_()
        y = resize(pycnn.functional, x)
        g = fresh(*y.shape, seed=1)
        y.backward(pycnn.from_numpy(g))
        np.testing.assert_allclose(
            (y.detach().numpy() * g).sum(),
            (x.detach().numpy() * x.grad.numpy()).sum(),
            rtol=1e-10,
            atol=1e-10,
        )


@pytest.mark.parametrize("align_corners", [False, True])
def test_linear(align_corners):
    for n in (1, 2, 5, 13):
        for call in (
            {"size": 1},
            {"size": 7},
            {"size": (31,)},
            {"scale_factor": 1.7},
            {"scale_factor": (2.0,)},
        ):
            parity(
                lambda F, x, call=call: F.interpolate(
                    x, mode="linear", align_corners=align_corners, **call
                ),
                (2, 3, n),
                rtol=1e-12,
                atol=1e-12,
            )
    for mode in ("nearest", "nearest-exact", "area"):
        parity(lambda F, x, mode=mode: F.interpolate(x, 7, mode=mode), (2, 3, 5))


@pytest.mark.parametrize("call", MODES, ids=IDS)
def test_float32_and_halves(call):
    """The halves are float32's result, rounded once; torch has no antialiased ones on the CPU."""
    for size in ((4, 9), (11, 3), (7, 6)):
        resize = lambda F, x, size=size: F.interpolate(x, size, **call)
        parity(resize, (2, 3, 7, 6), dtype="float32", gradients=False, rtol=4e-6, atol=4e-6)
        for dtype in (pycnn.float16, pycnn.bfloat16):
            x = fresh(2, 3, 7, 6).astype(dtype)
            y = resize(pycnn.functional, pycnn.from_numpy(x))
            wide = resize(torch.nn.functional, torch.from_numpy(x.astype("float32"))).numpy()
            assert y.dtype == dtype
            rtol = 1.01 * pycnn.dtypes.UNIT_ROUNDOFF[dtype]
            np.testing.assert_allclose(y.numpy().astype("float32"), wide, rtol=rtol, atol=4e-6)


@pytest.mark.parametrize("call", MODES, ids=IDS)
def test_layouts_and_empty_batches(call):
    resize = lambda F, x: F.interpolate(x, (7, 4), **call)
    parity(resize, (2, 3, 5, 6), channels_last=True)
    parity(resize, (0, 3, 5, 6))
    x = pycnn.from_numpy(fresh(2, 3, 5, 6)).contiguous(memory_format=pycnn.channels_last)
    y = resize(pycnn.functional, x)
    assert y.is_contiguous(memory_format=pycnn.channels_last)
    base = fresh(6, 5, 3, 4)
    for view in (
        base.transpose(3, 2, 1, 0),
        base[::-2, :, :, ::2],
        np.broadcast_to(base[:1], (2, 5, 3, 4)),
    ):
        y = resize(pycnn.functional, pycnn.from_numpy(view))
        expected = resize(torch.nn.functional, torch.from_numpy(view.copy()))
        assert_equal(y, expected, 1e-12, 1e-12, "view")


def test_nan_stays_where_it_is_read():
    x = fresh(1, 1, 4, 4)
    x[0, 0, 1, 2] = np.nan
    x[0, 0, 3, 0] = np.inf
    for call in (MODES[0], MODES[2], MODES[4]):
        parity(lambda F, x, call=call: F.interpolate(x, (7, 9), **call), x, gradients=False)
    parity(lambda F, x: F.interpolate(x, (4, 7), mode="nearest"), x, gradients=False)


def test_infinite_gradients_stay_where_they_belong():
    g = fresh(1, 1, 8, 8)
    g[0, 0, 0, 0] = np.inf  # the output that tables name where a row has fewer taps than others
    for call in MODES[:5]:
        x, t = (f(fresh(1, 1, 4, 4)).requires_grad_() for f in (pycnn.from_numpy, torch.from_numpy))
        pycnn.functional.interpolate(x, (8, 8), **call).backward(pycnn.from_numpy(g))
        torch.nn.functional.interpolate(t, (8, 8), **call).backward(torch.from_numpy(g))
        assert_equal(x.grad, t.grad, 1e-12, 1e-12, str(call))


def test_uint8_nearest():
    x = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    for mode in ("nearest", "nearest-exact"):
        parity(lambda F, x, mode=mode: F.interpolate(x, (7, 3), mode=mode), x, gradients=False)


def test_errors():
    image, signal = (2, 3, 5, 7), (2, 3, 5)
    for call in (
        {},
        {"size": 4, "scale_factor": 2},
        {"size": (4, 5, 6)},
        {"size": (4,)},
        {"scale_factor": (2,)},
        {"size": 4, "mode": "linear"},
        {"size": 4, "mode": "trilinear"},
        {"size": 4, "mode": "spline"},
        {"size": 4, "align_corners": True},
        {"size": 4, "mode": "area", "align_corners": False},
        {"size": 4, "recompute_scale_factor": True},
        {"size": 0},
        {"size": -1},
        {"scale_factor": 0.01},
        {"scale_factor": -1.0},
        {"size": (4.5, 3)},
        {"size": 4.5},
        {"size": True},
        {"scale_factor": "2"},
        {"size": 4, "antialias": True},
        {"size": 4, "mode": "area", "antialias": True},
    ):
        same_error(lambda F, x, call=call: F.interpolate(x, **call), image)
    for call in ({"mode": "bilinear"}, {"mode": "bicubic"}, {"mode": "linear", "antialias": True}):
        same_error(lambda F, x, call=call: F.interpolate(x, 4, **call), signal)
    same_error(lambda F, x: F.interpolate(x, 4), (5, 7))
    same_error(lambda F, x: F.interpolate(x, 4, mode="bilinear"), (2, 0, 5, 7))
    same_error(lambda F, x: F.interpolate(x, 4), (2, 3, 0, 7))
    same_error(lambda F, x: F.interpolate(x, 4, mode="bilinear"), np.ones((1, 1, 2, 2), np.int64))
    with pytest.raises(NotImplementedError):
        pycnn.functional.interpolate(pycnn.from_numpy(fresh(1, 1, 2, 2, 2)), 4)
    with pytest.raises(RuntimeError, match="scale_factor: got inf"):
        pycnn.functional.interpolate(pycnn.from_numpy(fresh(1, 1, 2, 2)), scale_factor=np.inf)
    with pytest.raises(TypeError, match="input"):
        pycnn.functional.interpolate(fresh(1, 1, 2, 2), 4)
