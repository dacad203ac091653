"""FCN-32s, 16s and 8s. Long, Shelhamer, Darrell 2015, arXiv:1411.4038, figure 3, as in the net
files of shelhamer/fcn.berkeleyvision.org. Parameters have the names of wkentaro/pytorch-fcn.

VGG-16 whose linear layers became convolutions scores every 32nd pixel; transposed convolutions
that begin as bilinear interpolation bring the scores back to the image's size. The finer nets add
scores of pool4, and of pool3, on the way. A padding of 100 at the first convolution leaves fc6,
7x7 without padding, maps of an image of any size; what it adds at the edges is cropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import array, nn
from .. import functional as F
from ..autograd import no_grad
from ..creation import tensor
from ..tensor import Tensor
from .registry import Reduced, named, register
from .vgg import STAGES_16
from .width import check_arguments, scaled

_HIDDEN = 4096
_FIRST_PADDING = 100


class _Step(NamedTuple):
    """A transposed convolution: its name, stride (the kernel is twice as large) and what is then
    cropped at the top and left, of the pool's scores or of the output."""

    name: str
    stride: int
    offset: int
    pool: str = ""  # whose scores are added
    scale: float = 1.0  # of the pool, where all steps are trained at once


# name -> steps, parameters, multiply-adds, entries
_VARIANTS: dict[str, tuple[tuple[_Step, ...], int, int, int]] = {
    "fcn32s": ((_Step("upscore", 32, 19),), 136_152_917, 181_365_854_976, 33),
    "fcn16s": (
        (_Step("upscore2", 2, 5, "pool4"), _Step("upscore16", 16, 27)),
        134_815_994, 181_448_086_272, 36,
    ),
    "fcn8s": (
        (_Step("upscore2", 2, 5, "pool4"), _Step("upscore_pool4", 2, 9, "pool3"),
         _Step("upscore8", 8, 31)),
        134_489_759, 181_529_034_048, 39,
    ),
    "fcn8s_at_once": (
        (_Step("upscore2", 2, 5, "pool4", 0.01), _Step("upscore_pool4", 2, 9, "pool3", 0.0001),
         _Step("upscore8", 8, 31)),
        134_489_759, 181_529_034_048, 39,
    ),
}  # fmt: skip


def bilinear_(weight: Tensor) -> Tensor:
    """Fill the (C, C, K, K) weight of a transposed convolution of stride K // 2 with bilinear
    interpolation: each channel to itself.

    Raises:
        ValueError: another shape.
    """
    shape = weight.shape
    if len(shape) != 4 or shape[0] != shape[1] or shape[2] != shape[3]:
        raise ValueError(f"weight: got shape {list(shape)}, expected (C, C, K, K)")
    factor = (shape[2] + 1) // 2
    centre = factor - 1 if shape[2] % 2 else factor - 0.5
    tent = 1 - np.abs(np.arange(shape[2]) - centre) / factor
    values = np.zeros(shape, np.float32)
    values[np.arange(shape[0]), np.arange(shape[0])] = np.outer(tent, tent)
    with no_grad():
        weight.copy_(tensor(values))
    return weight


class FCN(nn.Module):
    """(N, 3, H, W) images of any size to (N, num_classes, H, W) logits."""

    def __init__(self, variant: str, num_classes: int, width: float, fixed: bool) -> None:
        super().__init__()
        self.steps = _VARIANTS[variant][0]
        channels, pools = 3, {}
        for stage, (planes, count) in enumerate(STAGES_16, 1):
            outputs = scaled(planes, width)
            for i in range(1, count + 1):
                padding = _FIRST_PADDING if (stage, i) == (1, 1) else 1
                self.add_module(f"conv{stage}_{i}", nn.Conv2d(channels, outputs, 3, 1, padding))
                channels = outputs
            pools[f"pool{stage}"] = channels
        hidden = scaled(_HIDDEN, width)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.fc6 = nn.Conv2d(channels, hidden, 7)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.score_fr = nn.Conv2d(hidden, num_classes, 1)
        self.dropout = nn.Dropout(0.5)
        for step in self.steps:
            if step.pool:
                self.add_module(f"score_{step.pool}", nn.Conv2d(pools[step.pool], num_classes, 1))
        for step in self.steps:
            stride = step.stride
            up = nn.ConvTranspose2d(num_classes, num_classes, 2 * stride, stride, bias=False)
            self.add_module(step.name, up)
        for name, module in self.named_children():
            if isinstance(module, nn.ConvTranspose2d):
                bilinear_(module.weight)
                module.weight.requires_grad_(not fixed)
            elif isinstance(module, nn.Conv2d):
                if name.startswith("score"):  # section 4.1: "we zero-initialize" the scores
                    nn.init.zeros_(module.weight)
                else:
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Tensor:
        """ValueError for another shape."""
        if x.ndim != 4 or x.shape[1] != 3 or 0 in x.shape[2:]:
            raise ValueError(f"x: got shape {list(x.shape)}, expected (N, 3, H, W)")
        height, width = x.shape[2:]
        pools: dict[str, Tensor] = {}
        for stage, (_, count) in enumerate(STAGES_16, 1):
            for i in range(1, count + 1):
                x = getattr(self, f"conv{stage}_{i}")(x, activation="relu")
            x = pools[f"pool{stage}"] = self.pool(x)
        x = self.dropout(self.fc6(x, activation="relu"))
        x = self.score_fr(self.dropout(self.fc7(x, activation="relu")))
        for step in self.steps:
            x = getattr(self, step.name)(x)
            if step.pool:
                pool: Any = pools[step.pool]
                score = getattr(self, f"score_{step.pool}")
                maps = score(pool if step.scale == 1 else pool * step.scale)
                x = x + _cropped(maps, step.offset, x.shape[2], x.shape[3])
            else:
                x = _cropped(x, step.offset, height, width)
        return x

    def load_vgg16(self, state: Mapping[str, Any]) -> None:
        """Take over a VGG-16 classifier's weights, under torchvision's names: 13 convolutions, and
        its first two linear layers as convolutions of 7x7 and 1x1. Scores stay as they are.

        Raises:
            KeyError: an entry is missing.
            ValueError: a shape does not fit, as with another `width`; nothing was taken over.
        """
        layers = [m for name, m in self.named_children() if name.startswith("conv")]
        homes = [key[:-7] for key in state if key.startswith("features.") and key[-6:] == "weight"]
        if len(homes) != len(layers):
            raise KeyError(f"state: {len(homes)} convolutions, expected {len(layers)}")
        pairs = dict(zip(homes, layers))
        pairs |= {"classifier.0": self.fc6, "classifier.3": self.fc7}
        taken: list[tuple[Any, np.ndarray]] = []
        for home, layer in pairs.items():
            for own in ("weight", "bias"):
                parameter, value = getattr(layer, own), np.asarray(state[f"{home}.{own}"])
                if value.size != parameter.numel() or len(value) != len(parameter):
                    expected = list(parameter.shape)
                    raise ValueError(
                        f"{home}.{own}: got shape {list(value.shape)}, expected {expected}"
                    )
                taken.append((parameter, value))
        with no_grad():
            for parameter, value in taken:
                parameter.copy_(tensor(value.reshape(parameter.shape)))


def _cropped(x: Tensor, offset: int, height: int, width: int) -> Tensor:
    return F.pad(
        x, (-offset, offset + width - x.shape[3], -offset, offset + height - x.shape[2])
    )  # fmt: skip


def _constructor(name: str) -> Callable[..., FCN]:
    steps, parameters, macs, entries = _VARIANTS[name]

    def make(num_classes: int = 21, width: float = 1.0, fixed_upsampling: bool = True) -> FCN:
        check_arguments(num_classes, width)
        net = FCN(name, num_classes, width, fixed_upsampling)
        return net.to(memory_format=array.channels_last)

    pools = " and ".join(s.pool for s in steps if s.pool) or "no pool"
    doc = f"""{name}: {parameters:,} parameters; scores of {pools} are added. With
    `fixed_upsampling` the transposed convolutions are not trained, as in the published net files.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    return register(
        "Long et al. 2015", parameters, macs, entries, size=500, num_classes=21,
        reference="wkentaro/pytorch-fcn",
        reduced=Reduced(0.0625, 21, {"fixed_upsampling": False}),
    )(named(make, name, doc))  # fmt: skip


fcn32s = _constructor("fcn32s")
fcn16s = _constructor("fcn16s")
fcn8s = _constructor("fcn8s")
fcn8s_at_once = _constructor("fcn8s_at_once")

__all__ = ["FCN", "bilinear_", *_VARIANTS]
