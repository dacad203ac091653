"""Whole networks: inference, and a training step (forward, cross entropy, backward, SGD).

A training step begins from the same weights every time, so that its answer can be checked: the
loss, and by how much every weight moved. In float32 the gradients of a deep network differ by
percents between PyTorch's own layouts, because ReLUs near zero change sides; so the loss is held to
the tolerance, and the weights' movement only loosely: what is left out of a step shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import Tensor, dispatch, models, no_grad, optim
from .. import functional as F
from ..references import get_reference
from .convolutions import least_flops
from .problem import Bind, Call, Key, Problem, relative_error

FORWARD = ("xception", "resnet50", "vgg16", "resnet18")
STEPS = ("resnet18", "xception")
SIZES = {"xception": 299}
STEP_SIZE = 128
_SGD: dict[str, Any] = {"lr": 1e-2, "momentum": 0.9, "weight_decay": 1e-4}
_MOVED = 0.7  # how far a weight's movement may be off, relative to the movement


class _Turns:
    """Networks that take turns: what `make` gives, kept for the calls after."""

    def __init__(self, count: int) -> None:
        self.kept: list[Any] = [None] * count
        self.calls = 0

    def __call__(self, make: Callable[[], Any]) -> Any:
        index = self.calls % len(self.kept)
        self.calls += 1
        if self.kept[index] is None:
            self.kept[index] = make()
        return self.kept[index]


@lru_cache(maxsize=1)
def _weights(name: str) -> dict[str, np.ndarray]:
    """The same weights for everyone."""
    import torch

    torch.manual_seed(0)
    return {k: v.numpy() for k, v in get_reference(name).state_dict().items()}


def _ours(name: str, device: str) -> Any:
    net = getattr(models, name)()
    net.load_state_dict(_weights(name))
    return net if device == "cpu" else net.to(device)


def _theirs(name: str, layout: str, like: Any) -> Any:
    import torch

    net = get_reference(name)
    net.load_state_dict({k: torch.from_numpy(v) for k, v in _weights(name).items()})
    last = layout == "channels-last"
    return net.to(like.device, like.dtype).to(
        memory_format=torch.channels_last if last else torch.contiguous_format
    )


@lru_cache(maxsize=16)
def _work(name: str, size: int) -> tuple[int, int, float]:
    """(flops, bytes of the weights, operations nobody can do without) of one image's forward pass,
    from what a run calls."""
    net = getattr(models, name)().eval()
    with no_grad(), dispatch.trace() as trace:
        net(Tensor._wrap(np.zeros((1, 3, size, size), np.float32)))
    products = [r for r in trace.records if r.primitive in ("conv2d_fprop", "gemm")]
    least = sum(
        least_flops(r.geometry, None) if r.primitive == "conv2d_fprop" else r.flops
        for r in products
    )
    weights = sum(p.numel() for p in net.parameters()) * 4
    return sum(r.flops for r in products), weights, least


def inference(key: Key) -> Problem:
    """Evaluation mode, nothing recorded."""
    size = SIZES.get(key.name, 224)

    def ours() -> Bind:
        nets: dict[str, Any] = {}

        def bind(x: Any) -> Call:
            from .. import array

            device = array.device_of(x)
            if device not in nets:
                nets[device] = _ours(key.name, device).eval()
            image = Tensor._wrap(x)

            def call() -> Any:
                with no_grad():
                    return nets[device](image)

            return call

        return bind

    def theirs(layout: str, prepare: Any = lambda net: net) -> Bind:
        import torch

        nets: list[Any] = []

        def bind(x: Any) -> Call:
            if not nets:
                nets.append(prepare(_theirs(key.name, layout, x).eval()))

            def call() -> Any:
                with torch.no_grad():
                    return nets[0](x)

            return call

        return bind

    def compiled(layout: str) -> Bind:
        import torch

        def prepare(net: Any) -> Any:
            fast = torch.compile(net, mode="max-autotune")

            def run(x: Any) -> Any:
                torch.compiler.cudagraph_mark_step_begin()
                return fast(x).clone()  # the next call writes over what this one returned

            return run

        return theirs(layout, prepare)

    return _problem(key, size, ours, theirs, lambda x: theirs("contiguous")(x)(), compiled)


def step(key: Key, size: int = STEP_SIZE) -> Problem:
    """Forward, cross entropy, backward, SGD with momentum; the outputs are the loss and the weights
    after the step. Each call of a turn has a network of its own, since calls change it."""

    def ours() -> Bind:
        ready = _Turns(4)

        def bind(x: Any, target: Any) -> Call:
            from .. import array

            net = ready(lambda: _ours(key.name, array.device_of(x)))
            net.load_state_dict(_weights(key.name))
            optimizer = optim.SGD(net.parameters(), **_SGD)
            image, label = Tensor._wrap(x), Tensor._wrap(target)

            def call() -> Any:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(image), label)
                loss.backward()
                optimizer.step()
                return [loss, *net.parameters()]

            return call

        return bind

    def theirs(layout: str) -> Bind:
        import torch

        ready = _Turns(4)
        weights = {k: torch.from_numpy(v) for k, v in _weights(key.name).items()}

        def bind(x: Any, target: Any) -> Call:
            net = ready(lambda: _theirs(key.name, layout, x))
            net.load_state_dict(weights)
            optimizer = torch.optim.SGD(net.parameters(), **_SGD)

            def call() -> Any:
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(net(x), target)
                loss.backward()
                optimizer.step()
                return [loss, *net.parameters()]

            return call

        return bind

    def truth(x: Any, target: Any) -> Any:
        return theirs("contiguous")(x, target)()

    names = [name for name, _ in getattr(models, key.name)(width=0.1).named_parameters()]

    def check(outputs: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> float:
        before = [_weights(key.name)[name] for name in names]
        return _step_error(outputs, truths, before)

    return _problem(key, size, ours, theirs, truth, None, check)


def _step_error(
    outputs: Sequence[np.ndarray], truths: Sequence[np.ndarray], before: Sequence[np.ndarray]
) -> float:
    """The error of the loss; infinite where a weight did not move as it should."""
    moved = [np.linalg.norm(t - b) for t, b in zip(truths[1:], before, strict=True)]
    for got, truth, movement in zip(outputs[1:], truths[1:], moved, strict=True):
        off = np.linalg.norm(got - truth)
        if movement > 1e-3 * max(moved) and not off <= _MOVED * movement:
            return math.inf
    return relative_error(outputs[0], truths[0])


def _problem(
    key: Key, size: int, ours: Any, theirs: Any, truth: Any, compiled: Any, check: Any = None
) -> Problem:
    shape = (key.batch, 3, size, size)
    training = check is not None

    def inputs(rng: np.random.Generator) -> list[np.ndarray]:
        x = rng.standard_normal(shape, dtype=np.float32)
        return [x, rng.integers(0, 1000, key.batch)] if training else [x]

    flops, weights, least = _work(key.name, size)
    passes = key.batch * (3 if training else 1)
    return Problem(
        key=key,
        primitive=None,
        geometry="x".join(map(str, shape)),
        inputs=inputs,
        ours=ours,
        theirs=theirs,
        truth=truth,
        flops=flops * passes,
        bytes=weights + 12 * math.prod(shape),
        # the first convolution has no gradient of its input to compute
        least_flops=lambda algorithm: least * passes * (0.9 if training else 1),
        least_bytes=weights,
        compiled=compiled,
        size=size,
        check=check,
    )
