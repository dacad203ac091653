"""The models by name: what there is, how to build it, and what its images look like."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from .. import nn

Constructor = TypeVar("Constructor", bound=Callable[..., nn.Module])


class ModelEntry(NamedTuple):
    """A registered constructor and the images it is made for."""

    name: str
    constructor: Callable[..., nn.Module]
    channels: int
    size: int  # height and width
    num_classes: int
    parameters: int  # at width 1 and that many classes
    paper: str


_MODELS: dict[str, ModelEntry] = {}


def register(
    channels: int, size: int, parameters: int, paper: str, num_classes: int = 1000
) -> Callable[[Constructor], Constructor]:
    """Decorator: enter a constructor under its own name."""

    def enter(constructor: Constructor) -> Constructor:
        name = constructor.__name__
        entry = ModelEntry(name, constructor, channels, size, num_classes, parameters, paper)
        _MODELS[name] = entry
        return constructor

    return enter


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


def get_model(name: str, **arguments: Any) -> nn.Module:
    """Build a model: `get_model("resnet50", num_classes=10, width=0.5)`.

    Args:
        name: one of `list_models()`.
        **arguments: the constructor's; all take `num_classes=` and `width=`.

    Returns:
        The network, float32, in training mode, freshly initialised.

    Raises:
        ValueError: unknown `name` (the message has the nearest ones), or an argument out of range.
    """
    return model_entry(name).constructor(**arguments)
