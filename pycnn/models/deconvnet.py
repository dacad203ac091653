"""DeconvNet. Noh, Hong, Han 2015, arXiv:1505.04366, table 2, as in the net files of
HyeonwooNoh/DeconvNet, whose layers' names are kept, with "_" for "-".

VGG-16 with batch norm down to one vector of 4096 numbers, and the same way back: unpooling to the
places of the maxima, then transposed convolutions. Pooling rounds its sizes up, as in Caffe.
"""

from __future__ import annotations

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import Reduced, register
from .vgg import STAGES_16
from .width import check_arguments, scaled

_HIDDEN = 4096
_LEAST = 193  # pixels that leave fc6 its 7 x 7


class DeconvNet(nn.Module):
    """(N, 3, H, W) images, H and W at least 193, to (N, num_classes, H, W) logits. Batch norm
    cannot train on one image of 224 pixels or less: fc6 then has one value per channel."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        hidden = scaled(_HIDDEN, width)
        planes = [scaled(c, width) for c, _ in STAGES_16]
        self.stages: list[list[tuple[str, str]]] = [[] for _ in range(12)]
        channels = 3
        for stage, (_, count) in enumerate(STAGES_16, 1):
            for i in range(1, count + 1):
                name = f"{stage}_{i}"
                conv = nn.Conv2d(channels, planes[stage - 1], 3, padding=1)
                self._add(stage - 1, f"conv{name}", f"bn{name}", conv)
                channels = planes[stage - 1]
        self._add(5, "fc6", "bnfc6", nn.Conv2d(channels, hidden, 7))
        self._add(5, "fc7", "bnfc7", nn.Conv2d(hidden, hidden, 1))
        up = nn.ConvTranspose2d(hidden, channels, 7)
        self._add(6, "fc6_deconv", "fc6_deconv_bn", up)
        for stage in range(5, 0, -1):
            count = STAGES_16[stage - 1][1]
            for i in range(1, count + 1):
                # the last of a stage already has the channels of the next
                outputs = planes[max(stage - 2 if i == count else stage - 1, 0)]
                up = nn.ConvTranspose2d(channels, outputs, 3, padding=1)
                self._add(12 - stage, f"deconv{stage}_{i}", f"debn{stage}_{i}", up)
                channels = outputs
        self.seg_score = nn.Conv2d(channels, num_classes, 1)
        self.pool = nn.MaxPool2d(2, ceil_mode=True, return_indices=True)
        for name, module in self.named_children():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                if name.startswith(("conv", "fc7")) or name == "fc6":  # a trained VGG-16's place
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                else:
                    nn.init.normal_(module.weight, 0, 0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _add(self, stage: int, name: str, norm: str, layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
        self.add_module(name, layer)
        self.add_module(norm, nn.BatchNorm2d(layer.out_channels))
        self.stages[stage].append((name, norm))

    def _stage(self, stage: int, x: Tensor) -> Tensor:
        for name, norm in self.stages[stage]:
            x = getattr(self, norm)(getattr(self, name)(x), activation="relu")
        return x

    def forward(self, x: Tensor) -> Tensor:
        """ValueError for another shape, or an image too small."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise ValueError(f"x: got shape {list(x.shape)}, expected (N, 3, H, W)")
        if min(x.shape[2:]) < _LEAST:
            raise ValueError(f"x: got {min(x.shape[2:])} pixels, expected at least {_LEAST}")
        places: list[tuple[Tensor, tuple[int, ...]]] = []
        for stage in range(5):
            x = self._stage(stage, x)
            size = x.shape[2:]
            x, indices = self.pool(x)
            places.append((indices, size))
        x = self._stage(6, self._stage(5, x))
        for stage in range(7, 12):
            indices, size = places.pop()
            x = self._stage(stage, F.max_unpool2d(x, indices, 2, output_size=size))
        return self.seg_score(x)


@register(
    "Noh et al. 2015", 251_805_653, 32_745_979_904, 205, num_classes=21,
    reference="HyeonwooNoh/DeconvNet", reduced=Reduced(0.0625, 225),
)  # fmt: skip
def deconvnet(num_classes: int = 21, width: float = 1.0) -> DeconvNet:
    """DeconvNet: 251,805,653 parameters.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return DeconvNet(num_classes, width).to(memory_format=array.channels_last)


__all__ = ["DeconvNet", "deconvnet"]
