"""Encoder-decoders for dense prediction, with every way to enlarge maps.

Each level of the encoder is a 3x3 convolution, batch norm, ReLU, and a 2x2 max pool; each level of
the decoder enlarges its maps to the size of that level's, and convolves. Enlarging by index needs
the encoder's switches: Noh, Hong, Han 2015, arXiv:1505.04366, and Badrinarayanan et al. 2015,
arXiv:1511.00561; by fixed position none: Dosovitskiy et al. 2015, arXiv:1411.5928. With skips the
encoder's maps are joined to the decoder's, as in Ronneberger et al. 2015, arXiv:1505.04597.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import array, nn
from .. import functional as F
from ..tensor import Tensor
from .registry import Reduced, register
from .width import check_arguments, scaled

_PLANES = (64, 128, 256)
# kind -> mode of F.interpolate, None for those that are layers
UPSAMPLINGS: dict[str, str | None] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "transposed": None,  # a 2x2 transposed convolution of stride 2
    "unpool_index": None,  # to where the maxima were
    "unpool_fixed": None,  # to the top left corner
}


class ConvNormReLU(nn.Module):
    """A 3x3 convolution, batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x), activation="relu")


class Enlarge(nn.Module):
    """Maps of one level to the size of the level above it; also sizes that pooling rounded down."""

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "transposed":
            self.up: nn.Module = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        elif kind == "unpool_index":
            self.up = nn.MaxUnpool2d(2)
        elif kind == "unpool_fixed":
            self.up = nn.FixedUnpool2d(2)

    def forward(self, x: Tensor, size: Sequence[int], places: Tensor) -> Tensor:
        mode = UPSAMPLINGS[self.kind]
        if mode is not None:
            return F.interpolate(
                x, tuple(size), mode=mode, align_corners=None if mode == "nearest" else False
            )
        if self.kind == "unpool_index":
            return self.up(x, places, output_size=size)
        return self.up(x, output_size=size)

    def extra_repr(self) -> str:
        return self.kind


class EncoderDecoder(nn.Module):
    """(N, 3, H, W) images, H and W at least 2 ** levels, to (N, num_classes, H, W) maps."""

    def __init__(
        self, num_classes: int, planes: Sequence[int], upsampling: str, skips: bool
    ) -> None:
        super().__init__()
        self.skips = skips
        self.encoder, self.enlarge, self.decoder = (nn.ModuleList() for _ in range(3))
        channels = 3
        for outputs in planes:
            self.encoder.append(ConvNormReLU(channels, outputs))
            channels = outputs
        self.pool = nn.MaxPool2d(2, return_indices=True)
        for i in reversed(range(len(planes))):
            self.enlarge.append(Enlarge(upsampling, planes[i]))
            outputs = planes[max(i - 1, 0)]
            self.decoder.append(ConvNormReLU(planes[i] * (2 if skips else 1), outputs))
        self.classifier = nn.Conv2d(planes[0], num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        passed = []
        for level in self.encoder:
            maps = level(x)
            x, places = self.pool(maps)
            passed.append((maps, places))
        for enlarge, level in zip(self.enlarge, self.decoder, strict=True):
            maps, places = passed.pop()
            x = enlarge(x, maps.shape[2:], places)
            x = level(F.cat([maps, x], 1) if self.skips else x)
        return self.classifier(x)


@register(
    "Badrinarayanan et al. 2015", 778_645, 5_703_204_864, 38, num_classes=21,
    reference="none: a builder", reduced=Reduced(0.125, 37),
)  # fmt: skip
def encoder_decoder(
    num_classes: int = 21,
    width: float = 1.0,
    upsampling: str = "nearest",
    skips: bool = False,
    planes: Sequence[int] = _PLANES,
) -> EncoderDecoder:
    """An encoder-decoder with one level for each of `planes`.

    Args:
        num_classes: channels of the result.
        width: scales `planes`.
        upsampling: one of nearest, bilinear, bicubic, transposed, unpool_index, unpool_fixed.
        skips: join the encoder's maps to the decoder's.
        planes: channels of the levels.

    Raises:
        ValueError: an argument out of range.
    """
    check_arguments(num_classes, width)
    if upsampling not in UPSAMPLINGS:
        raise ValueError(f"upsampling must be one of {', '.join(UPSAMPLINGS)}, got {upsampling!r}")
    if not planes or min(planes) < 1:
        raise ValueError(f"planes must be positive integers, got {planes!r}")
    net = EncoderDecoder(num_classes, [scaled(n, width) for n in planes], upsampling, bool(skips))
    return net.to(memory_format=array.channels_last)


__all__ = ["UPSAMPLINGS", "EncoderDecoder", "encoder_decoder"]
