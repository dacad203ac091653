"""The graph: recording, the walk, versions, hooks, memory."""

import gc
import threading
import weakref

import numpy as np
import pytest
import torch

import pycnn
from pycnn import Function
from tests.functional.parity import fresh

pytestmark = pytest.mark.smoke


class Times(Function):
    """x * factor, with every moment of its life on record."""

    def forward(self, x):
        self.retain(x)
        return x * self.factor

    def backward(self, dy):
        (x,) = self.retained
        assert x.shape == dy.shape
        return dy * self.factor


def leaf(*shape, seed=0):
    return pycnn.from_numpy(fresh(*shape, seed=seed)).requires_grad_()


def test_accumulation_over_calls_and_paths():
    x = leaf(3)
    y = x * 2 + x * x
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 + 2 * x.detach().numpy())
    first = x.grad
    before = first.numpy().copy()
    (x * 3).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), before + 3)
    assert x.grad is first  # accumulated in place, as in torch


def test_leaf_gradients_share_no_memory():
    a, b = leaf(4), leaf(4)
    seed = pycnn.ones(4, dtype="float64")
    (a + b).backward(seed)
    a.grad.zero_()
    np.testing.assert_array_equal(b.grad.numpy(), np.ones(4))
    np.testing.assert_array_equal(seed.numpy(), np.ones(4))


def test_a_fresh_gradient_is_taken_without_a_copy_and_a_shared_one_is_not():
    pointers, kept = [], []

    class Fresh(Function):
        def forward(self, x):
            return x.copy()

        def backward(self, dy):
            g = pycnn.array.empty(dy.shape, dy.dtype, pycnn.channels_last)
            g[...] = dy
            pointers.append(pycnn.array.data_pointer(g))
            if self.keep:
                kept.append(g)
            return g

    for keep, stolen in ((False, True), (True, False)):
        x = leaf(1, 2, 3, 4)
        Fresh(keep=keep)(x).backward(pycnn.ones(1, 2, 3, 4, dtype="float64"))
        assert (x.grad.data_ptr() == pointers[-1]) is stolen


def test_second_backward_needs_retain_graph():
    x = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.detach().numpy())
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_backward_argument_errors():
    x = leaf(3)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="does not require grad"):
        pycnn.ones(1).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(pycnn.ones(2, dtype="float64"))
    with pytest.raises(NotImplementedError, match="create_graph"):
        (x * 2).sum().backward(create_graph=True)
    with pytest.raises(NotImplementedError, match="create_graph"):
        pycnn.grad((x * 2).sum(), x, create_graph=True)


def test_grad_and_inputs_leave_other_leaves_alone():
    x, w = leaf(3), leaf(3, seed=1)
    h = x * w
    y = (h * h).sum()
    gx, gh = pycnn.grad(y, (x, h), retain_graph=True)
    assert x.grad is None and w.grad is None
    np.testing.assert_allclose(gh.numpy(), 2 * h.detach().numpy())
    np.testing.assert_allclose(gx.numpy(), (2 * h * w).detach().numpy())
    y.backward(inputs=[w])
    assert x.grad is None
    np.testing.assert_allclose(w.grad.numpy(), (2 * h * x).detach().numpy())
    with pytest.raises(RuntimeError, match="not have been used"):
        pycnn.grad((x * 2).sum(), w)
    assert pycnn.grad((x * 2).sum(), w, allow_unused=True) == (None,)


def test_only_wanted_gradients_are_computed():
    asked = []

    class Add(Function):
        def forward(self, a, b):
            return a + b

        def backward(self, dy):
            asked.append(self.wants)
            return dy if self.wants[0] else None, dy if self.wants[1] else None

    x, constant = leaf(2), pycnn.ones(2, dtype="float64")
    Add()(x, constant).sum().backward()
    assert asked == [(True, False)] and constant.grad is None


def test_wrong_gradient_shape_and_count_are_caught():
    class Wrong(Function):
        def forward(self, x):
            return x.copy()

        def backward(self, dy):
            return self.result

    x = leaf(3)
    with pytest.raises(RuntimeError, match="invalid gradient"):
        Wrong(result=np.ones(2))(x).sum().backward()
    with pytest.raises(RuntimeError, match="returned 2 gradients"):
        Wrong(result=(None, None))(x).sum().backward()


def test_no_grad_enable_grad_and_decorators():
    x = leaf(3)

    @pycnn.no_grad()
    def silent(t):
        inner = t * 2
        with pycnn.enable_grad():
            assert (t * 2).requires_grad
        return inner

    assert not silent(x).requires_grad
    assert pycnn.is_grad_enabled()
    with pytest.raises(KeyError), pycnn.no_grad():
        raise KeyError("the mode is restored when a block raises")
    assert pycnn.is_grad_enabled()
    with pycnn.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad and not x.detach().requires_grad


def test_in_place_edit_of_a_retained_tensor_raises():
    x = leaf(3)
    h = x * 1
    y = (h * h).sum()
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.backward()


@pytest.mark.parametrize(
    "alias", [lambda h: h.detach(), lambda h: h[1:], lambda h: h.reshape(3, 1)]
)
def test_edits_through_an_alias_are_seen(alias):
    x = leaf(3)
    h = x * 1
    y = (h * h).sum()
    with pycnn.no_grad():
        alias(h).zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.backward()


def test_edit_of_a_retained_output_raises():
    x = leaf(3)
    y = x.exp()
    z = y.sum()
    with pycnn.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        z.backward()


def both(function, *shapes):
    """The same in-place program in torch and pycnn: result and gradients agree."""
    arrays = [fresh(*s, seed=i) for i, s in enumerate(shapes)]
    ours = [pycnn.from_numpy(a.copy()).requires_grad_() for a in arrays]
    theirs = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    a, b = function(*ours), function(*theirs)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)
    a.sum().backward()
    b.sum().backward()
    for x, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-12, atol=1e-12)


def _edit_view(x, y):
    h = x * 2
    h[1].mul_(y)
    return h * h


def _edit_base(x, y):
    h = x * 2
    v = h[1:]
    h.mul_(y)
    return v * v


def _assign(x, y):
    h = x * 2
    h[0, 1:] = y[0, 1:] * 3
    return h * x


def _view_of_view(x, y):
    h = x * 2
    v = h.reshape(6).reshape(3, 2)[1]
    v.add_(y.reshape(6)[:2])
    w = h.transpose(0, 1)[0]
    return (w * w).sum() + (h * v.sum()).sum()


def _into_a_buffer(x, y):
    module = pycnn if isinstance(x, pycnn.Tensor) else torch
    buffer = module.zeros(2, 3, dtype=module.float64)
    row = buffer[0]
    buffer[0] = x[0] * y[0]
    buffer[1] = 2.0
    return buffer * x + row * row


@pytest.mark.parametrize("program", [_edit_base, _assign, _view_of_view, _into_a_buffer])
def test_in_place_programs(program):
    both(program, (2, 3), (2, 3))


def test_edit_of_one_view_reaches_the_base():
    both(_edit_view, (2, 3), (3,))


def test_in_place_on_leaves_is_refused_outside_no_grad():
    x = leaf(3)
    for edit in (lambda: x.add_(1), lambda: x[0].zero_(), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            edit()
    with pycnn.no_grad():
        x.add_(1)
        x[0] = 5
    assert x.numel() == 3 and float(x.detach()[0]) == 5


def test_in_place_on_read_only_and_overlapping_memory_is_refused():
    frozen = np.ones(3)
    frozen.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only"):
        pycnn.from_numpy(frozen).add_(1)
    with pytest.raises(RuntimeError, match="single memory location"):
        pycnn.ones(1).expand(3).add_(1)


def test_hooks():
    x = leaf(3)
    seen = []
    h = x * 2
    first = h.register_hook(lambda g: g * 10)
    h.register_hook(lambda g: seen.append(g.numpy().copy()))
    x.register_hook(lambda g: g + 1)
    h.retain_grad()
    h.sum().backward(retain_graph=True)
    np.testing.assert_array_equal(seen[0], np.full(3, 10.0))
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 21.0))
    np.testing.assert_array_equal(h.grad.numpy(), np.full(3, 10.0))
    first.remove()
    x.grad = None
    h.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 3.0))
    after = []
    x.register_post_accumulate_grad_hook(lambda t: after.append(t.grad is not None))
    (x * 2).sum().backward()
    assert after == [True]
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        pycnn.ones(1).register_hook(print)
    y = x * 2
    y.register_hook(lambda g: 3)
    with pytest.raises(TypeError, match="must return None or a Tensor"):
        y.sum().backward()


def test_dropping_the_loss_frees_the_graph_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        x = leaf(3)
        h = Times(factor=2.0)(x)
        node, kept = weakref.ref(h._node), weakref.ref(h)
        v = h[1:]
        loss = (h.exp() + v.sum()).sum()
        del h, v
        assert node() is not None
        del loss
        assert node() is None and kept() is None
        y = Times(factor=2.0)(x)
        memory = weakref.ref(y)
        y.sum().backward()
        del y
        assert memory() is None
    finally:
        gc.enable()


def test_backward_frees_what_was_retained():
    x = leaf(3)
    y = Times(factor=3.0)(Times(factor=2.0)(x) * 1)
    node = y._node
    y.sum().backward()
    assert node._retained == ()


@pytest.mark.parametrize("depth", [10_000])
def test_deep_graphs_do_not_recurse(depth):
    x = leaf(2)
    y = x
    for _ in range(depth):
        y = Times(factor=1.0)(y)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(2))
    node = weakref.ref(y._node)
    del y
    assert node() is None


def test_a_wide_graph_visits_each_node_once():
    calls = []

    class Count(Function):
        def forward(self, x):
            return x + 0

        def backward(self, dy):
            calls.append(1)
            return dy

    x = leaf(1)
    y = x
    for _ in range(12):
        h = Count()(y)
        y = h + h
    y.backward()
    assert len(calls) == 12 and float(x.grad) == 2.0**12


def test_multiple_and_non_differentiable_outputs():
    class MinMax(Function):
        def forward(self, x):
            where = np.asarray(x.argmax())
            self.retain(where)
            self.mark_non_differentiable()
            self.size = x.size
            return x.max(keepdims=True)[:1] * 1, where, x * 2

        def backward(self, dmax, dwhere, ddouble):
            g = ddouble * 2
            g[self.retained[0]] += dmax[0]
            return g

    x = leaf(4)
    biggest, index, double = MinMax()(x)
    assert not index.requires_grad and index.dtype == np.dtype("int64")
    biggest.sum().backward(retain_graph=True)
    expected = np.zeros(4)
    expected[int(index)] = 1
    np.testing.assert_array_equal(
        x.grad.numpy(), expected
    )  # the gradient that did not arrive counts as zero


def test_threads_differentiate_at_once():
    weights = leaf(50)
    failures = []

    def work(seed):
        x = leaf(50, seed=seed)
        for _ in range(20):
            x.grad = None
            (x * weights.detach() * x).sum().backward()
            expected = 2 * x.detach().numpy() * weights.detach().numpy()
            if not np.allclose(x.grad.numpy(), expected):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_a_thread_does_not_inherit_no_grad():
    modes = []
    with pycnn.no_grad():
        t = threading.Thread(target=lambda: modes.append(pycnn.is_grad_enabled()))
        t.start()
        t.join()
    assert modes == [True]


def test_calling_a_function_that_is_not_defined_says_so():
    class Nothing(Function):
        """Defines neither pass."""

    with pytest.raises(NotImplementedError, match="Nothing defines no forward"):
        Nothing()(leaf(1))


def test_grad_modes_as_decorators():
    x = leaf(2)

    @pycnn.set_grad_enabled(False)
    def by_flag():
        return (x * 2).requires_grad

    @pycnn.no_grad
    def bare():
        return (x * 2).requires_grad

    @pycnn.no_grad()
    def steps():
        got = yield (x * 2).requires_grad
        try:
            yield got
        except KeyError:
            yield (x * 2).requires_grad
        return 5

    assert pycnn.is_grad_enabled()  # making the decorator switched nothing off
    assert not by_flag() and not bare() and not by_flag() and pycnn.is_grad_enabled()
    walk = steps()
    assert next(walk) is False and pycnn.is_grad_enabled()
    assert walk.send("sent") == "sent" and pycnn.is_grad_enabled()
    assert walk.throw(KeyError()) is False and pycnn.is_grad_enabled()
    with pytest.raises(StopIteration) as stop:
        next(walk)
    assert stop.value.value == 5


def test_a_leafs_hooks_see_the_whole_gradient_once():
    x = leaf(2)
    seen, after = [], []
    x.register_hook(lambda g: seen.append(g.tolist()) or g.clamp(max=1.5))
    x.register_post_accumulate_grad_hook(lambda t: after.append(t.grad.tolist()))
    (x * 2 + x * 3).sum().backward()
    assert seen == [[5.0, 5.0]] and after == [[1.5, 1.5]] == [x.grad.tolist()]
    (x * 2 + x * 3).sum().backward(inputs=[x])
    assert len(seen) == 2 and after[1:] == [[3.0, 3.0]] == [x.grad.tolist()]
    pycnn.grad((x * 2).sum(), x)
    assert len(seen) == 3 and len(after) == 2


def test_retain_grad_comes_last_and_follows_in_place_edits():
    x = leaf(2)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert y.grad.tolist() == [10.0, 10.0]
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y[:1].mul_(4)
    (y * 5).sum().backward()
    assert y.grad.tolist() == [5.0, 5.0]


def test_grad_runs_only_the_nodes_on_the_way_and_each_hook_once():
    x, z = leaf(2), leaf(2)
    calls = []
    z.register_hook(lambda g: calls.append("z"))
    y = x.exp()
    y.register_hook(lambda g: calls.append("y") or g * 10)
    (dy,) = pycnn.grad((y * z).sum(), [y])
    assert calls == ["y"] and dy.tolist() == (z.detach() * 10).tolist()
    y.sum().backward()  # what lies behind y was not freed
    np.testing.assert_allclose(x.grad.numpy(), y.detach().numpy() * 10)


def test_hook_may_not_change_the_dtype():
    x = leaf(2)
    x.register_hook(lambda g: g.float())
    with pytest.raises(RuntimeError, match="must return None or a float64"):
        x.sum().backward()


def test_threads_lose_no_gradient():
    x = pycnn.ones(100_000, requires_grad=True)

    def work():
        for _ in range(20):
            (x * 1).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert x.grad.tolist()[0] == x.grad.tolist()[-1] == 80.0


def test_gradient_in_memory_that_is_not_numpys():
    x = pycnn.zeros(3, requires_grad=True)
    x.backward(pycnn.from_dlpack(torch.ones(3)))
    x.view(3).backward(pycnn.from_numpy(np.frombuffer(bytes(12), np.float32)))
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_view_of_no_grad_cannot_be_edited_behind_its_bases_back():
    y = leaf(3) * 1
    with pycnn.no_grad():
        v = y[:2]
        v.mul_(2)
    with pytest.raises(RuntimeError, match="created in no_grad mode"):
        v.mul_(2)


def test_gradients_accumulate_into_views_of_a_shared_buffer():
    buffer = pycnn.zeros(4, dtype="float64")
    a, b = leaf(2), leaf(2)
    a.grad, b.grad = buffer[:2], buffer[2:]
    (a * 2 + b * 3).sum().backward()
    np.testing.assert_array_equal(buffer.numpy(), [2, 2, 3, 3])


@pytest.mark.parametrize("name", ["relu6", "leaky_relu", "hardtanh"])
def test_the_output_of_an_activation_that_keeps_its_input_may_be_edited(name):
    def program(x, y):
        module = pycnn if isinstance(x, pycnn.Tensor) else torch
        out = getattr(module.nn.functional, name)(x * 3)
        out += y
        return out * out

    both(program, (3, 4), (3, 4))
