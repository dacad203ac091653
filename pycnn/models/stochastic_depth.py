"""ResNet-110 with stochastic depth. Huang, Sun, Liu, Sedra, Weinberger 2016, arXiv:1603.09382.

In training a residual branch takes part with its survival probability; without it a block is its
shortcut, and is not computed. The l-th of L blocks dies at the rate l / L * death_rate ("linear"),
or all do at death_rate ("uniform").

What is random must be right on average. The paper multiplies the branch by its survival probability
at test time (scaling="test"); torchvision and timm divide by it in training (scaling="train"), so
that at test time the network is the plain ResNet-110 of the same weights.

The default is the network of yueatsprograms/Stochastic_Depth: its convolutions have biases, its
shortcuts average 2 x 2 pixels. `bias=False, shortcut="A"` is the ResNet-110 of resnet_cifar.py.
Parameters have the names torchvision gives those of its ResNets.
"""

from __future__ import annotations

from .. import array, nn, random
from .. import functional as F
from ..creation import from_numpy
from ..tensor import Tensor
from .registry import Reduced, register
from .residual import SHORTCUTS, shortcut
from .width import check_arguments, scaled

_PLANES = (16, 32, 64)
_BLOCKS = 18  # of each width

_CHOICES = {
    "decay": ("linear", "uniform"),
    "scaling": ("test", "train"),
    "mode": ("batch", "row"),
    "shortcut": ("average", *SHORTCUTS),
}


class StochasticDepthGate(nn.Module):
    """What a residual branch is multiplied by: 0 where it died, 1 where nothing changes.

    In training a draw, one for the batch ("batch") or one for each sample ("row"); otherwise the
    survival probability (scaling="test") or 1. `held` takes the place of the draw, in either mode:
    True, False, or an array of one truth value per sample."""

    def __init__(self, survival: float, scaling: str, mode: str) -> None:
        super().__init__()
        self.survival, self.scaling, self.mode = survival, scaling, mode
        self.held: object = None

    def forward(self, x: Tensor) -> float | Tensor:
        alive = self.held
        if alive is None and not self.training:
            return self.survival if self.scaling == "test" else 1.0
        if alive is None:
            draws = random.generator().random(x.shape[0] if self.mode == "row" else None)
            alive = draws < self.survival
        full = 1 / self.survival if self.scaling == "train" and self.survival else 1.0
        if getattr(alive, "ndim", 0) == 0:
            return full if alive else 0.0
        kept = from_numpy(alive.reshape(-1, 1, 1, 1) * full)  # type: ignore[attr-defined]
        return kept.to(x.device, x.dtype)

    def extra_repr(self) -> str:
        return f"survival={self.survival:.4g}, scaling={self.scaling!r}, mode={self.mode!r}"


class AverageShortcut(nn.Module):
    """The means of squares of `stride` pixels, and zeros for the channels that are missing."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = outputs - inputs, stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride)
        return F.pad(x, (0, 0, 0, 0, 0, self.missing)) if self.missing else x


class DropBlock(nn.Module):
    """relu(shortcut(x) + gate * branch(x)), of two 3x3 convolutions; figure 2 of the paper."""

    def __init__(
        self, inputs: int, planes: int, stride: int, downsample: nn.Module | None, bias: bool,
        gate: StochasticDepthGate,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, padding=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=bias)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        added = x if self.downsample is None else self.downsample(x)
        factor = self.gate(x)
        if isinstance(factor, float) and factor == 0:
            return F.relu(added)
        y = self.conv2(self.bn1(self.conv1(x), activation="relu"))
        if isinstance(factor, float) and factor == 1:
            return self.bn2(y, activation="relu", residual=added)
        return F.relu(self.bn2(y) * factor + added)


class StochasticDepthResNet(nn.Module):
    """(N, 3, H, W) images, 32 x 32 in the paper, to (N, num_classes) logits."""

    def __init__(
        self, num_classes: int, width: float, death_rate: float, decay: str, scaling: str,
        mode: str, bias: bool, option: str,
    ) -> None:  # fmt: skip
        super().__init__()
        channels = scaled(_PLANES[0], width)
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels)
        total, done = len(_PLANES) * _BLOCKS, 0
        for stage, planes in enumerate(_PLANES, 1):
            planes = scaled(planes, width)
            layer = nn.Sequential()
            for i in range(_BLOCKS):
                done += 1
                death = death_rate * (done / total if decay == "linear" else 1)
                gate = StochasticDepthGate(1 - death, scaling, mode)
                stride = 2 if stage > 1 and i == 0 else 1
                added: nn.Module | None
                if option != "average":
                    added = shortcut(option, channels, planes, stride)
                else:
                    same = stride == 1 and channels == planes
                    added = None if same else AverageShortcut(channels, planes, stride)
                layer.append(DropBlock(channels, planes, stride, added, bias, gate))
                channels = planes
            self.add_module(f"layer{stage}", layer)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def gates(self) -> list[StochasticDepthGate]:
        """The gates, from the first block to the last."""
        return [m for m in self.modules() if isinstance(m, StochasticDepthGate)]

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x), activation="relu")
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


@register(
    "Huang et al. 2016", 1_732_010, 252_887_680, 765, size=32, num_classes=10,
    reference="yueatsprograms/Stochastic_Depth", reduced=Reduced(0.5, 20),
)  # fmt: skip
def resnet110_stochastic_depth(
    num_classes: int = 10,
    width: float = 1.0,
    death_rate: float = 0.5,
    decay: str = "linear",
    scaling: str = "test",
    mode: str = "batch",
    bias: bool = True,
    shortcut: str = "average",
) -> StochasticDepthResNet:
    """The authors' ResNet-110: 1,732,010 parameters, 1,727,962 without biases of convolutions.

    Args:
        num_classes, width: see docs/models/README.md.
        death_rate: of the last block; the paper's 1 - p_L.
        decay: "linear", from death_rate / 54 at the first block, or "uniform".
        scaling: by survival probabilities at "test" time, as the paper, or inverse in "train"ing.
        mode: one draw per "batch", as the paper, or per sample ("row").
        bias: whether convolutions have biases, as the authors' code.
        shortcut: "average" as the authors' code, or "A", "A-middle", "B", "C" of resnet_cifar.py.

    Raises:
        ValueError: `num_classes` below 1, `width` not positive, `death_rate` outside [0, 1], or a
            word that is none of those above.
    """
    check_arguments(num_classes, width)
    if isinstance(death_rate, bool) or not 0 <= death_rate <= 1:
        raise ValueError(f"death_rate must be between 0 and 1, got {death_rate!r}")
    words = {"decay": decay, "scaling": scaling, "mode": mode, "shortcut": shortcut}
    for name, word in words.items():
        if word not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(_CHOICES[name])}, got {word!r}")
    net = StochasticDepthResNet(
        num_classes, width, death_rate, decay, scaling, mode, bias, shortcut
    )
    return net.to(memory_format=array.channels_last)


__all__ = ["StochasticDepthGate", "StochasticDepthResNet", "resnet110_stochastic_depth"]
