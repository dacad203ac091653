"""Whole networks against PyTorch's: inference, and a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import pycnn
from pycnn import models
from pycnn.references import get_reference

from . import measure
from .ops import LAYOUTS

FORWARD = ("xception", "resnet50", "vgg16", "resnet18")
SIZES = {"xception": 299}
STEPS = ("resnet18", "xception")


def _pair(name: str) -> tuple[Any, Any]:
    """(ours, PyTorch's) with the same weights."""
    torch.manual_seed(0)
    reference = get_reference(name)
    net = getattr(models, name)()
    net.load_state_dict({k: v.numpy() for k, v in reference.state_dict().items()})
    return net, reference


def forward(name: str, batch: int, threads: int, seconds: float) -> dict[str, Any]:
    """Inference: eval mode, nothing recorded."""
    net, reference = _pair(name)
    net.eval(), reference.eval()
    size = SIZES.get(name, 224)
    x = torch.randn(batch, 3, size, size)
    image = pycnn.Tensor._wrap(x.numpy().copy())

    def ours() -> Any:
        with pycnn.no_grad():
            return net(image)

    def theirs(layout: Any) -> Callable[[], Any]:
        moved = get_reference(name).eval()
        moved.load_state_dict(reference.state_dict())
        moved.to(memory_format=layout)
        given = x.contiguous(memory_format=layout)

        def call() -> Any:
            with torch.no_grad():
                return moved(given)

        return call

    row = _compare(ours, theirs, threads, seconds)
    truth = theirs(torch.contiguous_format)().numpy()
    row["difference"] = float(np.abs(ours().numpy() - truth).max() / np.abs(truth).max())
    return {"suite": "forward", "name": name, "batch": batch, "size": size, **row}


def step(name: str, batch: int, threads: int, seconds: float, size: int = 128) -> dict[str, Any]:
    """Forward, cross entropy, backward, SGD with momentum."""
    net, reference = _pair(name)
    x, target = torch.randn(batch, 3, size, size), torch.randint(0, 1000, (batch,))
    image, label = (pycnn.Tensor._wrap(t.numpy().copy()) for t in (x, target))
    options: dict[str, Any] = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 1e-4}
    optimizer = pycnn.optim.SGD(net.parameters(), **options)

    def ours() -> float:
        optimizer.zero_grad()
        loss = pycnn.functional.cross_entropy(net(image), label)
        loss.backward()
        optimizer.step()
        return loss.item()

    def theirs(layout: Any) -> Callable[[], Any]:
        moved = get_reference(name)
        moved.load_state_dict(reference.state_dict())
        moved.to(memory_format=layout)
        given = x.contiguous(memory_format=layout)
        other = torch.optim.SGD(moved.parameters(), **options)

        def call() -> float:
            other.zero_grad()
            loss = torch.nn.functional.cross_entropy(moved(given), target)
            loss.backward()
            other.step()
            return loss.item()

        return call

    row = _compare(ours, theirs, threads, seconds)
    return {"suite": "training step", "name": name, "batch": batch, "size": size, **row}


def _compare(
    ours: Callable[[], Any], theirs: Callable[[Any], Any], threads: int, seconds: float
) -> dict[str, Any]:
    torch.set_num_threads(threads)
    pycnn.set_num_threads(threads)
    busy = measure.wait_until_idle()
    functions = {"pycnn": ours} | {name: theirs(layout) for name, layout in LAYOUTS.items()}
    times = measure.interleaved(functions, seconds)
    opponent = min(LAYOUTS, key=lambda name: times[name].least)
    mine, other = times["pycnn"], times[opponent]
    return {
        "threads": threads,
        "seconds": dict(zip(mine._fields, mine, strict=True)),
        "opponent": f"PyTorch, {opponent}",
        "opponent_seconds": dict(zip(other._fields, other, strict=True)),
        "opponent_other_layout": {name: times[name].least for name in LAYOUTS if name != opponent},
        "ratio": other.least / mine.least,
        "ratio_of_medians": other.p50 / mine.p50,
        "others_busy": round(busy, 3),
    }


def problems(
    threads: tuple[int, ...], seconds: float
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    for count in threads:
        for name in FORWARD:
            for batch in (1, 4):
                yield lambda n=name, b=batch, t=count: [forward(n, b, t, seconds)]
        for name in STEPS:
            yield lambda n=name, t=count: [step(n, 8, t, seconds)]
