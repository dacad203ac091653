"""Tensors: creation, dtypes, what they hold, how they cross to NumPy, DLPack, pickle, and how they
read."""

import copy
import pickle

import numpy as np
import pytest
import torch

import pycnn
from pycnn import dtypes

from .functional.parity import fresh

pytestmark = pytest.mark.smoke


def test_from_numpy_shares_memory_both_ways():
    a = np.arange(6.0).reshape(2, 3)
    t = pycnn.from_numpy(a)
    a[0, 0] = 9
    assert float(t[0, 0]) == 9
    t[1, 2] = -1
    assert a[1, 2] == -1 and t.numpy() is a


def test_from_numpy_refuses_what_it_cannot_hold():
    for wrong in (
        np.zeros(2, "complex64"),
        np.zeros(2, "U3"),
        np.zeros(2, "uint32"),
        np.zeros(2, "O"),
    ):
        with pytest.raises(TypeError, match="dtype"):
            pycnn.from_numpy(wrong)
    with pytest.raises(TypeError, match="expected np.ndarray"):
        pycnn.from_numpy([1, 2])
    with pytest.raises((TypeError, ValueError), match="dtype|byte order"):
        pycnn.from_numpy(np.zeros(2, ">f4"))
    packed = np.zeros(3, [("a", "f4"), ("b", "i1")])["a"]
    with pytest.raises(ValueError, match="strides"):
        pycnn.from_numpy(packed)


@pytest.mark.parametrize(
    "data",
    [
        1,
        1.5,
        True,
        [1, 2],
        [[1.0, 2], [3, 4]],
        [True, False],
        (),
        [[]],
        np.float64(2),
        np.arange(3),
    ],
)
def test_tensor_infers_torchs_dtype_and_copies(data):
    t, expected = pycnn.tensor(data), torch.tensor(data)
    assert t.shape == tuple(expected.shape) and f"torch.{t.dtype}" == str(expected.dtype)
    np.testing.assert_array_equal(t.numpy(), expected.numpy())


@pytest.mark.parametrize("make", [pycnn.tensor, pycnn.as_tensor])
@pytest.mark.parametrize("data", [0.1, [0.1, 1e300], [[16_777_217.0]], (2**53 - 1.0,)])
def test_floats_reach_a_wider_dtype_unrounded(make, data):
    t = make(data, dtype="float64")
    assert t.dtype == np.float64
    np.testing.assert_array_equal(t.numpy(), np.asarray(data))
    assert make([16_777_217.0], dtype="int64").item() == 16_777_217


def test_tensor_copies_and_takes_a_dtype_in_every_spelling():
    a = np.arange(3.0)
    assert not np.shares_memory(pycnn.tensor(a).numpy(), a)
    for spec in ("float16", "half", np.float16, np.dtype("float16"), pycnn.float16, torch.float16):
        assert pycnn.tensor(a, dtype=spec).dtype == pycnn.float16
    for spec, wanted in ((float, "float64"), (int, "int64"), (bool, "bool"), ("long", "int64")):
        assert pycnn.tensor([0.0, 2.0], dtype=spec).dtype == wanted
    assert pycnn.tensor(a, dtype="bfloat16").dtype is pycnn.bfloat16
    for wrong in ("float8", complex, None.__class__, "torch.complex64", 7):
        with pytest.raises(TypeError, match="expected one of bfloat16, bool"):
            pycnn.tensor(a, dtype=wrong)


def test_tensor_refuses_ragged_and_foreign_data():
    with pytest.raises(ValueError, match="rectangular"):
        pycnn.tensor([[1], [2, 3]])
    for wrong in ("abc", [["a"]], {1: 2}, object()):
        with pytest.raises(TypeError):
            pycnn.tensor(wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.zeros(2, 3),
        lambda m: m.ones((2, 3), dtype=m.int64),
        lambda m: m.full((2,), 7),
        lambda m: m.full((2,), 7.5),
        lambda m: m.full((2,), True),
        lambda m: m.arange(5),
        lambda m: m.arange(1, 2, 0.25),
        lambda m: m.arange(5, 1, -2),
        lambda m: m.arange(3.0),
        lambda m: m.arange(1.9, 6.9, 1.9, dtype=m.int64),
        lambda m: m.arange(0, -8.5, -4.0, dtype=m.int64),
        lambda m: m.arange(0, -8.5, -4.0, dtype=m.int32),
        lambda m: m.arange(1.9, 6.9, 1.9, dtype=m.int32),
        lambda m: m.arange(m.tensor(3)),
        lambda m: m.arange(m.tensor(0.5), m.tensor(3.2)),
        lambda m: m.linspace(0, 1, 5),
        lambda m: m.linspace(m.tensor(0.0), m.tensor(1.0, requires_grad=True), 5),
        lambda m: m.linspace(4.3, -3.9, 20, dtype=m.int64),
        lambda m: m.eye(3, 2),
        lambda m: m.zeros_like(m.ones(2, 2, dtype=m.float16)),
        lambda m: m.ones_like(m.ones(2, 2), dtype=m.int32),
        lambda m: m.full_like(m.ones(2, 2), 3),
        lambda m: m.zeros(0, 3),
        lambda m: m.zeros(()),
    ],
)
def test_creation(make):
    ours, theirs = make(pycnn), make(torch)
    assert ours.shape == tuple(theirs.shape) and f"torch.{ours.dtype}" == str(theirs.dtype)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m: m.zeros(-1),
        lambda m: m.zeros(1.5),
        lambda m: m.zeros("2"),
        lambda m: m.arange(0, 1, 0),
        lambda m: m.arange(0, 1, -1),
        lambda m: m.arange(0, 1, 0.5, dtype=m.int64),
        lambda m: m.arange(0, float("inf"), 2),
        lambda m: m.linspace(m.ones(2), m.ones(2), 1),
        lambda m: m.linspace(0, 1, -1),
        lambda m: m.randint(3, 3, (2,)),
        lambda m: m.rand(2, dtype=m.int64),
        lambda m: m.ones(2, dtype=m.int64, requires_grad=True),
        lambda m: m.zeros(2, 2)[5],
        lambda m: m.zeros(2, 2).size(2),
        lambda m: m.zeros(2).item(),
        lambda m: m.zeros(2).requires_grad_().numpy(),
        lambda m: bool(m.zeros(2)),
        lambda m: len(m.tensor(1.0)),
        lambda m: m.zeros(2, requires_grad=True).numpy(),
        lambda m: range(m.tensor(1.5)),
    ],
)
def test_errors_are_torchs(wrong):
    with pytest.raises((RuntimeError, TypeError, ValueError, IndexError)) as theirs:
        wrong(torch)
    with pytest.raises(theirs.type):
        wrong(pycnn)


def test_random_numbers_repeat_from_a_seed():
    def draw():
        return [
            pycnn.rand(3, 4), pycnn.randn(5, dtype="float64"), pycnn.randint(0, 9, (4,)),
            pycnn.randperm(6), pycnn.empty(4).uniform_(-1, 1), pycnn.empty(4).normal_(3, 2),
        ]  # fmt: skip

    pycnn.manual_seed(3)
    state = pycnn.get_rng_state()
    first = draw()
    pycnn.set_rng_state(state)
    for a, b in zip(first, draw(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    pycnn.manual_seed(4)
    assert not np.array_equal(first[0].numpy(), draw()[0].numpy())
    assert pycnn.initial_seed() == 4
    with pytest.raises(TypeError, match="seed"):
        pycnn.manual_seed(1.5)


def test_random_distributions():
    pycnn.manual_seed(0)
    u, n = pycnn.rand(20000).numpy(), pycnn.randn(20000).numpy()
    assert 0 <= u.min() and u.max() < 1 and abs(u.mean() - 0.5) < 0.01
    assert abs(n.mean()) < 0.03 and abs(n.std() - 1) < 0.03
    half = pycnn.rand(200_000, dtype="float16").numpy()
    assert half.max() < 1, "rounding must not reach the open end"
    assert set(pycnn.randint(2, 5, (500,)).tolist()) == {2, 3, 4}
    assert sorted(pycnn.randperm(50).tolist()) == list(range(50))
    for edit in (lambda t: t.uniform_(2, 1), lambda t: t.normal_(0, -1), lambda t: t.bernoulli_(2)):
        with pytest.raises(RuntimeError):
            edit(pycnn.empty(2))


def test_attributes_match_torch():
    t, s = pycnn.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 5)
    for x, y in ((t, s), (t.permute(0, 2, 3, 1), s.permute(0, 2, 3, 1)), (t[:, 1:], s[:, 1:])):
        assert x.stride() == y.stride() and x.shape == tuple(y.shape) and x.size(1) == y.size(1)
        assert x.is_contiguous() == y.is_contiguous()
        assert x.is_contiguous(memory_format=pycnn.channels_last) == y.is_contiguous(
            memory_format=torch.channels_last
        )
        assert (
            x.numel() == y.numel()
            and x.dim() == y.ndim == x.ndim
            and x.element_size() == y.element_size()
        )
    assert t.device == "cpu" and not t.is_cuda and t.nbytes == 480 and t.is_floating_point()


@pytest.mark.parametrize(
    "shape", [(2, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1), (1, 1, 1, 1), (1, 4, 4, 1), (2, 1, 1, 5)]
)
def test_ambiguous_layouts_are_resolved_as_torch_resolves_them(shape):
    """The layout an elementwise result inherits: contiguous and channels-last versions of
    degenerate shapes."""
    for last in (False, True):
        memory_format = pycnn.channels_last if last else pycnn.contiguous_format
        a = pycnn.array.empty(shape, np.dtype("float32"), memory_format)
        s = torch.empty(
            shape, memory_format=torch.channels_last if last else torch.contiguous_format
        )
        assert tuple(x // 4 for x in a.strides) == s.stride()
        described = pycnn.array.describe(a)
        assert described.contiguous == s.is_contiguous()
        assert described.channels_last == s.is_contiguous(memory_format=torch.channels_last)


def test_dlpack_shares_memory_with_torch():
    t = pycnn.zeros(2, 3)
    s = torch.from_dlpack(t)
    s[0, 1] = 5
    assert float(t[0, 1]) == 5
    back = pycnn.from_dlpack(torch.arange(4, dtype=torch.int32))
    assert back.dtype == "int32" and back.tolist() == [0, 1, 2, 3]
    with pytest.raises(BufferError, match="detach"):
        torch.from_dlpack(pycnn.zeros(2, requires_grad=True))
    with pytest.raises(BufferError, match="bfloat16"):
        np.from_dlpack(pycnn.zeros(2, dtype="bfloat16"))


def test_array_protocol():
    t = pycnn.arange(3)
    assert np.asarray(t) is not None and np.shares_memory(np.asarray(t), t.numpy())
    assert np.asarray(t, dtype="float32").dtype == np.float32
    assert not np.shares_memory(np.array(t, copy=True), t.numpy())
    with pytest.raises(ValueError, match="copy"):
        np.array(t, dtype="float32", copy=False)
    with pytest.raises(RuntimeError, match="requires grad"):
        np.asarray(pycnn.ones(1, requires_grad=True))
    product = np.ones(3) * pycnn.ones(3, dtype="float64")
    assert isinstance(product, pycnn.Tensor)


def test_item_and_conversions():
    assert pycnn.tensor([[2.5]]).item() == 2.5 and isinstance(pycnn.tensor(3).item(), int)
    assert pycnn.tensor(True).item() is True and isinstance(
        pycnn.ones(1, dtype="bfloat16").item(), float
    )
    assert float(pycnn.tensor(2)) == 2.0 and int(pycnn.tensor(2.7)) == 2 and bool(pycnn.tensor(1.0))
    assert [10, 20, 30][pycnn.tensor(1)] == 20
    assert pycnn.tensor([[1, 2]]).tolist() == [[1, 2]]
    assert f"{pycnn.tensor(1.5):.2f}" == "1.50"


def test_repr():
    cases = {
        "tensor([1., 2.])": pycnn.tensor([1.0, 2.0]),
        "tensor([1, 2])": pycnn.tensor([1, 2]),
        "tensor(3.5000)": pycnn.tensor(3.5),
        "tensor([1., 2.], dtype=pycnn.float64)": pycnn.tensor([1.0, 2.0], dtype="float64"),
        "tensor([1., 2.], dtype=pycnn.bfloat16)": pycnn.tensor([1.0, 2.0], dtype="bfloat16"),
        "tensor([1.], requires_grad=True)": pycnn.ones(1, requires_grad=True),
        "tensor([], size=(0, 3), dtype=pycnn.float32)": pycnn.zeros(0, 3),
        "tensor([ True, False])": pycnn.tensor([True, False]),
    }
    for text, t in cases.items():
        assert repr(t).replace("3.5)", "3.5000)") == text
    assert "grad_fn=<" in repr(pycnn.ones(1, requires_grad=True) * 2)
    assert "..." in repr(pycnn.zeros(3000)) and len(repr(pycnn.zeros(3000))) < 100


@pytest.mark.parametrize("dtype", sorted(map(str, dtypes.SUPPORTED | {pycnn.bfloat16})))
def test_pickle_and_deepcopy_keep_values_layout_and_flags(dtype):
    t = (
        pycnn.from_numpy(np.abs(fresh(2, 3, 4, 5) * 3))
        .to(dtype)
        .contiguous(memory_format="channels_last")
    )
    if dtype in {str(d) for d in dtypes.FLOATING}:
        t = t.detach().requires_grad_()
    for twin in (pickle.loads(pickle.dumps(t)), copy.deepcopy(t)):
        assert (
            twin.dtype == t.dtype
            and twin.requires_grad == t.requires_grad
            and twin.stride() == t.stride()
        )
        np.testing.assert_array_equal(twin.detach().numpy(), t.detach().numpy())
        assert twin.data_ptr() != t.data_ptr()
    with pytest.raises(RuntimeError):
        pickle.dumps(pycnn.ones(1, requires_grad=True) * 2)


def test_grad_setter_and_requires_grad():
    t = pycnn.ones(2, requires_grad=True)
    t.grad = pycnn.zeros(2)
    for wrong, error in (
        (pycnn.zeros(3), RuntimeError),
        (pycnn.zeros(2, dtype="float64"), RuntimeError),
        (3, TypeError),
    ):
        with pytest.raises(error, match="assigned grad"):
            t.grad = wrong
    with pytest.raises(RuntimeError, match="floating point"):
        pycnn.ones(2, dtype="int64").requires_grad_()
    with pytest.raises(RuntimeError, match="leaf"):
        (t * 2).requires_grad_(False)
    h = t * 2
    h.detach_()
    assert h.is_leaf and not h.requires_grad


def test_promotion_is_torchs():
    kinds = [
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "uint8",
        "int8",
        "int16",
        "int32",
        "int64",
        "bool",
    ]
    for a in kinds:
        for b in kinds:
            expected = torch.promote_types(getattr(torch, a), getattr(torch, b))
            assert f"torch.{pycnn.promote_types(dtypes.as_dtype(a), dtypes.as_dtype(b))}" == str(
                expected
            ), (a, b)
            for x, y in (((2,), (2,)), ((2,), ()), ((), (2,))):
                ours = pycnn.result_type(pycnn.zeros(x, dtype=a), pycnn.zeros(y, dtype=b))
                theirs = torch.result_type(
                    torch.zeros(x, dtype=getattr(torch, a)), torch.zeros(y, dtype=getattr(torch, b))
                )
                assert f"torch.{ours}" == str(theirs), (a, x, b, y)
        for scalar in (1, 1.5, True):
            ours = pycnn.result_type(pycnn.zeros(2, dtype=a), scalar)
            assert f"torch.{ours}" == str(
                torch.result_type(torch.zeros(2, dtype=getattr(torch, a)), scalar)
            ), (a, scalar)


def test_default_dtype():
    pycnn.set_default_dtype("float64")
    try:
        assert pycnn.zeros(1).dtype == pycnn.tensor(1.5).dtype == pycnn.rand(1).dtype == "float64"
    finally:
        pycnn.set_default_dtype("float32")
    with pytest.raises(TypeError, match="floating"):
        pycnn.set_default_dtype("int64")


def test_devices():
    assert pycnn.array.as_device("cuda") == "cuda:0" and pycnn.array.as_device("cuda:1") == "cuda:1"
    for wrong in ("tpu", "cuda:x", "cuda:", 3):
        if wrong != "cuda:":
            with pytest.raises(RuntimeError, match="expected 'cpu', 'cuda' or 'cuda:N'"):
                pycnn.zeros(1, device=wrong)
    if pycnn.array.gpu_status() is not None:
        with pytest.raises(RuntimeError, match="device 'cuda' cannot be used: cupy"):
            pycnn.zeros(1, device="cuda")


@pytest.mark.parametrize(
    "huge",
    [
        lambda m: m.zeros(2**62, 2**62),
        lambda m: m.ones(2**50),
        lambda m: m.nn.functional.pad(m.zeros(1, 1, 4, 4), (2**31 - 1,) * 4),
        lambda m: m.nn.functional.unfold(m.zeros(1, 1, 4, 4), 1, padding=2**31 - 1),
        lambda m: m.zeros(2**40).repeat(2**20),
    ],
)
def test_what_does_not_fit_is_a_runtime_error(huge):
    with pytest.raises(RuntimeError):
        huge(pycnn)


def test_new_tensors_take_after_their_model():
    t = pycnn.zeros(2, dtype="float64")
    for make, value in ((t.new_zeros, 0), (t.new_ones, 1)):
        made = make(3, 4)
        assert made.shape == (3, 4) and made.dtype == "float64" and (made.numpy() == value).all()
    assert t.new_full((2,), 7).tolist() == [7, 7] and t.new_empty((1, 2)).shape == (1, 2)
    assert t.new_tensor([1, 2]).dtype == "float64"
    assert t.new_zeros((2,), dtype="int64").dtype == "int64"


def test_an_expanded_view_of_one_element_per_place_is_writable():
    x = pycnn.zeros(3)
    x.expand(1, 3).add_(1)
    assert x.tolist() == [1, 1, 1]
    x.expand(2, 3)[0].add_(1)
    assert x.tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="single memory location"):
        x.expand(2, 3).add_(1)
