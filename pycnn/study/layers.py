"""Named layers of real networks, at their usual input sizes."""

from __future__ import annotations

from typing import NamedTuple


class Conv(NamedTuple):
    """A convolution with "same" padding; transposed ones have none."""

    H: int
    C: int
    K: int
    R: int
    stride: int = 1
    groups: int = 1
    transposed: bool = False
    batches: tuple[int, ...] = (1, 8)


class Pool(NamedTuple):
    kind: str  # max, avg, adaptive
    H: int
    C: int
    size: int  # of the window, of the output where adaptive
    stride: int = 1
    padding: int = 0


class Plane(NamedTuple):
    """An activation: C channels of H x H pixels."""

    H: int
    C: int


CONVOLUTIONS = {
    "vgg.c1_1": Conv(224, 3, 64, 3),
    "vgg.c1_2": Conv(224, 64, 64, 3),
    "vgg.c2_2": Conv(112, 128, 128, 3),
    "vgg.c3_2": Conv(56, 256, 256, 3),
    "vgg.c4_2": Conv(28, 512, 512, 3),
    "vgg.c5_2": Conv(14, 512, 512, 3),
    "rn50.stem": Conv(224, 3, 64, 7, 2),
    "rn50.l1.r": Conv(56, 256, 64, 1),
    "rn50.l1.e": Conv(56, 64, 256, 1),
    "rn50.l1.3x3": Conv(56, 64, 64, 3),
    "rn50.l2.3x3s2": Conv(56, 128, 128, 3, 2),
    "rn50.l3.3x3": Conv(14, 256, 256, 3),
    "rn50.l3.1x1r": Conv(14, 1024, 256, 1),
    "rn50.l4.3x3": Conv(7, 512, 512, 3),
    "rn50.l4.ds": Conv(14, 1024, 2048, 1, 2),
    "rnx50.l1.g32": Conv(56, 128, 128, 3, groups=32),
    "rnx50.l3.g32": Conv(14, 512, 512, 3, groups=32),
    "xcep.dw147": Conv(147, 128, 128, 3, groups=128),
    "xcep.dw19": Conv(19, 728, 728, 3, groups=728),
    "xcep.pw19": Conv(19, 728, 728, 1),
    "dn121.1x1": Conv(28, 512, 128, 1),
    "dn121.3x3": Conv(28, 128, 32, 3),
    "goog.5x5": Conv(28, 32, 96, 5),
    "goog.3x3": Conv(28, 128, 192, 3),
    "unet.3x3": Conv(256, 64, 64, 3),
    "unet.up28": Conv(28, 1024, 512, 2, 2, transposed=True),
    "unet.up128": Conv(128, 128, 64, 2, 2, transposed=True),
    "fcn.up2": Conv(16, 21, 21, 4, 2, transposed=True),
    "fcn.up8": Conv(70, 21, 21, 16, 8, transposed=True),
}

POOLS = {
    "rn50.max3x3s2": Pool("max", 112, 64, 3, 2, 1),
    "vgg.max2x2": Pool("max", 224, 64, 2, 2),
    "dn121.avg2x2": Pool("avg", 56, 256, 2, 2),
    "rn50.global": Pool("adaptive", 7, 2048, 1),
    "goog.max3x3s1": Pool("max", 28, 256, 3, 1, 1),
    "adaptive7x7": Pool("adaptive", 12, 512, 7),
}

BATCH_NORMS = {
    "112x64": Plane(112, 64),
    "56x256": Plane(56, 256),
    "28x512": Plane(28, 512),
    "14x1024": Plane(14, 1024),
    "7x2048": Plane(7, 2048),
    "19x728": Plane(19, 728),
}

ADDS = {"rn50.l1.add": Plane(56, 256), "rn50.l2.add": Plane(28, 512), "xcep.add": Plane(19, 728)}

# the channels that are joined
CONCATS = {
    "dn121.block1": (56, (64, 32, 32, 32)),
    "dn121.block3": (14, (256, *(32,) * 16)),
    "goog.3a": (28, (64, 128, 32, 32)),
    "unet.skip": (128, (64, 64)),
}

# rows, columns, depth of linear layers; rows of None are the batch
GEMMS: dict[str, tuple[int | None, int, int]] = {
    "vgg.fc6": (None, 4096, 25088),
    "vgg.fc7": (None, 4096, 4096),
    "rn50.fc": (None, 1000, 2048),
    "square.1024": (1024, 1024, 1024),
}
