"""The models by name: what there is, how to build it, what its images look like, and what its paper
or its reference says of it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import nn

# (random numbers, batch, size, num_classes) to what a network takes
Inputs = Callable[[np.random.Generator, int, int, int], tuple[np.ndarray, ...]]
Constructor = TypeVar("Constructor", bound=Callable[..., nn.Module])


class Normalisation(NamedTuple):
    """What a checkpoint's network expects: (pixel - mean) / std, pixels between 0 and 1, RGB."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTION = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Reduced(NamedTuple):
    """A network small enough for a test: the constructor's `width`, the images' height and width,
    and further arguments of the constructor."""

    width: float = 0.125
    size: int = 64
    arguments: Mapping[str, Any] = {}


class ModelEntry(NamedTuple):
    """A registered constructor. The counts hold at width 1 with `num_classes` classes, for one
    image of `size`, in evaluation mode; `macs` are multiply-adds of convolutions, transposed
    convolutions and linear layers."""

    name: str
    constructor: Callable[..., nn.Module]
    family: str  # the module that holds it: pycnn/models/<family>.py
    channels: int
    size: int  # height and width, unless `inputs` says otherwise
    num_classes: int
    parameters: int
    macs: int
    state_entries: int  # of its state dict
    paper: str
    reference: str  # who has the same network, and the names of its parameters
    checkpoints: str  # whose published state dicts load strictly, "" if nobody's
    normalisation: Normalisation | None
    reduced: Reduced
    inputs: Inputs | None = None  # of a network that takes other than one square image

    def example_inputs(
        self, batch: int = 1, size: int | None = None, num_classes: int | None = None, seed: int = 0
    ) -> tuple[np.ndarray, ...]:
        """Random inputs, float32: a batch of images, or whatever else the network takes.

        `size` and `num_classes` are the registered ones by default."""
        rng = np.random.default_rng(seed)
        size = size or self.size
        if self.inputs is not None:
            return self.inputs(rng, batch, size, num_classes or self.num_classes)
        images = rng.standard_normal((batch, self.channels, size, size))
        return (images.astype(np.float32),)


_MODELS: dict[str, ModelEntry] = {}


def register(
    paper: str,
    parameters: int,
    macs: int,
    state_entries: int,
    *,
    channels: int = 3,
    size: int = 224,
    num_classes: int = 1000,
    reference: str = "the paper",
    checkpoints: str = "",
    normalisation: Normalisation | None = None,
    reduced: Reduced | None = None,
    inputs: Inputs | None = None,
    name: str | None = None,
) -> Callable[[Constructor], Constructor]:
    """Decorator: enter a constructor, under its own name unless `name` is given."""

    def enter(constructor: Constructor) -> Constructor:
        known = name or constructor.__name__
        if known in _MODELS:
            raise ValueError(f"name: there is a model called {known!r} already")
        _MODELS[known] = ModelEntry(
            known, constructor, constructor.__module__.rpartition(".")[2], channels, size,
            num_classes, parameters, macs, state_entries, paper, reference, checkpoints,
            normalisation, reduced or Reduced(), inputs,
        )  # fmt: skip
        return constructor

    return enter


def named(constructor: Constructor, name: str, doc: str) -> Constructor:
    """A constructor made in a loop over a table of variants, with its own name and docstring."""
    constructor.__name__ = constructor.__qualname__ = name
    constructor.__doc__ = doc
    return constructor


def list_models() -> list[str]:
    """The names that `get_model` knows, sorted."""
    return sorted(_MODELS)


def model_entry(name: str) -> ModelEntry:
    """What is registered as `name`; ValueError with the nearest names if nothing is."""
    if name in _MODELS:
        return _MODELS[name]
    near = difflib.get_close_matches(str(name), list_models(), n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(list_models())}"
    raise ValueError(f"no model is called {name!r}; {hint}")


def get_model(
    name: str, weights: str | os.PathLike[str] | None = None, **arguments: Any
) -> nn.Module:
    """Build a model: `get_model("resnet50", weights="resnet50.safetensors", num_classes=10)`.

    Args:
        name: one of `list_models()`.
        weights: a file of its state dict, .safetensors, .npz or .pth, which must have all of its
            entries and no other. With a `num_classes=` that is not the file's, the entries whose
            first axis counts the classes keep their initial values.
        **arguments: the constructor's; all take `num_classes=` and `width=`.

    Returns:
        The network, float32, in training mode. `model_entry(name).normalisation` says what its
        images must look like for a published checkpoint.

    Raises:
        ValueError: unknown `name` (the message has the nearest ones), an argument out of range, or
            a file that holds no state dict.
        RuntimeError: the file's entries are not the network's; all differences are listed.
        OSError: the file cannot be read.
    """
    net = model_entry(name).constructor(**arguments)
    if weights is not None:
        from ..serialization import load

        state = dict(load(weights))
        if "num_classes" in arguments:
            state.update(_of_another_count(net, state, arguments["num_classes"]))
        net.load_state_dict(state)
    return net


def _of_another_count(net: nn.Module, state: Mapping[str, Any], num_classes: int) -> dict[str, Any]:
    """The network's own values for the entries that differ from `state` in the count of classes
    alone: their first axis is `num_classes` long, and all such entries of the file agree."""
    own = net.state_dict()
    counts, found = set(), {}
    for key, value in state.items():
        if key not in own or not value.ndim or own[key].shape == value.shape:
            continue
        if own[key].shape[0] == num_classes and own[key].shape[1:] == value.shape[1:]:
            counts.add(value.shape[0])
            found[key] = own[key]
    return found if len(counts) == 1 else {}
