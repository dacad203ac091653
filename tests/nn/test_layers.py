"""Every layer against PyTorch's of the same name: outputs, gradients, state, repr."""

import inspect

import numpy as np
import pytest
import torch

import pycnn
from pycnn import nn

RNG = np.random.default_rng


def case(name, *args, shape, calls=1, train=True, **kwargs):
    """One constructor call and the input it is given; `shape` may also be a list of shapes."""
    shapes = shape if isinstance(shape, list) else [shape]
    arguments = ", ".join([*map(str, args), *(f"{k}={v}" for k, v in kwargs.items())])
    mode = "" if train else "-eval"
    label = f"{name}({arguments})-{'+'.join(map(str, shapes))}{mode}".replace(" ", "")
    return pytest.param(name, args, kwargs, shapes, calls, train, id=label)


IMAGE, SIGNAL, TABLE = (2, 6, 8, 7), (2, 6, 9), (4, 6)

CASES = [
    case("Conv1d", 6, 4, 3, shape=SIGNAL),
    case("Conv1d", 6, 4, 3, 2, 1, 2, 2, False, shape=SIGNAL),
    case("Conv1d", 6, 4, 4, padding="same", padding_mode="replicate", shape=SIGNAL),
    case("Conv2d", 6, 4, 3, shape=IMAGE),
    case("Conv2d", 6, 4, 3, shape=IMAGE[1:]),
    case("Conv2d", 6, 4, (3, 2), (2, 1), (1, 0), (1, 2), 2, False, shape=IMAGE),
    case("Conv2d", 6, 6, 3, padding=1, groups=6, shape=IMAGE),
    case("Conv2d", 6, 4, (4, 3), padding="same", dilation=(1, 2), shape=IMAGE),
    case("Conv2d", 6, 4, 3, 2, padding="valid", shape=IMAGE),
    case("Conv2d", 6, 4, 3, padding="valid", padding_mode="reflect", shape=IMAGE),
    case("Conv2d", 6, 4, 3, padding=(2, 1), padding_mode="reflect", shape=IMAGE),
    case("Conv2d", 6, 4, (3, 4), padding="same", padding_mode="circular", shape=IMAGE),
    case("Conv2d", 6, 4, 3, stride=2, padding=1, padding_mode="replicate", shape=IMAGE),
    case("ConvTranspose1d", 6, 4, 3, 2, 1, 1, 2, shape=SIGNAL),
    case("ConvTranspose2d", 6, 4, 3, shape=IMAGE),
    case("ConvTranspose2d", 6, 4, (3, 2), (2, 3), 1, (1, 0), 2, False, (1, 2), shape=IMAGE),
    case("Unfold", (2, 3), 2, 1, 2, shape=IMAGE),
    case("Fold", (8, 7), (2, 3), stride=1, shape=(2, 12, 35)),
    case("Linear", 6, 3, shape=TABLE),
    case("Linear", 9, 3, False, shape=SIGNAL),
    case("Identity", 3, unused=4, shape=TABLE),
    case("Flatten", shape=IMAGE),
    case("Flatten", 2, shape=IMAGE),
    case("Unflatten", 1, (2, -1), shape=IMAGE),
    case("Unflatten", -1, [7, 1], shape=IMAGE),
    case("MaxPool1d", 3, 2, 1, shape=SIGNAL),
    case("MaxPool2d", 2, shape=IMAGE),
    case("MaxPool2d", (3, 2), 2, 1, 2, True, True, shape=IMAGE),
    case("AvgPool1d", 3, 2, 1, shape=SIGNAL),
    case("AvgPool2d", 3, 2, 1, shape=IMAGE),
    case("AvgPool2d", (3, 2), 2, 1, True, False, shape=IMAGE),
    case("AvgPool2d", 2, divisor_override=3, shape=IMAGE),
    case("AdaptiveAvgPool1d", 4, shape=SIGNAL),
    case("AdaptiveAvgPool2d", (3, None), shape=IMAGE),
    case("AdaptiveAvgPool2d", 1, shape=IMAGE),
    case("AdaptiveMaxPool1d", 4, shape=SIGNAL),
    case("AdaptiveMaxPool2d", (3, 2), return_indices=True, shape=IMAGE),
    case("LPPool1d", 2, 3, 2, shape=SIGNAL),
    case("LPPool2d", 2, 3, 2, True, shape=IMAGE),
    case("BatchNorm1d", 6, shape=TABLE, calls=2),
    case("BatchNorm1d", 6, shape=SIGNAL, calls=2),
    case("BatchNorm2d", 6, shape=IMAGE, calls=3),
    case("BatchNorm2d", 6, 1e-3, 0.3, shape=IMAGE, calls=2),
    case("BatchNorm2d", 6, momentum=None, shape=IMAGE, calls=3),
    case("BatchNorm2d", 6, affine=False, shape=IMAGE),
    case("BatchNorm2d", 6, track_running_stats=False, shape=IMAGE, calls=2),
    case("BatchNorm2d", 6, track_running_stats=False, shape=IMAGE, train=False),
    case("BatchNorm2d", 6, shape=IMAGE, calls=2, train=False),
    case("InstanceNorm1d", 6, shape=SIGNAL),
    case("InstanceNorm2d", 6, shape=IMAGE),
    case("InstanceNorm2d", 6, affine=True, shape=IMAGE[1:]),
    case("InstanceNorm2d", 6, affine=True, track_running_stats=True, shape=IMAGE, calls=2),
    case("InstanceNorm2d", 6, track_running_stats=True, shape=IMAGE, train=False),
    case("InstanceNorm2d", 6, shape=IMAGE, train=False),
    case("GroupNorm", 3, 6, shape=IMAGE),
    case("GroupNorm", 2, 6, 1e-3, False, shape=SIGNAL),
    case("LayerNorm", 7, shape=IMAGE),
    case("LayerNorm", [8, 7], bias=False, shape=IMAGE),
    case("LayerNorm", (6,), 1e-3, False, shape=TABLE),
    case("LocalResponseNorm", 3, 0.1, 0.5, 2.0, shape=IMAGE),
    case("ReLU", shape=IMAGE),
    case("ReLU6", shape=IMAGE),
    case("LeakyReLU", 0.2, shape=IMAGE),
    case("ELU", 1.5, shape=IMAGE),
    case("CELU", 1.5, shape=IMAGE),
    case("SELU", shape=IMAGE),
    case("LogSigmoid", shape=IMAGE),
    case("Softsign", shape=IMAGE),
    case("GELU", shape=IMAGE),
    case("GELU", "tanh", shape=IMAGE),
    case("SiLU", shape=IMAGE),
    case("Hardswish", shape=IMAGE),
    case("Hardsigmoid", shape=IMAGE),
    case("Softplus", 2.0, 1.0, shape=IMAGE),
    case("Mish", shape=IMAGE),
    case("PReLU", shape=IMAGE),
    case("PReLU", 6, 0.1, shape=IMAGE),
    case("GLU", 1, shape=IMAGE),
    case("GLU", shape=TABLE),
    case("Hardtanh", -0.5, 0.75, shape=IMAGE),
    case("Tanh", shape=IMAGE),
    case("Sigmoid", shape=IMAGE),
    case("Softmax", 1, shape=IMAGE),
    case("Softmax", -1, shape=TABLE),
    case("LogSoftmax", dim=1, shape=IMAGE),
    case("Dropout", 0.3, shape=IMAGE, train=False),
    case("Dropout2d", 0.3, shape=IMAGE, train=False),
    case("Dropout", 0.0, shape=IMAGE),
    case("Upsample", (11, 5), shape=IMAGE),
    case("Upsample", scale_factor=2, shape=IMAGE),
    case("Upsample", scale_factor=(2, 1.5), mode="bilinear", align_corners=False, shape=IMAGE),
    case("Upsample", None, 1.7, "bilinear", False, True, shape=IMAGE),
    case("UpsamplingNearest2d", scale_factor=3, shape=IMAGE),
    case("UpsamplingBilinear2d", (5, 12), shape=IMAGE),
    case("PixelShuffle", 2, shape=(2, 8, 3, 4)),
    case("PixelUnshuffle", 2, shape=(2, 3, 6, 4)),
    case("ChannelShuffle", 3, shape=IMAGE),
    case("ZeroPad1d", (1, 2), shape=SIGNAL),
    case("ZeroPad2d", 2, shape=IMAGE),
    case("ConstantPad1d", 2, 1.5, shape=SIGNAL),
    case("ConstantPad2d", (1, -2, 3, 0), -1.0, shape=IMAGE),
    case("ReflectionPad1d", (3, 1), shape=SIGNAL),
    case("ReflectionPad2d", (1, 2, 3, 0), shape=IMAGE),
    case("ReplicationPad1d", 2, shape=SIGNAL),
    case("ReplicationPad2d", (1, 2, 3, 0), shape=IMAGE),
    case("CircularPad1d", 2, shape=SIGNAL),
    case("CircularPad2d", (1, 2, 3, 0), shape=IMAGE),
    case("CosineSimilarity", shape=[IMAGE, IMAGE]),
    case("CosineSimilarity", -1, 5.0, shape=[TABLE, TABLE]),
    case("MSELoss", shape=[IMAGE, IMAGE]),
    case("L1Loss", reduction="sum", shape=[TABLE, TABLE]),
    case("SmoothL1Loss", beta=0.5, shape=[TABLE, TABLE]),
    case("HuberLoss", "none", 0.5, shape=[TABLE, TABLE]),
    case("KLDivLoss", reduction="batchmean", log_target=True, shape=[TABLE, TABLE]),
]


# PyTorch's float64 gradient of this layer multiplies by a sixth in float32
GRADIENT_TOLERANCE = {"Hardsigmoid": 1e-7}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name, args, kwargs, shapes, calls, train", CASES)
def test_layer_equals_torch(against_torch, name, args, kwargs, shapes, calls, train):
    ours = getattr(nn, name)(*args, **kwargs).train(train)
    theirs = getattr(torch.nn, name)(*args, **kwargs).train(train)
    if not _norm_without_bias_in_repr(theirs):
        assert repr(ours) == repr(theirs)
    rng = RNG(sum(map(ord, name)))
    inputs = [rng.standard_normal(shape) for shape in shapes]
    tolerance = GRADIENT_TOLERANCE.get(name, 1e-9)
    against_torch(ours, theirs, *inputs, calls=calls, gradient_tolerance=tolerance)


def _norm_without_bias_in_repr(module):
    """Whether this is a norm of a torch whose norms have no `bias` argument yet."""
    norms = (torch.nn.modules.batchnorm._NormBase, torch.nn.GroupNorm)
    return isinstance(module, norms) and "bias" not in inspect.signature(type(module)).parameters


@pytest.mark.parametrize(
    "name, args",
    [
        ("ReLU", ()),
        ("ReLU6", ()),
        ("LeakyReLU", (0.1,)),
        ("ELU", (2,)),
        ("CELU", (2,)),
        ("SELU", ()),
        ("SiLU", ()),
        ("Mish", ()),
        ("Hardswish", ()),
        ("Hardsigmoid", ()),
        ("Hardtanh", (-1, 2)),
    ],
)
def test_inplace_activation_writes_into_its_input(name, args):
    ours = getattr(nn, name)(*args, inplace=True)
    theirs = getattr(torch.nn, name)(*args, inplace=True)
    assert repr(ours) == repr(theirs)
    x = RNG(0).standard_normal((3, 5)) * 3
    leaf, their_leaf = pycnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    inner, their_inner = leaf * 1.0, their_leaf * 1.0
    out = ours(inner)
    assert out is inner
    theirs(their_inner).sum().backward()
    out.sum().backward()
    np.testing.assert_allclose(inner.detach().numpy(), their_inner.detach().numpy(), rtol=1e-12)
    tolerance = GRADIENT_TOLERANCE.get(name, 1e-12)
    np.testing.assert_allclose(leaf.grad.numpy(), their_leaf.grad.numpy(), rtol=tolerance)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
@pytest.mark.parametrize("options", [{}, {"ignore_index": 2}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_losses(against_torch, name, reduction, options, weighted):
    if name == "NLLLoss" and "label_smoothing" in options:
        options = {"ignore_index": 0}
    rng = RNG(1)
    weight = rng.random(4) if weighted else None
    ours = getattr(nn, name)(
        None if weight is None else pycnn.tensor(weight), reduction=reduction, **options
    )
    theirs = getattr(torch.nn, name)(
        None if weight is None else torch.tensor(weight), reduction=reduction, **options
    )
    assert repr(ours) == repr(theirs)
    against_torch(ours, theirs, rng.standard_normal((5, 4)), np.array([0, 2, 1, 3, 2]))
    logits = np.log(rng.random((2, 4, 3, 3)))
    against_torch(ours, theirs, logits, rng.integers(0, 4, (2, 3, 3)))


@pytest.mark.parametrize("name", ["BCELoss", "BCEWithLogitsLoss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_losses(against_torch, name, reduction):
    rng = RNG(2)
    options = {"weight": rng.random((4, 3))}
    if name == "BCEWithLogitsLoss":
        options["pos_weight"] = rng.random(3)
    ours = getattr(nn, name)(
        reduction=reduction, **{k: pycnn.tensor(v) for k, v in options.items()}
    )
    theirs = getattr(torch.nn, name)(
        reduction=reduction, **{k: torch.tensor(v) for k, v in options.items()}
    )
    target = pycnn.tensor((rng.random((4, 3)) > 0.5) * 1.0)
    predicted = rng.random((4, 3))
    bound = _Bound(ours, target)
    their_bound = _BoundTorch(theirs, torch.tensor(target.numpy()))
    against_torch(bound, their_bound, predicted)


class _Bound(nn.Module):
    """A loss with its target fixed, so that only the input gets a gradient."""

    def __init__(self, loss, target):
        super().__init__()
        self.loss, self.target = loss, target

    def forward(self, input):
        return self.loss(input, self.target)


class _BoundTorch(torch.nn.Module):
    def __init__(self, loss, target):
        super().__init__()
        self.loss, self.target = loss, target

    def forward(self, input):
        return self.loss(input, self.target)


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(against_torch, padding_idx):
    ours, theirs = nn.Embedding(5, 3, padding_idx), torch.nn.Embedding(5, 3, padding_idx)
    assert repr(ours) == repr(theirs)
    if padding_idx is not None:
        np.testing.assert_array_equal(ours.weight.detach().numpy()[padding_idx], 0)
    assert np.count_nonzero(ours.weight.detach().numpy()) == (5 - (padding_idx is not None)) * 3
    against_torch(ours, theirs, np.array([[0, 2, 4], [2, 2, 1]]))


def test_max_unpool_puts_maxima_back(against_torch):
    class Pair(nn.Module):
        def __init__(self, family):
            super().__init__()
            self.pool = family.MaxPool2d(2, return_indices=True)
            self.unpool = family.MaxUnpool2d(2)

        def forward(self, input):
            return self.unpool(*self.pool(input), output_size=input.shape)

    theirs = type("TorchPair", (torch.nn.Module,), dict(forward=Pair.forward))()
    theirs.pool = torch.nn.MaxPool2d(2, return_indices=True)
    theirs.unpool = torch.nn.MaxUnpool2d(2)
    assert repr(nn.MaxUnpool2d(2)) == repr(theirs.unpool)
    against_torch(Pair(nn), theirs, RNG(3).standard_normal((2, 3, 7, 6)))


def test_batch_norm_that_stops_tracking():
    x = RNG(6).standard_normal((4, 3))
    results = []
    for family, tensor in ((nn, pycnn.tensor), (torch.nn, torch.tensor)):
        norm = family.BatchNorm1d(3).double()
        norm.track_running_stats = False
        results.append([norm(tensor(x)), norm.running_mean, norm.num_batches_tracked])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(4, bias=False), nn.GroupNorm(2, 4, bias=False)], ids=repr
)
def test_norm_without_bias(layer):
    assert layer.bias is None
    assert dict(layer.named_parameters()).keys() == {"weight"}
    plain = type(layer)(2, 4) if isinstance(layer, nn.GroupNorm) else type(layer)(4)
    x = pycnn.randn(2, 4, 3, 3)
    np.testing.assert_array_equal(layer(x).detach().numpy(), plain(x).detach().numpy())


@pytest.mark.parametrize("output_size", [(15, 21), (16, 22), [2, 4, 15, 22]])
def test_conv_transpose_output_size(output_size):
    ours = nn.ConvTranspose2d(6, 4, 3, 2, dilation=1, padding=1).double()
    theirs = torch.nn.ConvTranspose2d(6, 4, 3, 2, dilation=1, padding=1).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = RNG(4).standard_normal((2, 6, 8, 11))
    expected = theirs(torch.tensor(x), output_size=list(output_size))
    got = ours(pycnn.tensor(x), output_size=output_size)
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("output_size", [(14, 21), (17, 22), (15, 23)])
def test_conv_transpose_output_size_out_of_range(output_size):
    layer = nn.ConvTranspose2d(6, 4, 3, 2, padding=1)
    with pytest.raises(ValueError, match="requested an output size of .* valid sizes range"):
        layer(pycnn.zeros(2, 6, 8, 11), output_size=output_size)


def test_conv_transpose_output_size_of_wrong_length():
    with pytest.raises(ValueError, match=r"must have 2 or 4 elements \(got 3\)"):
        nn.ConvTranspose2d(6, 4, 3)(pycnn.zeros(2, 6, 8, 11), output_size=(1, 2, 3))


def test_fused_activation_and_residual():
    rng = RNG(5)
    conv = nn.Conv2d(3, 4, 3, padding=1).double()
    norm = nn.BatchNorm2d(4).double()
    x = pycnn.tensor(rng.standard_normal((2, 3, 5, 6)))
    residual = pycnn.tensor(rng.standard_normal((2, 4, 5, 6)))
    plain = conv(x)
    fused = conv(x, activation="relu", residual=residual)
    expected = np.maximum((plain + residual).detach().numpy(), 0)
    np.testing.assert_allclose(fused.detach().numpy(), expected, atol=1e-12)
    normalised = norm(plain)
    fused = norm(plain, activation="relu", residual=residual)
    expected = np.maximum((normalised + residual).detach().numpy(), 0)
    np.testing.assert_allclose(fused.detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("layer, axes", [(nn.Dropout(0.25), 0), (nn.Dropout2d(0.25), 2)])
def test_dropout_in_training(layer, axes):
    pycnn.manual_seed(0)
    out = layer(pycnn.ones(40, 50, 3, 4)).numpy()
    assert {0.0, np.float32(1 / 0.75)} == set(np.unique(out))
    kept = out != 0
    if axes:
        assert (kept.all((2, 3)) | ~kept.any((2, 3))).all()
        kept = kept[:, :, 0, 0]
    spread = np.sqrt(0.25 * 0.75 / kept.size)
    assert abs(kept.mean() - 0.75) < 5 * spread
    assert not np.array_equal(out, layer(pycnn.ones(40, 50, 3, 4)).numpy())


def test_functional_is_reachable_from_nn():
    import pycnn.nn.functional as functional

    assert functional is pycnn.functional is nn.functional
