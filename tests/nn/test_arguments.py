"""What the layers' constructors and forwards refuse, and in which words."""

import pytest

import pycnn
from pycnn import nn

REFUSED = [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 5, 3, groups=2), ValueError, "out_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "groups must be a positive integer"),
    (lambda: nn.Conv2d(0, 4, 3), ValueError, "in_channels must be at least 1"),
    (lambda: nn.Conv2d(4, -1, 3), ValueError, "out_channels must be at least 1"),
    (lambda: nn.Conv2d(4, 4, 0), ValueError, "kernel_size must be at least 1"),
    (lambda: nn.Conv2d(4, 4, (3, 3, 3)), ValueError, "kernel_size must be a number or a tuple"),
    (lambda: nn.Conv2d(4, 4, 3, stride=(1, 0)), ValueError, "stride must be at least 1"),
    (lambda: nn.Conv2d(4, 4, 3, padding=-1), ValueError, "padding must be at least 0"),
    (lambda: nn.Conv2d(4, 4, 3, dilation=0), ValueError, "dilation must be at least 1"),
    (lambda: nn.Conv2d(4, 4, 3, padding="x"), ValueError, "Invalid padding string 'x'"),
    (
        lambda: nn.Conv2d(4, 4, 3, 2, padding="same"),
        ValueError,
        "padding='same' is not supported for strided convolutions",
    ),
    (lambda: nn.Conv2d(4, 4, 3, padding_mode="x"), ValueError, "padding_mode must be one of"),
    (
        lambda: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"),
        ValueError,
        'Only "zeros" padding mode is supported for ConvTranspose2d',
    ),
    (lambda: nn.ConvTranspose1d(4, 4, 3, padding="same"), ValueError, "Invalid padding string"),
    (
        lambda: nn.ConvTranspose2d(4, 4, 3, output_padding=-1),
        ValueError,
        "output_padding must be at least 0",
    ),
    (lambda: nn.Linear(-1, 3), ValueError, "in_features must be at least 0"),
    (lambda: nn.Unfold(0), ValueError, "kernel_size must be at least 1"),
    (lambda: nn.Fold(0, 2), ValueError, "output_size must be at least 1"),
    (lambda: nn.MaxPool2d(0), ValueError, "kernel_size must be at least 1"),
    (lambda: nn.MaxPool2d(2, 0), ValueError, "stride must be at least 1"),
    (lambda: nn.MaxPool2d(2, dilation=0), ValueError, "dilation must be at least 1"),
    (lambda: nn.MaxPool2d((3, 2, 2)), ValueError, "kernel_size must be a number or a tuple of 2"),
    (lambda: nn.AvgPool2d((4, 2), padding=(1, 2)), RuntimeError, "padding must be at most half"),
    (lambda: nn.MaxPool2d(3, padding=5), RuntimeError, "padding must be at most half"),
    (lambda: nn.AvgPool2d(2, divisor_override=0), ValueError, "divisor_override must be not zero"),
    (lambda: nn.LPPool2d(0, 2), ValueError, "norm_type must be not zero"),
    (lambda: nn.AdaptiveAvgPool2d((None, -1)), ValueError, "output_size must be at least 0"),
    (
        lambda: nn.GroupNorm(3, 4),
        ValueError,
        r"num_channels \(4\) must be divisible by num_groups \(3\)",
    ),
    (lambda: nn.GroupNorm(0, 4), ValueError, "num_groups must be at least 1"),
    (lambda: nn.BatchNorm2d(-1), ValueError, "num_features must be at least 0"),
    (lambda: nn.LocalResponseNorm(0), ValueError, "size must be at least 1"),
    (lambda: nn.Dropout(1.5), ValueError, "dropout probability has to be between 0 and 1"),
    (lambda: nn.Dropout2d(-0.1), ValueError, "dropout probability has to be between 0 and 1"),
    (lambda: nn.Hardtanh(2, 1), ValueError, r"max_val \(1\) must be greater than min_val \(2\)"),
    (lambda: nn.GELU("erf"), ValueError, "approximate must be 'none' or 'tanh'"),
    (lambda: nn.PReLU(0), ValueError, "num_parameters must be at least 1"),
    (lambda: nn.Unflatten(1, 3), TypeError, "unflattened_size must be a tuple of ints"),
    (lambda: nn.Unflatten(1, (2.5, 3)), TypeError, "found element of type float at pos 0"),
    (lambda: nn.Upsample(), ValueError, "either size or scale_factor should be defined"),
    (lambda: nn.Upsample(3, 2), ValueError, "only one of size or scale_factor"),
    (lambda: nn.PixelShuffle(0), ValueError, "upscale_factor must be at least 1"),
    (lambda: nn.PixelUnshuffle(0), ValueError, "downscale_factor must be at least 1"),
    (lambda: nn.ChannelShuffle(0), ValueError, "groups must be at least 1"),
    (lambda: nn.ReflectionPad2d((1, 2)), ValueError, "padding must be a number or a tuple of 4"),
    (lambda: nn.MSELoss(reduction="x"), ValueError, "x is not a valid value for reduction"),
    (
        lambda: nn.CrossEntropyLoss(label_smoothing=2),
        RuntimeError,
        "label_smoothing must be between",
    ),
    (lambda: nn.HuberLoss(delta=0), ValueError, "delta must be greater than 0"),
    (lambda: nn.SmoothL1Loss(beta=-1), ValueError, "beta must be at least 0"),
    (lambda: nn.Embedding(4, 3, 4), ValueError, "padding_idx must be within num_embeddings"),
    (lambda: nn.Embedding(-1, 3), RuntimeError, "negative dimension: num_embeddings=-1"),
    (
        lambda: nn.CircularPad1d(3)(pycnn.zeros(2, 3, 4, 5)),
        ValueError,
        r"expected 2D or 3D input \(got 4D input\)",
    ),
    (
        lambda: nn.CircularPad2d(3)(pycnn.zeros(2, 3)),
        ValueError,
        r"expected 3D or 4D input \(got 2D input\)",
    ),
    (
        lambda: nn.BatchNorm2d(3)(pycnn.zeros(2, 3)),
        ValueError,
        r"expected 4D input \(got 2D input\)",
    ),
    (
        lambda: nn.BatchNorm1d(3)(pycnn.zeros(2, 3, 4, 5)),
        ValueError,
        r"expected 2D or 3D input \(got 4D input\)",
    ),
    (
        lambda: nn.BatchNorm2d(3)(pycnn.zeros(1, 3, 1, 1)),
        ValueError,
        "Expected more than 1 value per channel when training",
    ),
    (
        lambda: nn.InstanceNorm2d(4, affine=True)(pycnn.zeros(2, 3, 4, 4)),
        ValueError,
        r"input's size at dim=1 to match num_features \(4\), but got: 3",
    ),
]


@pytest.mark.parametrize("call, error, message", REFUSED, ids=[message for *_, message in REFUSED])
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_instance_norm_without_parameters_warns_of_another_width():
    layer = nn.InstanceNorm2d(4)
    with pytest.warns(UserWarning, match=r"to match num_features \(4\)"):
        layer(pycnn.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d"])
def test_dtype_of_parameters(name):
    assert getattr(nn, name)(2, 4, 3, dtype=pycnn.float64).weight.dtype == pycnn.float64
    assert getattr(nn, name)(2, 4, 3).bias.dtype == pycnn.float32
