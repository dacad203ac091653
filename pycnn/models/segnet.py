"""SegNet. Badrinarayanan, Kendall, Cipolla 2017, arXiv:1511.00561, figure 2, as in the net files of
alexgkendall/SegNet-Tutorial, whose layers' names are kept.

The decoder mirrors the convolutions of VGG-16. Each of its stages begins by putting the values
where the encoder's pooling had found its maxima, zeros elsewhere; no maps are handed across.
Pooling rounds its sizes up, as in Caffe.
"""

from __future__ import annotations

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import Reduced, register
from .vgg import STAGES_16
from .width import check_arguments, scaled


class SegNet(nn.Module):
    """(N, 3, H, W) images of any size to (N, num_classes, H, W) logits."""

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        self.names: list[list[str]] = []
        channels = 3
        for stage, (planes, count) in enumerate(STAGES_16, 1):
            for i in range(1, count + 1):
                self._add(f"conv{stage}_{i}", channels, scaled(planes, width))
                channels = scaled(planes, width)
            self.names.append([f"conv{stage}_{i}" for i in range(1, count + 1)])
        for stage in range(5, 0, -1):
            count = STAGES_16[stage - 1][1]
            for i in range(count, 0, -1):
                # the last of a stage already has the channels of the next
                planes = STAGES_16[max(stage - 2 if i == 1 else stage - 1, 0)][0]
                outputs = num_classes if (stage, i) == (1, 1) else scaled(planes, width)
                self._add(f"conv{stage}_{i}_D", channels, outputs, (stage, i) != (1, 1))
                channels = outputs
            self.names.append([f"conv{stage}_{i}_D" for i in range(count, 0, -1)])
        self.pool = nn.MaxPool2d(2, ceil_mode=True, return_indices=True)
        for module in self.children():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _add(self, name: str, inputs: int, outputs: int, normed: bool = True) -> None:
        self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
        if normed:
            self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))

    def _stage(self, names: list[str], x: Tensor) -> Tensor:
        for name in names:
            x = getattr(self, name)(x)
            if name != "conv1_1_D":
                x = getattr(self, f"{name}_bn")(x, activation="relu")
        return x

    def forward(self, x: Tensor) -> Tensor:
        """ValueError for another shape."""
        if x.ndim != 4 or x.shape[1] != 3 or 0 in x.shape[2:]:
            raise ValueError(f"x: got shape {list(x.shape)}, expected (N, 3, H, W)")
        places: list[tuple[Tensor, tuple[int, ...]]] = []
        for names in self.names[:5]:
            x = self._stage(names, x)
            size = x.shape[2:]
            x, indices = self.pool(x)
            places.append((indices, size))
        for names in self.names[5:]:
            indices, size = places.pop()
            x = self._stage(names, F.max_unpool2d(x, indices, 2, output_size=size))
        return x


@register(
    "Badrinarayanan et al. 2017", 29_449_355, 80_197_115_904, 177, size=360, num_classes=11,
    reference="alexgkendall/SegNet-Tutorial", reduced=Reduced(0.0625, 45),
)  # fmt: skip
def segnet(num_classes: int = 11, width: float = 1.0) -> SegNet:
    """SegNet: 29,449,355 parameters; 106,712,432,640 multiply-adds for 360 x 480 pixels.

    Raises:
        ValueError: `num_classes` below 1 or `width` not positive.
    """
    check_arguments(num_classes, width)
    return SegNet(num_classes, width).to(memory_format=array.channels_last)


__all__ = ["SegNet", "segnet"]
