"""gradcheck passes what is right, catches what is wrong, and says where."""

import numpy as np
import pytest

import pycnn
import pycnn.functional as F
from pycnn import Function
from pycnn.gradcheck import GradcheckError, gradcheck


def tensor(values):
    return pycnn.from_numpy(np.array(values, dtype=np.float64)).requires_grad_()


def normal(*shape, seed=0):
    return tensor(np.random.default_rng(seed).standard_normal(shape))


class Square(Function):
    """x * x with a gradient that the test chooses."""

    def forward(self, x):
        self.retain(x)
        return x * x

    def backward(self, dy):
        (x,) = self.retained
        return (self.gradient(x, dy),)


def broken(gradient):
    return lambda x: Square(gradient=gradient)(x)


right = broken(lambda x, dy: 2 * x * dy)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    "fn,shapes",
    [
        (lambda x: x * x, [(3, 4)]),
        (lambda x, w: F.conv2d(x, w, stride=2, padding=1), [(2, 2, 5, 4), (3, 2, 3, 3)]),
        (lambda x, w, b: F.linear(x, w, b), [(4, 3), (5, 3), (5,)]),
        (lambda x: F.max_pool2d(x, 2), [(1, 2, 4, 6)]),
        (lambda x: F.relu(x), [(50,)]),
        (lambda x: x.sum(), [()]),
        (right, [(7,)]),
    ],
)
def test_right_gradients_pass(fn, shapes, fast):
    report = gradcheck(fn, [normal(*s, seed=i) for i, s in enumerate(shapes)], fast=fast)
    assert report
    assert report.checked > 0
    assert "passed" in str(report)


WRONG = {
    "factor": lambda x, dy: 2.01 * x * dy,
    "sign": lambda x, dy: -2 * x * dy,
    "forgets dy": lambda x, dy: 2 * x + 0 * dy,
    "zero": lambda x, dy: 0 * x,
    "nan": lambda x, dy: x * np.nan,
    "one element": lambda x, dy: 2 * x * dy + (np.arange(x.size) == 3).reshape(x.shape),
    "transposed": lambda x, dy: np.ascontiguousarray((2 * x * dy).T).reshape(x.shape),
}


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("kind", sorted(WRONG))
def test_wrong_gradients_are_caught(kind, fast):
    fn = broken(WRONG[kind])
    with pytest.raises(GradcheckError, match="derivatives differ"):
        gradcheck(fn, normal(3, 4), fast=fast)
    report = gradcheck(fn, normal(3, 4), fast=fast, raise_exception=False)
    assert not report
    assert report.mismatches


def test_the_report_names_the_element():
    with pytest.raises(GradcheckError) as caught:
        gradcheck(
            lambda a, x: (a + x, broken(WRONG["one element"])(x)), [normal(3, 4), normal(3, 4)]
        )
    report = caught.value.report
    assert {(m.output, m.input, m.input_index) for m in report.mismatches} == {(1, 1, (0, 3))}
    worst = max(report.mismatches, key=lambda m: abs(m.analytic - m.numeric))
    assert worst.analytic - worst.numeric == pytest.approx(1, abs=1e-4)
    assert "d output 1[0, 3] / d input 1[0, 3]: analytic" in str(caught.value)


def test_many_mismatches_are_cut_short():
    with pytest.raises(GradcheckError, match="and 7 more"):
        gradcheck(broken(WRONG["factor"]), tensor(np.arange(1.0, 13)))


def test_a_gradient_lost_on_one_input_is_caught():
    class Forgetful(Function):
        def forward(self, a, b):
            return a + b

        def backward(self, dy):
            return dy, None

    with pytest.raises(GradcheckError, match="input 1"):
        gradcheck(lambda a, b: Forgetful()(a, b), [normal(3), normal(3)])


def test_a_detached_path_is_caught():
    with pytest.raises(GradcheckError, match="derivatives differ"):
        gradcheck(lambda x: x * x.detach(), normal(3))


def test_random_functions_are_caught():
    rng = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="fn is not deterministic"):
        gradcheck(lambda x: x * float(rng.standard_normal()), normal(3))


def test_random_backward_is_caught():
    rng = np.random.default_rng(0)
    noisy = broken(lambda x, dy: 2 * x * dy * (1 + 1e-9 * rng.standard_normal()))
    with pytest.raises(GradcheckError, match="backward of output 0 is not deterministic"):
        gradcheck(noisy, normal(3))


# kinks


def test_a_kink_within_reach_is_stepped_around():
    x = tensor([3e-7, -4e-7, 2e-8, 1.0, -1.0])
    report = gradcheck(F.relu, x)
    assert not report.skipped
    assert report.checked == 25


@pytest.mark.parametrize("fast", [False, True])
def test_elements_on_a_kink_are_skipped_and_counted(fast):
    x = np.random.default_rng(0).standard_normal(40)
    x[[4, 11]] = 0.0
    report = gradcheck(F.relu, tensor(x), fast=fast)
    assert len(report.skipped) == 2
    if not fast:
        assert report.skipped == [(0, (4,)), (0, (11,))]
    assert "2 of 40 elements skipped" in str(report)


@pytest.mark.parametrize("fast", [False, True])
def test_too_many_kinks_fail(fast):
    with pytest.raises(GradcheckError, match="40 of 40 elements sit on a kink"):
        gradcheck(F.relu, tensor(np.zeros(40)), fast=fast)
    assert gradcheck(F.relu, tensor(np.zeros(40)), fast=fast, max_skipped=1.0)


def test_ties_in_max_pooling_are_kinks():
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 8))
    x[0, 0, 0, :2] = x.max() + 1
    report = gradcheck(lambda x: F.max_pool2d(x, 2), tensor(x))
    assert report.skipped == [(0, (0, 0, 0, 0)), (0, (0, 0, 0, 1))]


def test_a_wrong_gradient_beside_kinks_is_still_caught():
    class Relu(Function):
        def forward(self, x):
            self.retain(x)
            return np.maximum(x, 0)

        def backward(self, dy):
            return (dy * (self.retained[0] < 0),)

    x = np.random.default_rng(0).standard_normal(40)
    x[0] = 0.0
    for fast in (False, True):
        report = gradcheck(lambda x: Relu()(x), tensor(x), fast=fast, raise_exception=False)
        assert report.mismatches


# inputs


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.transpose(2, 0, 1),
        lambda a: a[1:, ::2, 1:],
        lambda a: np.asfortranarray(a),
    ],
)
def test_non_contiguous_inputs(view, fast):
    a = view(np.random.default_rng(0).standard_normal((4, 4, 4)))
    x = pycnn.from_numpy(a).requires_grad_()
    assert gradcheck(lambda x: x * x * x, x, fast=fast)
    assert np.shares_memory(x.detach().numpy(), a)
    with pytest.raises(GradcheckError):
        gradcheck(broken(WRONG["sign"]), x, fast=fast)


def test_inputs_are_put_back():
    x = normal(5)
    before = x.detach().numpy().copy()

    def fails(x):
        fails.calls += 1
        if fails.calls == 6:
            raise KeyError("midway")
        return x * x

    fails.calls = 0
    with pytest.raises(KeyError, match="midway"):
        gradcheck(fails, x)
    np.testing.assert_array_equal(x.detach().numpy(), before)


def test_parameters_reached_through_the_function():
    net = pycnn.nn.Linear(3, 2).double()
    parameters = list(net.parameters())
    report = gradcheck(lambda x, *_: net(x), [normal(4, 3), *parameters])
    assert report.elements == 12 + 6 + 2


def test_other_arguments_pass_through():
    target = pycnn.from_numpy(np.array([0, 2, 1]))
    assert gradcheck(lambda x, t: F.cross_entropy(x, t), [normal(3, 4), target])


def test_several_outputs_of_which_some_have_no_gradient():
    report = gradcheck(lambda x: (x * 2, x.detach(), x * x), normal(4))
    assert report.checked == 2 * 16


def test_refusals_name_the_argument():
    with pytest.raises(ValueError, match="none of them requires grad .got int64.*integers"):
        gradcheck(lambda x: x * 2, pycnn.from_numpy(np.arange(3)))
    with pytest.raises(ValueError, match=r"inputs\[1\]: got float32, expected float64"):
        gradcheck(lambda a, b: a + b, [normal(3), pycnn.randn(3).requires_grad_()])
    with pytest.raises(ValueError, match="eps must be positive"):
        gradcheck(lambda x: x, normal(3), eps=0)
    with pytest.raises(ValueError, match=r"inputs\[0\]: overlaps itself"):
        gradcheck(lambda x: x * 2, normal(1).detach().expand(4).requires_grad_())
    with pytest.raises(ValueError, match="output 0 is float, expected a Tensor"):
        gradcheck(lambda x: 3.0, normal(3))
    with pytest.raises(GradcheckError, match="no output of fn requires grad"):
        gradcheck(lambda x: x.detach(), normal(3))
