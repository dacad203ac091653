"""torchvision's wide ResNets."""

from pycnn.references.resnet import of_torchvision


def _wide(variant: str):
    return lambda num_classes=1000, width=1.0: of_torchvision(variant, num_classes, width)


wide_resnet50_2, wide_resnet101_2 = _wide("wide_resnet50_2"), _wide("wide_resnet101_2")
