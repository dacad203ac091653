"""Registered models as the tests build them: small, and unlike a state just initialised."""

from __future__ import annotations

import zlib

import numpy as np
import torch

from pycnn.models.registry import _MODELS, ModelEntry

# family -> the first of its models
FIRST = {entry.family: entry.name for entry in reversed(_MODELS.values())}


def reduced(entry: ModelEntry) -> dict:
    """The arguments of a small one."""
    return {"width": entry.reduced.width, "num_classes": 5, **entry.reduced.arguments}


def inputs(entry: ModelEntry, batch: int, size: int, num_classes: int = 5) -> list[np.ndarray]:
    seed = zlib.crc32(entry.name.encode())
    return list(entry.example_inputs(batch, size, num_classes, seed))


def randomise(reference: torch.nn.Module, seed: int) -> None:
    """Parameters and statistics as a trained network might have: none is zero or one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in reference.parameters():
            if p.ndim > 1:
                continue  # weights keep their initial spread
            p.add_(torch.randn(p.shape, generator=generator) * 0.1)
        for name, b in reference.named_buffers():
            if name.endswith("running_mean"):
                b.add_(torch.randn(b.shape, generator=generator) * 0.1)
            elif name.endswith("running_var"):
                b.mul_(torch.rand(b.shape, generator=generator) + 0.5)
