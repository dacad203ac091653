"""A whole network against PyTorch's: forward, loss and all gradients, in float64 and float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch
from .report import Report, Row
from .sides import (
    ROUNDOFF,
    Side,
    cast,
    copy_weights,
    gradient_of,
    is_floating,
    pycnn_side,
    to_numpy,
    torch_side,
)

FLOAT64_GATE = 1e-9  # relative, per tensor
GRADIENT_FLOOR = 1e-6  # errors are relative to at least this part of the largest gradient's norm
NOISE_FACTOR = 4.0  # times PyTorch's own, of a gradient that is zero but for rounding; at most
NOISE_GATE = 1e-7  # of the floor: 1e-13 of the largest gradient
FLOAT32_FACTOR = 4.0  # times the logits' error of PyTorch's worse layout


@contextmanager
def _prepared(net: Any, side: Side) -> Iterator[None]:
    """Dropout of elements and of paths is off inside. Afterwards buffers are as before, gradients
    gone, the dtype float32."""
    if not hasattr(net, "named_buffers"):
        yield
        return
    random = ("Dropout", "StochasticDepth", "DropPath")
    dropouts = [
        m for m in net.modules() if any(w in type(m).__name__ for w in random) and m.training
    ]
    buffers = {name: np.array(to_numpy(buffer)) for name, buffer in net.named_buffers()}
    for m in dropouts:
        m.training = False
    try:
        yield
    finally:
        for m in dropouts:
            m.training = True
        net.zero_grad()
        net.float()
        _restore(net, side, buffers)


def _restore(net: Any, side: Side, buffers: dict[str, np.ndarray]) -> None:
    for name, buffer in net.named_buffers():
        buffer.copy_(side.tensor(buffers[name], False).detach())


class _Pass(NamedTuple):
    """One forward and backward pass, in NumPy arrays."""

    output: np.ndarray
    loss: np.ndarray
    gradients: dict[str, np.ndarray | None]
    buffers: dict[str, np.ndarray]


def _pass(
    side: Side,
    net: Any,
    inputs: list[np.ndarray],
    dtype: str,
    loss_of: Callable[[Side, Any], Any],
    last: bool = False,
) -> _Pass:
    """Run and differentiate `net`, a network or a function; its buffers end as they were."""
    module = hasattr(net, "named_parameters")
    before = {n: np.array(to_numpy(b)) for n, b in net.named_buffers()} if module else {}
    tensors = [side.tensor(cast(a, dtype), last) for a in inputs]
    output = net(*tensors)
    loss = loss_of(side, output)
    loss.backward()
    leaves = dict(net.named_parameters()) if module else {}
    for i, (t, a) in enumerate(zip(tensors, inputs)):
        if is_floating(a):
            leaves["input" if len(inputs) == 1 else f"input {i}"] = t
    found = {name: gradient_of(leaf) for name, leaf in leaves.items()}
    after = {n: np.array(to_numpy(b)) for n, b in net.named_buffers()} if module else {}
    if module:
        net.zero_grad()
        _restore(net, side, before)
    return _Pass(_numbers(output), to_numpy(loss), found, after)


def _parts(output: Any) -> tuple[Any, ...]:
    """The tensors of an output: auxiliary heads make it a tuple, in which None is left out."""
    several = isinstance(output, (tuple, list))
    return tuple(t for t in output if t is not None) if several else (output,)


def _numbers(output: Any) -> np.ndarray:
    """An output as one array; the parts of a tuple behind each other."""
    arrays = [to_numpy(t) for t in _parts(output)]
    return arrays[0] if len(arrays) == 1 else np.concatenate([a.ravel() for a in arrays])


def compare_torch(
    net: Any,
    torch_net: Any,
    inputs: Any,
    *,
    target: Any = None,
    float32: bool = True,
    float32_gradients: bool = True,
    provider: str | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> Report:
    """Compare a network, or a function of tensors, with PyTorch's: forward and all gradients.

    Both get the same float32-representable numbers. In float64 the output, the loss, the buffers
    and every gradient (parameters by name, inputs) are judged: |ours - theirs| <= 1e-9 *
    max(|theirs|, 1e-6 * the largest gradient norm), Euclidean norms per tensor. In float32 only the
    output is, by FLOAT32_FACTOR times the error of PyTorch's worse layout.

    An output that is a tuple, of a network with auxiliary heads, is compared whole, and the losses
    of its parts are added.

    Args:
        net, torch_net: modules of the same state_dict, or functions. Modules keep their training
            mode, but dropout is off; they end in float32 with their buffers as they were, and `net`
            with `torch_net`'s parameters.
        inputs: an array or tensor, or a sequence of them; the floating ones are differentiated.
        target: class indices; the loss of an (N, classes) output is then their cross-entropy. That
            of any other output is <output, random numbers>.
        float32, float32_gradients: whether to compare in float32 too, and the gradients there.
        provider: as in `pycnn.using`; by default what dispatch chooses.
        device: where pycnn runs; PyTorch runs on the CPU.
        seed: of the random numbers in the loss.

    Returns:
        A Report with a row per tensor and dtype; nothing is raised for a difference.

    Raises:
        RuntimeError: the two state_dicts do not match.
    """
    ours, theirs = pycnn_side(device), torch_side()
    given = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    arrays = [cast(to_numpy(a), "float32") for a in given]
    labels = None if target is None else to_numpy(target)

    def loss_of(side: Side, output: Any) -> Any:
        losses = []
        rng = np.random.default_rng(seed)
        for part in _parts(output):
            if labels is not None and part.ndim == 2:
                losses.append(side.F.cross_entropy(part, side.tensor(labels, False)))
                continue
            random = rng.standard_normal(tuple(part.shape)).astype(to_numpy(part).dtype)
            losses.append((part * side.tensor(random, False).detach()).sum())
        return sum(losses[1:], losses[0])

    def other_layout() -> _Pass:
        if not module:
            return _channels_last_pass(theirs, torch_net, arrays, "float64", loss_of)
        torch_net.double()
        try:
            return _channels_last_pass(theirs, torch_net, arrays, "float64", loss_of)
        finally:
            torch_net.float()

    report = Report()
    module = hasattr(net, "named_parameters")
    with _prepared(torch_net, theirs), _prepared(net, ours):
        if module:
            torch_net.float()
            net.float()
            copy_weights(torch_net, net)
            if device != "cpu":
                net.to(device)
            torch_net.double()
        truth = _pass(theirs, torch_net, arrays, "float64", loss_of)
        if module:
            torch_net.float()
            net.double()
        with dispatch.using(provider) if provider else nullcontext():
            mine = _pass(ours, net, arrays, "float64", loss_of)
            _judge_float64(report, mine, truth, other_layout)
            if float32:
                if module:
                    net.float()
                mine = _pass(ours, net, arrays, "float32", loss_of)
        if float32:
            layouts = [_pass(theirs, torch_net, arrays, "float32", loss_of)]
            if module or any(a.ndim == 4 for a in arrays):
                layouts.append(_channels_last_pass(theirs, torch_net, arrays, "float32", loss_of))
            _judge_float32(report, mine, layouts, truth, float32_gradients)
    return report


def _channels_last_pass(
    side: Side, net: Any, arrays: list[np.ndarray], dtype: str, loss_of: Any
) -> _Pass:
    import torch

    if not hasattr(net, "to"):
        return _pass(side, net, arrays, dtype, loss_of, last=True)
    net.to(memory_format=torch.channels_last)
    try:
        return _pass(side, net, arrays, dtype, loss_of, last=True)
    finally:
        net.to(memory_format=torch.contiguous_format)


def _norm(a: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(a, np.float64).ravel()))


def _relative(mine: np.ndarray, ref: np.ndarray, floor: float = 0.0) -> float:
    """|mine - ref| / max(|ref|, floor), Euclidean norms; infinite for another shape or a NaN."""
    if mine.shape != ref.shape:
        return np.inf
    distance = _norm(np.subtract(mine, ref, dtype=np.float64))
    if distance == 0:
        return 0.0
    error = distance / max(_norm(ref), floor, 1e-300)
    return error if np.isfinite(error) else np.inf


def _judge_float64(
    report: Report, mine: _Pass, truth: _Pass, other_layout: Callable[[], _Pass]
) -> None:
    floor = _gradient_floor(truth)
    noise: list[float] = []  # measured where it is needed

    def row(kind: str, name: str, a: np.ndarray, ref: np.ndarray, floor: float = 0.0) -> None:
        error, bound = _relative(a, ref, floor), FLOAT64_GATE
        if error > bound and kind == "gradient" and _norm(ref) < floor:
            if not noise:
                noise.append(_noise(truth, other_layout(), floor))
            bound = max(bound, min(NOISE_FACTOR * noise[0], NOISE_GATE))
        report.rows.append(Row("float64", kind, name, a.shape, error, bound))

    row("output", "logits", mine.output, truth.output)
    row("loss", "loss", mine.loss, truth.loss, floor=_norm(truth.output) * GRADIENT_FLOOR)
    for name, ref in truth.buffers.items():
        row("buffer", name, mine.buffers[name], ref, floor=GRADIENT_FLOOR)
    if mine.gradients.keys() != truth.gradients.keys():
        odd = sorted(mine.gradients.keys() ^ truth.gradients.keys())
        report.problems.append(f"only one of the two has the parameters {', '.join(odd)}")
    for name, expected in truth.gradients.items():
        got = mine.gradients.get(name)
        if got is not None and expected is not None:
            row("gradient", name, got, expected, floor)
        elif (got is None) != (expected is None):
            report.problems.append(
                f"{name}: {'no' if got is None else 'a'} gradient, unlike PyTorch"
            )


def _noise(truth: _Pass, other: _Pass, floor: float) -> float:
    """How far PyTorch's two layouts are apart, in floors, where a gradient is zero but for rounding
    as that of a bias in front of batch norm."""
    pairs = ((ref, other.gradients[name]) for name, ref in truth.gradients.items())
    small = ((a, b) for a, b in pairs if a is not None and b is not None and _norm(a) < floor)
    return max((_relative(b, a, floor) for a, b in small), default=0.0)


def _gradient_floor(truth: _Pass) -> float:
    return GRADIENT_FLOOR * max(
        (_norm(g) for g in truth.gradients.values() if g is not None), default=0.0
    )


def _judge_float32(
    report: Report, mine: _Pass, layouts: list[_Pass], truth: _Pass, gradients: bool
) -> None:
    worse = max(_relative(p.output, truth.output) for p in layouts)
    # Nobody does better than rounding the exact result, so a lucky PyTorch does not fail us.
    bound = max(FLOAT32_FACTOR * worse, ROUNDOFF["float32"])
    error = _relative(mine.output, truth.output)
    report.rows.append(Row("float32", "output", "logits", mine.output.shape, error, bound, worse))
    if not gradients:
        return
    floor = _gradient_floor(truth)
    for name, ref in truth.gradients.items():
        got, others = mine.gradients.get(name), [p.gradients.get(name) for p in layouts]
        if got is not None and ref is not None:
            theirs = max(_relative(g, ref, floor) for g in others if g is not None)
            error = _relative(got, ref, floor)
            report.rows.append(Row("float32", "gradient", name, got.shape, error, None, theirs))
