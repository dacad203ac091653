"""Inception with batch norm, also called v2. Ioffe, Szegedy 2015, arXiv:1502.03167, figure 5.

The default is the Caffe network in circulation, with its names of parameters: biases before batch
norm, an ordinary 7x7, pool projections of 128 channels in 4c and 4d. `slim=True` is TF-slim's, with
the figure's 96 channels and the paper's separable stem, which has a bias and no batch norm; no
biases elsewhere, epsilon 1e-3, and average pools that leave the padding out.
"""

from __future__ import annotations

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import Reduced, register
from .width import check_arguments, scaled

# figure 5: 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool projection. Without a 1x1 the
# module halves the maps, and its pool passes all channels on.
_ROWS: dict[str, tuple[int, ...]] = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}
_FIGURE = {"4c": 96, "4d": 96}  # the projections that the Caffe network has wider
_MAX_POOL = "5b"  # the module whose pool before a projection takes the maximum
_MULTIPLIER = 8  # 7x7 filters for each colour in the separable stem


class BNInception(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; H and W are 32 k - 1 to 32 k + 6: halving
    modules pad their convolutions and not their pools, so that maps of odd size do not fit.

    The layers lie flat, each convolution with its batch norm, under the names of the net file."""

    def __init__(self, num_classes: int, width: float, slim: bool) -> None:
        super().__init__()
        self._slim = slim
        c64, channels = scaled(64, width), scaled(192, width)
        if slim:
            maps = 3 * _MULTIPLIER
            self.conv1_7x7_s2_depthwise = nn.Conv2d(3, maps, 7, 2, 3, groups=3, bias=False)
            self.conv1_7x7_s2 = nn.Conv2d(maps, c64, 1)
        else:
            self._enter("conv1_7x7_s2", 3, c64, 7, 2)
        self._enter("conv2_3x3_reduce", c64, c64, 1, 1)
        self._enter("conv2_3x3", c64, channels, 3, 1)
        for place, row in _ROWS.items():
            name = f"inception_{place}_"
            projection = _FIGURE.get(place, row[5]) if slim else row[5]
            c1, reduce, c3, double, c33, pool = (
                scaled(c, width) if c else 0 for c in (*row[:5], projection)
            )
            stride = 1 if c1 else 2
            if c1:
                self._enter(name + "1x1", channels, c1, 1, 1)
                self._enter(name + "pool_proj", channels, pool, 1, 1)
            self._enter(name + "3x3_reduce", channels, reduce, 1, 1)
            self._enter(name + "3x3", reduce, c3, 3, stride)
            self._enter(name + "double_3x3_reduce", channels, double, 1, 1)
            self._enter(name + "double_3x3_1", double, c33, 3, 1)
            self._enter(name + "double_3x3_2", c33, c33, 3, stride)
            channels = c1 + c3 + c33 + (pool or channels)
        self.last_linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _enter(self, name: str, inputs: int, outputs: int, size: int, stride: int) -> None:
        bias = not self._slim
        self.add_module(name, nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=bias))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs, eps=1e-3 if self._slim else 1e-5))

    def _run(self, x: Tensor, *names: str) -> Tensor:
        for name in names:
            x = getattr(self, f"{name}_bn")(getattr(self, name)(x), activation="relu")
        return x

    def _module(self, x: Tensor, place: str) -> Tensor:
        name = f"inception_{place}_"
        inner = [
            self._run(x, name + "3x3_reduce", name + "3x3"),
            self._run(x, *(f"{name}double_3x3_{part}" for part in ("reduce", "1", "2"))),
        ]
        if not _ROWS[place][0]:
            return F.cat([*inner, F.max_pool2d(x, 3, 2, ceil_mode=True)], 1)
        if place == _MAX_POOL:
            pooled = F.max_pool2d(x, 3, 1, padding=1)
        else:
            pooled = F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=not self._slim)
        first, last = self._run(x, name + "1x1"), self._run(pooled, name + "pool_proj")
        return F.cat([first, *inner, last], 1)

    def forward(self, x: Tensor) -> Tensor:
        if self._slim:
            x = self.conv1_7x7_s2(self.conv1_7x7_s2_depthwise(x), activation="relu")
        else:
            x = self._run(x, "conv1_7x7_s2")
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = F.max_pool2d(self._run(x, "conv2_3x3_reduce", "conv2_3x3"), 3, 2, ceil_mode=True)
        for place in _ROWS:
            x = self._module(x, place)
        return self.last_linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


@register(
    "Ioffe, Szegedy 2015", 11_295_240, 2_032_600_064, 485, reference="Cadene bninception",
    checkpoints="Cadene bninception", reduced=Reduced(0.125, 64),
)  # fmt: skip
def inception_bn(num_classes: int = 1000, width: float = 1.0, slim: bool = False) -> BNInception:
    """BN-Inception: 11,295,240 parameters; `slim=True` is TF-slim's form, 11,188,224.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return BNInception(num_classes, width, slim).to(memory_format=array.channels_last)


__all__ = ["BNInception", "inception_bn"]
